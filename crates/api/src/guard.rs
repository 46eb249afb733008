use http::header::{HOST, HeaderMap, ORIGIN};
use http::request::Parts;

use crate::problem::Problem;
use crate::{Caller, Peer};

/// Keeps web pages away from a listener on this machine.
///
/// A page can make a browser send requests to localhost, under its own name (DNS rebinding: then the `Host` is the
/// page's) or across origins (then an `Origin` header tells). A service's HTTP client does neither.
#[derive(Clone, Debug, Default)]
pub(crate) struct Guard {
    /// Host names that are allowed beside this machine's own, in lower case.
    hosts: Vec<String>,
}

const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

impl Guard {
    pub(crate) fn new(hosts: &[String]) -> Self {
        Self { hosts: hosts.iter().map(|host| host.to_ascii_lowercase()).collect() }
    }

    /// Refuses a request that names a host which is not this listener's. Unix sockets are exempt: no browser reaches
    /// them, and their clients put anything there.
    pub(crate) fn check_host(&self, caller: &Caller, parts: &Parts) -> Result<(), Problem> {
        if matches!(caller.peer, Peer::Unix { .. }) {
            return Ok(());
        }
        let mut headers = parts.headers.get_all(HOST).iter();
        let header = headers.next();
        if headers.next().is_some() {
            return Err(Problem::new("bad_request", "the request has more than one host header"));
        }
        let authority = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
        if authority.is_none() && header.is_none() {
            return Err(Problem::new("bad_request", "the request has no host header"));
        }
        // HTTP/1.1 in absolute form has both, and so may HTTP/2: each must be ours.
        for host in [authority, header.map(|value| value.as_bytes())].into_iter().flatten() {
            if !self.allows(host) {
                let shown = String::from_utf8_lossy(&host[..host.len().min(100)]).into_owned();
                let hint = "is not a name of this listener; listen.hosts in the configuration allows more";
                return Err(Problem::new("host_not_allowed", format!("{shown:?} {hint}")));
            }
        }
        Ok(())
    }

    /// Refuses what a browser sends on behalf of a page.
    pub(crate) fn check_origin(headers: &HeaderMap) -> Result<(), Problem> {
        if headers.contains_key(ORIGIN) {
            let detail = "requests of web pages (with an origin header) are not taken here";
            return Err(Problem::new("origin_not_allowed", detail));
        }
        Ok(())
    }

    fn allows(&self, authority: &[u8]) -> bool {
        let Some(host) = std::str::from_utf8(authority).ok().and_then(without_port) else { return false };
        LOCAL.iter().any(|local| host.eq_ignore_ascii_case(local))
            || self.hosts.iter().any(|allowed| host.eq_ignore_ascii_case(allowed))
    }
}

/// The host of `host[:port]`, brackets of an IPv6 address kept. `None` where it is no such thing.
fn without_port(authority: &str) -> Option<&str> {
    let end = match authority.strip_prefix('[') {
        Some(rest) => rest.find(']')? + 2,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(end);
    let port = port.strip_prefix(':').unwrap_or(port);
    (!host.is_empty() && port.bytes().all(|b| b.is_ascii_digit())).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machines_and_configured_names_are_allowed() {
        let guard = Guard::new(&["Orders.example".into()]);
        for host in
            ["localhost", "LOCALHOST:3500", "127.0.0.1:3500", "[::1]:3500", "[::1]", "orders.example:80"]
        {
            assert!(guard.allows(host.as_bytes()), "{host}");
        }
        for host in [
            "",
            ":3500",
            "evil.example",
            "localhost.evil.example",
            "localhost:3500@evil.example",
            "user@localhost",
            "localhost:x",
            "127.0.0.1.nip.io",
            "[::1",
            "::1",
            "[::2]:1",
            "localhost.",
        ] {
            assert!(!guard.allows(host.as_bytes()), "{host}");
        }
    }
}
