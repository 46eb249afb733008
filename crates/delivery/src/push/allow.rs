//! Which addresses a webhook may be dialled at, decided after name resolution on every dial.

use std::collections::HashSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

/// A host and a port that webhooks may have beyond loopback: `http://payments:8080`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    host: Host,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Host {
    /// Lower case, without a trailing dot.
    Name(Box<str>),
    /// An address literal, IPv4-mapped ones as IPv4.
    Address(IpAddr),
}

/// The origins that the configuration lists.
#[derive(Clone, Debug, Default)]
pub(crate) struct Allow(HashSet<Origin>);

impl Origin {
    /// Reads `http://HOST:PORT` or `http://HOST` (port 80); anything after the authority but a single `/` is refused,
    /// because an origin is what is dialled, not what is requested.
    pub fn parse(text: &str) -> Result<Self, String> {
        let uri: http::Uri =
            text.parse().map_err(|error| format!("{text:?} is no http://HOST:PORT: {error}"))?;
        if uri.path() != "/" || uri.query().is_some() {
            return Err(format!("{text:?} has a path; an origin is http://HOST:PORT alone"));
        }
        Self::of(&uri).map_err(|why| format!("{text:?}: {why}"))
    }

    /// The origin of an absolute `http` URI.
    pub fn of(uri: &http::Uri) -> Result<Self, &'static str> {
        if uri.scheme_str() != Some("http") {
            return Err("only http:// can be dialled");
        }
        let authority = uri.authority().ok_or("no host is named")?;
        if authority.as_str().contains('@') {
            return Err("a user name in the URI is not supported");
        }
        let host = authority.host();
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let host = match bare.parse::<IpAddr>() {
            Ok(address) => Host::Address(address.to_canonical()),
            Err(_) if bare.is_empty() => return Err("no host is named"),
            Err(_) => Host::Name(bare.trim_end_matches('.').to_ascii_lowercase().into()),
        };
        Ok(Self { host, port: authority.port_u16().unwrap_or(80) })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The name to resolve, or the address that needs no resolution.
    pub(crate) fn host(&self) -> Result<&str, IpAddr> {
        match &self.host {
            Host::Name(name) => Ok(name),
            Host::Address(address) => Err(*address),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Name(name) => write!(f, "{name}:{}", self.port),
            Host::Address(IpAddr::V4(address)) => write!(f, "{address}:{}", self.port),
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
        }
    }
}

impl Allow {
    pub(crate) fn new(origins: impl IntoIterator<Item = Origin>) -> Self {
        Self(origins.into_iter().collect())
    }

    /// Whether this address, which `origin` resolved to just now, may be dialled.
    ///
    /// Loopback always may. Any other address only for a listed origin, and a listed *name* never reaches an address
    /// that no service has but that a hostile resolver would answer (link-local with its metadata services, multicast,
    /// unspecified, or such an address behind NAT64): who means such an address lists it literally.
    pub(crate) fn permits(&self, origin: &Origin, address: IpAddr) -> bool {
        let address = address.to_canonical();
        if address.is_loopback() {
            return true;
        }
        if !self.0.contains(origin) {
            return false;
        }
        match origin.host {
            Host::Address(_) => true,
            Host::Name(_) => !never_a_service(address),
        }
    }
}

fn never_a_service(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => never_a_service_v4(address),
        IpAddr::V6(address) => {
            // The loopback of a NAT64 gateway is not ours.
            let behind_nat64 = nat64(address.segments())
                .is_some_and(|address| address.is_loopback() || never_a_service_v4(address));
            let link_local = address.segments()[0] & 0xffc0 == 0xfe80;
            behind_nat64 || link_local || address.is_unspecified() || address.is_multicast()
        }
    }
}

fn never_a_service_v4(address: Ipv4Addr) -> bool {
    address.is_link_local() || address.is_unspecified() || address.is_multicast() || address.is_broadcast()
}

/// The IPv4 address inside an address of the well-known NAT64 prefix 64:ff9b::/96 (RFC 6052 §2.1).
fn nat64(segments: [u16; 8]) -> Option<Ipv4Addr> {
    let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = segments else { return None };
    Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permits(listed: &[&str], uri: &str, address: &str) -> bool {
        let allow = Allow::new(listed.iter().map(|origin| Origin::parse(origin).unwrap()));
        allow.permits(&Origin::of(&uri.parse().unwrap()).unwrap(), address.parse().unwrap())
    }

    #[test]
    fn loopback_is_always_allowed_in_every_spelling() {
        for address in ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"] {
            assert!(permits(&[], "http://app:8080", address), "{address} is loopback");
        }
    }

    #[test]
    fn any_other_address_needs_its_origin_listed() {
        for address in
            ["10.0.0.5", "::ffff:10.0.0.5", "169.254.169.254", "0.0.0.0", "64:ff9b::7f00:1", "fd00::1"]
        {
            assert!(!permits(&[], "http://payments:8080", address), "{address} is not listed");
        }
        assert!(permits(&["http://payments:8080"], "http://Payments.:8080", "10.0.0.5"));
        assert!(!permits(&["http://payments:8080"], "http://payments:8081", "10.0.0.5"), "another port");
        assert!(!permits(&["http://payments:8080"], "http://orders:8080", "10.0.0.5"), "another host");
        assert!(permits(&["http://payments"], "http://payments:80", "10.0.0.5"), "80 is the default port");
    }

    #[test]
    fn address_literals_are_compared_without_their_mapping() {
        assert!(permits(&["http://10.0.0.5:80"], "http://[::ffff:10.0.0.5]:80", "::ffff:10.0.0.5"));
        assert!(!permits(&["http://10.0.0.5:80"], "http://[::ffff:10.0.0.6]:80", "::ffff:10.0.0.6"));
    }

    #[test]
    fn a_listed_name_that_resolves_to_a_metadata_service_is_refused() {
        for address in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b::7f00:1",
            "fe80::1",
            "0.0.0.0",
            "::",
            "224.0.0.1",
        ] {
            assert!(!permits(&["http://payments:80"], "http://payments:80", address), "{address}");
        }
        assert!(
            permits(&["http://169.254.1.1:80"], "http://169.254.1.1:80", "169.254.1.1"),
            "listed literally"
        );
    }

    #[test]
    fn what_is_no_origin_is_refused_with_the_reason() {
        for text in
            ["payments:8080/x", "https://payments", "http://a:80/path", "http://u@a:80", "ftp://a", ""]
        {
            assert!(Origin::parse(text).is_err(), "{text:?}");
        }
    }
}
