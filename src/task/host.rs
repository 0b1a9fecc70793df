//! Checks host names (SPEC §1.1), and recognises those of this machine.
#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Checks that the text can name a host; the error says why it cannot.
pub fn check(host: &str) -> Result<(), String> {
    if host.is_empty() {
        return Err("the host name is empty".into());
    }
    if host.len() > 253 {
        return Err(format!(
            "a host name has at most 253 characters, this one has {}",
            host.len()
        ));
    }
    if host.starts_with('-') {
        return Err(format!(
            "the host name `{host}` begins with `-` and could be taken for an option"
        ));
    }
    if host.starts_with('@') {
        return Err(format!(
            "`{host}` begins with `@`: there is neither a user before it nor a group of that name; write the hosts, or `file:PATH` for a list of them"
        ));
    }
    if host.ends_with('@') {
        return Err(format!(
            "the host after the `@` is missing in `{host}`; write `{host}HOST`, or set the user with `ssh_options=-l USER` in tasker.conf(5)"
        ));
    }
    check_port_and_zone(host)?;
    let (user, name) = split_user(host);
    if let Some(inner) = name.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        if inner.parse::<Ipv6Addr>().is_err() {
            return Err(format!("`{name}` is not an IPv6 address"));
        }
        return check_characters(user.unwrap_or_default());
    }
    check_characters(host)?;
    let numeric = name.chars().all(|c| c.is_ascii_digit() || c == '.');
    if numeric && name.parse::<Ipv4Addr>().is_err() {
        return Err(format!("`{name}` is not an IPv4 address"));
    }
    Ok(())
}

fn check_characters(text: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-:@".contains(c);
    match text.chars().find(|c| !allowed(*c)) {
        Some(bad) => Err(format!("a host name cannot contain `{bad}`")),
        None => Ok(()),
    }
}

/// A port and the zone of an address are not part of a name here: no exec type would
/// take them apart.
fn check_port_and_zone(host: &str) -> Result<(), String> {
    if let Some((address, zone)) = host.split_once('%') {
        let zone = zone.trim_end_matches(']');
        let address = split_user(address).1.trim_start_matches('[');
        return Err(format!(
            "a host name cannot contain `%`: write `{address}` with `ssh_options=-o HostName=%h%%{zone}` in tasker.conf(5), or a name for which ssh_config(5) has `HostName {address}%%{zone}`"
        ));
    }
    let Some((name, port)) = host.rsplit_once(':') else {
        return Ok(());
    };
    let is_port = !port.is_empty() && port.chars().all(|c| c.is_ascii_digit());
    if is_port && (!name.contains(':') || name.ends_with(']')) {
        let name = bare(name);
        return Err(format!(
            "`{host}`: a host name cannot include a port; set `Port {port}` for `{name}` in ssh_config(5), or `ssh_options=-p {port}` in tasker.conf(5)"
        ));
    }
    Ok(())
}

/// The user before the last `@`, and the host alone.
pub fn split_user(host: &str) -> (Option<&str>, &str) {
    match host.rsplit_once('@') {
        Some((user, name)) => (Some(user), name),
        None => (None, host),
    }
}

/// The host without brackets around its address.
fn unbracketed(name: &str) -> &str {
    let inside = name.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    inside.unwrap_or(name)
}

/// The name or address alone, as a resolver takes it.
pub fn bare(host: &str) -> &str {
    unbracketed(split_user(host).1)
}

/// The host as ssh takes it: an address without brackets.
pub fn for_ssh(host: &str) -> Cow<'_, str> {
    match split_user(host) {
        (None, name) => unbracketed(name).into(),
        (Some(user), name) => format!("{user}@{}", unbracketed(name)).into(),
    }
}

/// Whether the host is this machine: `localhost`, a loopback address, or the
/// machine's own name `own`.
pub fn is_this_machine(host: &str, own: &str) -> bool {
    let bare = unbracketed(host);
    let short = |name: &str| name.split('.').next().unwrap_or(name).to_ascii_lowercase();
    let same_name = bare.eq_ignore_ascii_case(own)
        || (!bare.contains('.') && !own.is_empty() && short(bare) == short(own));
    bare.eq_ignore_ascii_case("localhost")
        || bare.eq_ignore_ascii_case("localhost.localdomain")
        || same_name
        || bare
            .parse::<std::net::IpAddr>()
            .is_ok_and(|a| a.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_checked() {
        for good in [
            "web-01.prod",
            "user@db",
            "root@[::1]",
            "root@fe80::1",
            "me@corp@db",
            "10.0.0.1",
            "[::1]",
            "fe80::1",
            "a_b",
            "::1",
            "2001:db8::22",
            "1:2:3:4:5:6:7:8",
        ] {
            assert!(check(good).is_ok(), "{good}: {:?}", check(good));
        }
        for bad in [
            "",
            "-oProxyCommand=x",
            "a b",
            "a;b",
            "10.0.0",
            "1.2.3.999",
            "[::g]",
            "h$x",
            "ü",
            "a,b",
            "h:22",
            "user@h:22",
            "10.0.0.1:2222",
            "[::1]:22",
            "fe80::1%eth0",
            "[fe80::1%eth0]",
            "@db",
            "@all",
            "user@",
            "user@[::1]:22",
            "root@[x]",
            "ro[t@[::1]",
            "a[::1]",
            "[::1]b",
            "root@10.0.0",
            "root@fe80::1%eth0",
            &"x".repeat(254),
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn refusals_show_the_way_out() {
        for (bad, help) in [
            (
                "web01:2222",
                "`Port 2222` for `web01` in ssh_config(5), or `ssh_options=-p 2222`",
            ),
            ("a@[::1]:22", "`Port 22` for `::1` in ssh_config(5)"),
            ("fe80::1%eth0", "`HostName fe80::1%%eth0`"),
            ("a@[fe80::1%eth0]", "`HostName fe80::1%%eth0`"),
            (
                "fe80::1%eth0",
                "write `fe80::1` with `ssh_options=-o HostName=%h%%eth0`",
            ),
            ("@all", "`file:PATH`"),
            (
                "user@",
                "write `user@HOST`, or set the user with `ssh_options=-l USER`",
            ),
        ] {
            let message = check(bad).expect_err(bad);
            assert!(message.contains(help), "{message}");
        }
    }

    #[test]
    fn ssh_takes_addresses_without_brackets() {
        for (host, ssh, name) in [
            ("web01", "web01", "web01"),
            ("[::1]", "::1", "::1"),
            ("a@b@[::1]", "a@b@::1", "::1"),
            ("root@web01", "root@web01", "web01"),
        ] {
            assert_eq!((&*for_ssh(host), bare(host)), (ssh, name));
        }
    }

    #[test]
    fn this_machine_has_several_names() {
        for yes in [
            "localhost",
            "LOCALHOST",
            "127.0.0.1",
            "127.1.2.3",
            "::1",
            "[::1]",
            "box",
            "Box.example.com",
        ] {
            assert!(is_this_machine(yes, "box.example.com"), "{yes}");
        }
        for no in ["web1", "box2", "10.0.0.1", "box.example.org"] {
            assert!(!is_this_machine(no, "box.example.com"), "{no}");
        }
    }
}
