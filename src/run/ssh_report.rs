//! Reads what ssh says about a connection that failed (SPEC §5): why, and whether the
//! server turned it away because it was overloaded.
//!
//! Only ssh's own last words count: greetings of servers and jump hosts come before
//! them, and can say anything. Where a jump host is between, the ssh that reaches it
//! says the reason, and the outer one only that its connection was closed.
#![forbid(unsafe_code)]

/// What ssh said at its end.
#[derive(Debug, PartialEq)]
pub struct SshReport {
    /// The first line that says why; `None` if ssh said nothing about it.
    pub reason: Option<String>,
    /// The server, not a program or a host between, closed the connection before it
    /// said its version, as an overloaded one does. Never after a login was refused.
    pub turned_away: bool,
}

/// Parts of ssh's lines that say why a connection failed.
const TELLING: &[&str] = &[
    "ssh: ",
    "Permission denied (",
    "Host key verification failed",
    "host key is known for",
    "has changed and you have requested strict checking",
    "Too many authentication failures",
    "Received disconnect from ",
    "Disconnected from ",
    "Unable to negotiate with ",
    "Bad configuration option",
    "Bad owner or permissions",
    "terminating, ",
    "channel 0: open failed",
    "administratively prohibited",
    "Connection timed out",
    " timed out",
    " not responding",
    "No route to host",
    "Operation timed out",
    "Corrupted MAC",
    "message authentication code incorrect",
    "Bad packet length",
    "no matching ",
    "unix_listener: ",
    "getaddrinfo",
    "command-line: line ",
    "Could not resolve",
];

/// Parts of lines that only say that the connection has ended.
const ENDED: &[&str] = &[
    "kex_exchange_identification: ",
    "ssh_exchange_identification: ",
    "banner exchange: ",
    "Connection closed by ",
    "Connection reset by ",
    " closed by remote host",
    "stdio forwarding failed",
    "client_loop: ",
    "packet_write_wait: ",
    "ssh_dispatch_run_fatal: ",
    "ssh_packet_",
    "mux_client_",
    "Broken pipe",
    "Killed by signal",
];

/// How the lines begin that report an end before the server's version has come.
const BEFORE_VERSION: &[&str] = &[
    "kex_exchange_identification: ",
    "ssh_exchange_identification: ",
];

impl SshReport {
    /// Reads the end of what ssh wrote to its standard error.
    pub fn read(stderr: &[u8]) -> SshReport {
        let text = String::from_utf8_lossy(stderr);
        let lines: Vec<&str> = text
            .lines()
            .map(str::trim_end)
            .filter(|line| !line.is_empty())
            .collect();
        let own = lines
            .iter()
            .rev()
            .take_while(|line| is_of_ssh(line))
            .count();
        let last_words = &lines[lines.len() - own..];
        let telling = last_words.iter().find(|line| !is_end(line));
        SshReport {
            reason: telling.or(last_words.first()).map(|l| l.to_string()),
            turned_away: telling.is_none() && is_turned_away(last_words),
        }
    }
}

fn has_any(line: &str, parts: &[&str]) -> bool {
    parts.iter().any(|part| line.contains(part))
}

fn is_of_ssh(line: &str) -> bool {
    is_end(line) || has_any(line, TELLING)
}

fn is_end(line: &str) -> bool {
    has_any(line, ENDED) && !line.contains(" timed out")
}

/// Whether a server closed or reset the connection before its version had come. ssh
/// calls what is behind a program or a jump host `UNKNOWN`; that end has other reasons.
fn is_turned_away(last_words: &[&str]) -> bool {
    last_words.windows(2).any(|pair| {
        let by_server = ["Connection closed by ", "Connection reset by "]
            .iter()
            .find_map(|start| pair[1].strip_prefix(start));
        BEFORE_VERSION.iter().any(|s| pair[0].starts_with(s))
            && by_server.is_some_and(|from| !from.starts_with("UNKNOWN"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(stderr: &str, reason: &str, turned_away: bool) {
        let report = SshReport {
            reason: Some(reason.to_string()).filter(|r| !r.is_empty()),
            turned_away,
        };
        assert_eq!(SshReport::read(stderr.as_bytes()), report, "{stderr}");
    }

    #[test]
    fn a_server_that_is_overloaded_turns_away() {
        let closed = "kex_exchange_identification: Connection closed by remote host\r\n";
        let reset = "kex_exchange_identification: read: Connection reset by peer\r\n";
        check(
            &format!("{reset}Connection reset by 127.0.0.2 port 2222\r\n"),
            "kex_exchange_identification: read: Connection reset by peer",
            true,
        );
        check(
            &format!("{closed}Connection closed by fe80::1 port 22\r\n"),
            "kex_exchange_identification: Connection closed by remote host",
            true,
        );
        // The jump host itself.
        check(
            &format!(
                "{closed}Connection closed by 10.0.0.1 port 22\r\n{closed}Connection closed by UNKNOWN port 65535\r\n"
            ),
            "kex_exchange_identification: Connection closed by remote host",
            true,
        );
        // Something between, which does not say why.
        check(
            &format!("{closed}Connection closed by UNKNOWN port 65535\r\n"),
            "kex_exchange_identification: Connection closed by remote host",
            false,
        );
    }

    #[test]
    fn a_login_that_was_refused_is_not_turned_away() {
        let end = "kex_exchange_identification: Connection closed by remote host\r\nConnection closed by UNKNOWN port 65535\r\n";
        let denied = "u@bastion: Permission denied (publickey).";
        check(&format!("{denied}\r\n"), denied, false);
        check(&format!("{denied}\r\n{end}"), denied, false);
        check(&format!("Welcome\n{denied}\n{end}"), denied, false);
        // A server that closes the connection in the middle of a login.
        check(
            "Connection closed by 10.0.0.1 port 22\r\n",
            "Connection closed by 10.0.0.1 port 22",
            false,
        );
        let many = "Received disconnect from 10.0.0.1 port 22:2: Too many authentication failures";
        check(
            &format!("{many}\r\nDisconnected from 10.0.0.1 port 22\r\n"),
            many,
            false,
        );
    }

    #[test]
    fn only_the_last_words_count() {
        let banner =
            "Permission denied (to all others)\nConnection refused by policy\nMind the rules\n";
        check(banner, "", false);
        let failed = "Host key verification failed.";
        check(&format!("{banner}{failed}\r\n"), failed, false);
        check(
            &format!(
                "{banner}kex_exchange_identification: read: Connection reset by peer\r\nConnection reset by 127.0.0.2 port 2222\r\n"
            ),
            "kex_exchange_identification: read: Connection reset by peer",
            true,
        );
        let open = "channel 0: open failed: connect failed: No route to host";
        check(
            &format!(
                "{open}\r\nstdio forwarding failed\r\nkex_exchange_identification: Connection closed by remote host\r\nConnection closed by UNKNOWN port 65535\r\n"
            ),
            open,
            false,
        );
        check("", "", false);
        let silent = "Connection timed out during banner exchange";
        check(
            &format!("{silent}\r\nConnection to 127.0.0.4 port 22 timed out\r\n"),
            silent,
            false,
        );
        let refused = "ssh: connect to host web1 port 22: Connection refused";
        check(&format!("{refused}\r\n"), refused, false);
        let lost = "Timeout, server 10.0.0.1 not responding.";
        check(
            &format!("some error of the command\n{lost}\r\n"),
            lost,
            false,
        );
    }
}
