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
            "h:22",
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
