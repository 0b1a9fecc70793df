PREFIX ?= /usr/local
DESTDIR ?=
CARGO ?= cargo
# Where cargo builds, and what is installed; `make install BINARY=...` installs an
# existing binary.
BUILD = $(or $(CARGO_TARGET_DIR),target)
BINARY ?= $(BUILD)/release/tasker
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)

# Where the shells look for completions.
DATA = $(DESTDIR)$(PREFIX)/share
BASH_DIR ?= $(DATA)/bash-completion/completions
ZSH_DIR ?= $(DATA)/zsh/site-functions
FISH_DIR ?= $(DATA)/fish/vendor_completions.d

all:
	$(CARGO) build --release --locked

test:
	$(CARGO) test --locked

# Rewrites the expected output of the golden cases; read the diff.
bless:
	BLESS=1 $(CARGO) test --locked --test golden

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --locked -- -D warnings
	mandoc -Tlint -Wwarning man/*.[0-9]

# Runs task files through a real Slurm on this machine; as root, on Debian.
test-engines: all
	tests/engines.sh $(BUILD)/release/tasker

# Starts 300 works of one file at once in three containers, kills 40 of them and starts
# them again in others, for 10 minutes.
# Kills a long run at every point, damages its journal in every way, replaces each of
# its files by links, FIFOs and the like, makes each system call of a small run fail;
# tries random scripts with results in them: 100,000 in bash, 30,000 in each other
# shell, 1,000 by ssh; takes about 45 minutes.
test-crash:
	TASKER_SOAK_MINUTES=10 $(CARGO) test --locked --test soak -- --nocapture
	TASKER_CRASH=all $(CARGO) test --locked --test crash --test trust -- --nocapture
	TASKER_BASH_SCRIPTS=100000 $(CARGO) test --locked --test bash -- --nocapture
	TASKER_BASH_SCRIPTS=30000 TASKER_SSH_SCRIPTS=1000 \
		$(CARGO) test --locked --test shells -- --nocapture
	$(CARGO) build --locked
	python3 tests/inject.py $(BUILD)/debug/tasker

# Runs 5000 random workflows and compares them with a model of SPEC section 3; takes
# some minutes. `make test` runs 200.
test-model:
	TASKER_MODEL_WORKFLOWS=5000 $(CARGO) test --locked --test model

# Ends 500 random workflows early and types what tasker prints until nothing is
# undone; resumes works of one file side by side, 200 rounds; takes some minutes.
# `make test` does 30 and 8.
test-advice:
	TASKER_ADVICE_WORKFLOWS=500 TASKER_WORKS_ROUNDS=200 \
		$(CARGO) test --locked --test advice --test works

# A year of runs, 100,000 of them, by a pretended clock: prints each month how much the
# log directory holds and how long a run takes; takes about 25 minutes.
RUNS ?= 100000
SEED ?= 1
test-year: all
	python3 tests/year.py $(BUILD)/release/tasker $(RUNS) $(SEED)

# Builds the packages twice, in different places, and runs the binary in an empty
# root file system; takes some minutes.
test-ship:
	$(CARGO) test --locked --test ship -- --include-ignored --nocapture

# Opens reports in headless Chromium and uses them; leaves screenshots.
test-ui: all
	python3 tests/ui.py $(BUILD)/release/tasker

# Times relative to a C program that only starts processes; BENCH_DIR sets the disk.
ROUNDS ?= 7
bench: all
	python3 tests/bench.py $(BUILD)/release/tasker $(ROUNDS) $(BENCH_DIR)

# Times ssh tasks beside plain ssh under xargs, clush, GNU parallel and ansible, against
# a real sshd on this machine; takes some minutes.
SSH_ROUNDS ?= 5
bench-ssh: all
	python3 tests/bench_ssh.py $(BUILD)/release/tasker $(SSH_ROUNDS)

# One static binary: with musl if its target is installed (rustup target add
# x86_64-unknown-linux-musl), which gives the smallest one, else with the C library
# of this machine.
HOST = $(shell rustc -vV | sed -n 's/^host: //p')
SYSROOT = $(shell rustc --print sysroot)
MUSL = $(patsubst %-gnu,%-musl,$(HOST))
STATIC_TARGET ?= $(if $(wildcard $(SYSROOT)/lib/rustlib/$(MUSL)/lib),$(MUSL),$(HOST))
STATIC = $(BUILD)/$(STATIC_TARGET)/release/tasker
# Reproducible: no path of this machine goes into the binary, and the sources of std
# get the same names whether they are installed or not.
COMMIT = $(shell rustc -vV | sed -n 's/^commit-hash: //p')
REMAP = --remap-path-prefix=$(CURDIR)=/tasker \
	--remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)=/cargo \
	--remap-path-prefix=$(SYSROOT)/lib/rustlib/src/rust=/rustc/$(COMMIT)

# Half of a small binary is the prebuilt std. That is optimized for speed and can read
# debugging data for backtraces, which a stripped binary does not have. If its source
# is installed (rustup component add rust-src), std is built for size without them; a
# panic still names its place. Cargo fetches the dependencies of std and considers this
# unstable, hence RUSTC_BOOTSTRAP; STD=prebuilt avoids it.
STD ?= $(if $(wildcard $(SYSROOT)/lib/rustlib/src/rust/library/std),small,prebuilt)
SMALL_STD = -Zbuild-std=std,panic_abort -Zbuild-std-features=optimize_for_size
# The linker that comes with rustc folds identical functions and packs the relocation
# table.
LLD = $(wildcard $(SYSROOT)/lib/rustlib/$(HOST)/bin/gcc-ld)
LINK = $(if $(LLD),-C link-arg=-B$(LLD) -C link-arg=-fuse-ld=lld \
	-C link-arg=-Wl$(comma)--icf=all$(comma)--pack-dyn-relocs=relr)
comma = ,

static:
	$(if $(filter small,$(STD)),RUSTC_BOOTSTRAP=1) CARGO_PROFILE_RELEASE_OPT_LEVEL=z \
		RUSTFLAGS="-C target-feature=+crt-static -C force-unwind-tables=no $(REMAP) $(LINK)" \
		$(CARGO) build --release --locked --target $(STATIC_TARGET) \
		$(if $(filter small,$(STD)),$(SMALL_STD))
	@echo $(STATIC)

# The package for any Linux, reproducible: names in order, one time stamp, no user
# name.
NAME = tasker-$(VERSION)-$(firstword $(subst -, ,$(HOST)))-linux
DIST = $(BUILD)/dist
SOURCE_DATE_EPOCH ?= $(or $(shell git log -1 --format=%ct 2>/dev/null),$(shell stat -c %Y CHANGELOG.md))

dist: static
	rm -rf $(DIST)/$(NAME)
	mkdir -p $(DIST)/$(NAME)/man $(DIST)/$(NAME)/completions
	cp $(STATIC) README.md LICENSE CHANGELOG.md $(DIST)/$(NAME)
	cp man/*.[0-9] $(DIST)/$(NAME)/man
	$(STATIC) --completions bash > $(DIST)/$(NAME)/completions/tasker
	$(STATIC) --completions zsh > $(DIST)/$(NAME)/completions/_tasker
	$(STATIC) --completions fish > $(DIST)/$(NAME)/completions/tasker.fish
	cd $(DIST)/$(NAME) && find * -type f | LC_ALL=C sort | xargs sha256sum > ../SHA256SUMS
	mv $(DIST)/SHA256SUMS $(DIST)/$(NAME)
	LC_ALL=C tar -C $(DIST) --format=ustar --sort=name --mtime=@$(SOURCE_DATE_EPOCH) \
		--owner=0 --group=0 --numeric-owner --mode=u+rw,go-w,a+rX -cf - $(NAME) \
		| gzip -9n > $(DIST)/$(NAME).tar.gz
	@echo $(DIST)/$(NAME).tar.gz

# A Debian package without dependencies, since the binary is static.
MAINTAINER ?= tasker <root@localhost>
DEB = $(DIST)/deb
ARCH = $(shell dpkg --print-architecture)

deb: static
	rm -rf $(DEB)
	$(MAKE) install DESTDIR=$(DEB) PREFIX=/usr BINARY=$(STATIC) \
		ZSH_DIR=$(DEB)/usr/share/zsh/vendor-completions
	mkdir -p $(DEB)/DEBIAN $(DEB)/usr/share/doc/tasker
	cp LICENSE $(DEB)/usr/share/doc/tasker/copyright
	cp README.md CHANGELOG.md $(DEB)/usr/share/doc/tasker
	printf '%s\n' 'tasker ($(VERSION)) unstable; urgency=medium' '' '  * See CHANGELOG.md.' '' \
		" -- $(MAINTAINER)  $$(LC_ALL=C date -u -R -d @$(SOURCE_DATE_EPOCH))" \
		> $(DEB)/usr/share/doc/tasker/changelog
	gzip -9n $(DEB)/usr/share/doc/tasker/changelog $(DEB)/usr/share/man/*/*
	printf '%s\n' 'Package: tasker' 'Version: $(VERSION)' 'Architecture: $(ARCH)' \
		'Maintainer: $(MAINTAINER)' 'Section: admin' 'Priority: optional' \
		'Suggests: openssh-client' 'Description: run the commands of a task file' \
		' A task file says which commands run on which hosts, in what order, and' \
		' what to do when one of them fails.' > $(DEB)/DEBIAN/control
	chmod -R u+rw,go-w,a+rX $(DEB)
	SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) dpkg-deb -Zxz --root-owner-group --build $(DEB) \
		$(DIST)/tasker_$(VERSION)_$(ARCH).deb

# Built only if it is missing: the user who installs need not be able to build.
$(BUILD)/release/tasker:
	$(CARGO) build --release --locked

PAGES = $(notdir $(wildcard man/*.[0-9]))

install: $(BINARY)
	install -d $(DESTDIR)$(PREFIX)/bin $(BASH_DIR) $(ZSH_DIR) $(FISH_DIR)
	install -m 755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/tasker
	for page in $(PAGES); do \
		install -d $(DATA)/man/man$${page##*.} && \
		install -m 644 man/$$page $(DATA)/man/man$${page##*.}/$$page || exit 1; done
	$(BINARY) --completions bash > $(BASH_DIR)/tasker
	$(BINARY) --completions zsh > $(ZSH_DIR)/_tasker
	$(BINARY) --completions fish > $(FISH_DIR)/tasker.fish
	chmod 644 $(BASH_DIR)/tasker $(ZSH_DIR)/_tasker $(FISH_DIR)/tasker.fish

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/tasker
	for page in $(PAGES); do rm -f $(DATA)/man/man$${page##*.}/$$page; done
	rm -f $(BASH_DIR)/tasker $(ZSH_DIR)/_tasker $(FISH_DIR)/tasker.fish

clean:
	$(CARGO) clean

.PHONY: all test test-crash test-model test-advice test-engines test-year test-ship test-ui bless lint bench bench-ssh static dist deb install uninstall clean
