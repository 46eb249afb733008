//! Where Postrider listens, and whom it may call.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use http::Uri;

use crate::text::{Text, text_value};

/// Where a listener is bound.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// `localhost:3500`: the loopback addresses of both IPv4 and IPv6.
    Localhost { port: u16 },
    /// `0.0.0.0:3581`, `[::1]:3500`.
    Socket(SocketAddr),
    /// `unix:/run/postrider/app.sock`.
    Unix(PathBuf),
}

/// Scheme, host and port of an HTTP server: `http://payments:8080`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// In lower case; an IPv6 address in its brackets.
    pub host: String,
    pub port: u16,
}

/// Where a subscription's events are sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum To {
    /// A path below the app's URL, with its query if it has one: `/events/orders`.
    Path(String),
    /// A whole URL: `http://payments:8080/events`.
    Url(Url),
}

/// An absolute `http` URL without credentials or fragment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Url {
    uri: Uri,
    origin: Origin,
}

impl Address {
    /// True where only this host reaches it.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Localhost { .. } | Self::Unix(_) => true,
            Self::Socket(address) => address.ip().is_loopback(),
        }
    }

    /// The sockets to bind; none for a Unix socket.
    pub fn sockets(&self) -> Vec<SocketAddr> {
        match self {
            Self::Localhost { port } => vec![
                SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), *port),
                SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), *port),
            ],
            Self::Socket(address) => vec![*address],
            Self::Unix(_) => Vec::new(),
        }
    }

    /// True where the two cannot both be bound. Port 0 is another port each time.
    pub(crate) fn clashes(&self, other: &Self) -> bool {
        if let (Self::Unix(a), Self::Unix(b)) = (self, other) {
            return a == b;
        }
        self.sockets().iter().any(|a| {
            other.sockets().iter().any(|b| {
                let (a_ip, b_ip) = (a.ip(), b.ip());
                let same = a_ip == b_ip
                    || (a_ip.is_unspecified() && (a_ip.is_ipv6() || b_ip.is_ipv4()))
                    || (b_ip.is_unspecified() && (b_ip.is_ipv6() || a_ip.is_ipv4()));
                a.port() != 0 && a.port() == b.port() && same
            })
        })
    }
}

impl Origin {
    /// True for this host's own addresses, by which alone a webhook is reached without being listed.
    pub fn is_loopback(&self) -> bool {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

impl Url {
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The URL of a path below this one.
    pub fn join(&self, path: &str) -> Result<Uri, http::Error> {
        let below = self.uri.path().trim_end_matches('/');
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        Uri::builder().scheme("http").authority(authority).path_and_query(format!("{below}{path}")).build()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Localhost { port } => write!(f, "localhost:{port}"),
            Self::Socket(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}", self.host, self.port)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.uri)
    }
}

impl fmt::Display for To {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => f.write_str(path),
            Self::Url(url) => write!(f, "{url}"),
        }
    }
}

impl Text for Address {
    const NOUN: &'static str = "an address to listen on";
    const HINT: &'static str =
        "Write `localhost:PORT` for both loopback addresses, `IP:PORT`, or `unix:PATH` for a Unix socket.";
    const PATTERN: &'static str = r"localhost:[0-9]+|unix:.+|[0-9.]+:[0-9]+|\[[0-9A-Fa-f:.]+\]:[0-9]+";
    const EXAMPLES: &'static [&'static str] =
        &["localhost:3500", "0.0.0.0:3581", "unix:/run/postrider/app.sock"];

    fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.len() {
                0 => Err("its path is missing".to_owned()),
                // The kernel's `sun_path` holds 108 bytes on Linux and 104 elsewhere, with a NUL at the end.
                104.. => Err("a Unix socket's path has at most 103 bytes".to_owned()),
                _ => Ok(Self::Unix(path.into())),
            };
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(|| "its port is missing".to_owned())?;
        if !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err("its port must be a number".to_owned());
        }
        let port: u16 = port.parse().map_err(|_| "its port must be between 0 and 65535".to_owned())?;
        if host == "localhost" {
            return Ok(Self::Localhost { port });
        }
        let address: Result<SocketAddr, _> = text.parse();
        address.map(Self::Socket).map_err(|_| "its host must be `localhost` or an IP address".to_owned())
    }

    fn placeholder() -> Self {
        Self::Localhost { port: 0 }
    }
}

impl Text for Url {
    const NOUN: &'static str = "an http URL";
    const HINT: &'static str = "Write `http://HOST:PORT/PATH`; https comes with a later release.";
    const PATTERN: &'static str = "http://[^/@#?]+(?:/[^#]*)?";
    const EXAMPLES: &'static [&'static str] = &["http://127.0.0.1:8080"];

    fn parse(text: &str) -> Result<Self, String> {
        if text.contains('#') {
            return Err("it must have no fragment".to_owned());
        }
        let uri: Uri = text.parse().map_err(|error: http::uri::InvalidUri| error.to_string())?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err("only http is spoken".to_owned()),
            _ => return Err("it must begin with `http://`".to_owned()),
        }
        let authority = uri.authority().ok_or_else(|| "its host is missing".to_owned())?;
        if authority.as_str().contains('@') {
            return Err("it must hold no credentials".to_owned());
        }
        if authority.host().is_empty() {
            return Err("its host is missing".to_owned());
        }
        if !is_host(authority.host()) {
            return Err("its host is neither a name nor an IP address".to_owned());
        }
        if authority.as_str().ends_with(':') || (authority.port().is_some() && authority.port_u16().is_none())
        {
            return Err("its port must be between 0 and 65535".to_owned());
        }
        let port = authority.port_u16().unwrap_or(80);
        if port == 0 {
            return Err("nothing can be reached on port 0".to_owned());
        }
        let origin = Origin { host: authority.host().to_ascii_lowercase(), port };
        Ok(Self { uri, origin })
    }

    fn placeholder() -> Self {
        let origin = Origin { host: "localhost".to_owned(), port: 80 };
        Self { uri: Uri::from_static("http://localhost/"), origin }
    }
}

/// A name as resolvers take it, an IPv4 address, or an IPv6 address in brackets. `http` lets more through.
fn is_host(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')),
    }
}

impl Text for Origin {
    const NOUN: &'static str = "the origin of a webhook";
    const HINT: &'static str = "Write `http://HOST:PORT`, without a path.";
    const PATTERN: &'static str = "http://[^/@#?]+/?";
    const EXAMPLES: &'static [&'static str] = &["http://payments:8080"];

    fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text)?;
        match url.uri.path_and_query().map(http::uri::PathAndQuery::as_str) {
            None | Some("" | "/") => Ok(url.origin),
            Some(_) => Err("it must have no path".to_owned()),
        }
    }

    fn placeholder() -> Self {
        Url::placeholder().origin
    }
}

impl Text for To {
    const NOUN: &'static str = "a webhook";
    const HINT: &'static str =
        "Write a path below the app's URL, `/events/orders`, or a whole URL, `http://HOST:PORT/PATH`.";
    const PATTERN: &'static str = "/[^#]*|http://[^/@#?]+(?:/[^#]*)?";
    const EXAMPLES: &'static [&'static str] = &["/events/orders", "http://payments:8080/events"];

    fn parse(text: &str) -> Result<Self, String> {
        if !text.starts_with('/') {
            return Url::parse(text).map(Self::Url);
        }
        if text.contains('#') {
            return Err("it must have no fragment".to_owned());
        }
        match text.parse::<http::uri::PathAndQuery>() {
            Ok(_) => Ok(Self::Path(text.to_owned())),
            Err(error) => Err(error.to_string()),
        }
    }

    fn placeholder() -> Self {
        Self::Url(Url::placeholder())
    }
}

text_value!(Address);
text_value!(Url);
text_value!(Origin);
text_value!(To);
