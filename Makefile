PREFIX ?= /usr/local
DESTDIR ?=
CARGO ?= cargo
TARGET = $(shell rustc -vV | sed -n 's/^host: //p')

# Where the shells look for completions.
BASH_DIR = $(DESTDIR)$(PREFIX)/share/bash-completion/completions
ZSH_DIR = $(DESTDIR)$(PREFIX)/share/zsh/site-functions
FISH_DIR = $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d

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
	tests/engines.sh target/release/tasker

# Kills a long run at every point, damages its journal in every way, makes each
# system call of a small run fail; about a quarter of an hour.
test-crash:
	TASKER_CRASH=all $(CARGO) test --locked --test crash -- --nocapture
	$(CARGO) build --locked
	python3 tests/inject.py target/debug/tasker

# Ratios to a C program that does nothing else; BENCH_DIR is where the disk is.
ROUNDS ?= 7
bench: all
	python3 tests/bench.py target/release/tasker $(ROUNDS) $(BENCH_DIR)

# One file that needs nothing of the machine it runs on.
static:
	RUSTFLAGS="-C target-feature=+crt-static" $(CARGO) build --release --locked --target $(TARGET)
	@echo target/$(TARGET)/release/tasker

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/man/man5
	install -m 755 target/release/tasker $(DESTDIR)$(PREFIX)/bin/tasker
	install -m 644 man/tasker.1 $(DESTDIR)$(PREFIX)/share/man/man1/tasker.1
	install -m 644 man/tasker-file.5 $(DESTDIR)$(PREFIX)/share/man/man5/tasker-file.5
	install -m 644 man/tasker.conf.5 $(DESTDIR)$(PREFIX)/share/man/man5/tasker.conf.5
	install -m 644 man/tasker-json.5 $(DESTDIR)$(PREFIX)/share/man/man5/tasker-json.5
	install -d $(BASH_DIR) $(ZSH_DIR) $(FISH_DIR)
	target/release/tasker --completions bash > $(BASH_DIR)/tasker
	target/release/tasker --completions zsh > $(ZSH_DIR)/_tasker
	target/release/tasker --completions fish > $(FISH_DIR)/tasker.fish
	chmod 644 $(BASH_DIR)/tasker $(ZSH_DIR)/_tasker $(FISH_DIR)/tasker.fish

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/tasker
	rm -f $(DESTDIR)$(PREFIX)/share/man/man1/tasker.1 $(DESTDIR)$(PREFIX)/share/man/man5/tasker-file.5
	rm -f $(DESTDIR)$(PREFIX)/share/man/man5/tasker.conf.5 $(DESTDIR)$(PREFIX)/share/man/man5/tasker-json.5
	rm -f $(BASH_DIR)/tasker $(ZSH_DIR)/_tasker $(FISH_DIR)/tasker.fish

clean:
	$(CARGO) clean

.PHONY: all test test-crash test-engines bless lint bench static install uninstall clean
