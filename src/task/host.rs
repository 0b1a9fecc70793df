//! Checks host names (SPEC §1.1), and recognises those of this machine.
#![forbid(unsafe_code)]

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
        return Err(format!("the user before the `@` is missing in `{host}`"));
    }
    if host.ends_with('@') {
        return Err(format!("the host after the `@` is missing in `{host}`"));
    }
    check_port_and_zone(host)?;
    if let Some(inner) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        return match inner.parse::<Ipv6Addr>() {
            Ok(_) => Ok(()),
            Err(_) => Err(format!("`{host}` is not an IPv6 address")),
        };
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-:@".contains(c);
    if let Some(bad) = host.chars().find(|c| !allowed(*c)) {
        return Err(format!("a host name cannot contain `{bad}`"));
    }
    let numeric = host.chars().all(|c| c.is_ascii_digit() || c == '.');
    if numeric && host.parse::<Ipv4Addr>().is_err() {
        return Err(format!("`{host}` is not an IPv4 address"));
    }
    Ok(())
}

/// A port and the zone of an address are not part of a name here: no exec type would
/// take them apart.
fn check_port_and_zone(host: &str) -> Result<(), String> {
    if let Some((_, zone)) = host.split_once('%') {
        let zone = zone.trim_end_matches(']');
        return Err(format!(
            "a host name cannot contain `%`; set the address with the zone `%{zone}` as HostName in ssh_config(5)"
        ));
    }
    let Some((name, port)) = host.rsplit_once(':') else {
        return Ok(());
    };
    let is_port = !port.is_empty() && port.chars().all(|c| c.is_ascii_digit());
    if is_port && (!name.contains(':') || name.ends_with(']')) {
        return Err(format!(
            "`{host}`: a host name cannot include a port; set port {port} for `{name}` in ssh_config(5)"
        ));
    }
    Ok(())
}

/// Whether the host is this machine: `localhost`, a loopback address, or the
/// machine's own name `own`.
pub fn is_this_machine(host: &str, own: &str) -> bool {
    let bare = host
        .strip_prefix('[')
        .and_then(|h| h.strip_suffix(']'))
        .unwrap_or(host);
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
            "user@",
            &"x".repeat(254),
        ] {
            assert!(check(bad).is_err(), "{bad}");
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
