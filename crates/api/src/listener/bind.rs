use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpSocket;

use super::socket::{Socket, SocketFile, bind_unix};

/// An address that is taken, and not answered on yet: connections wait until [`serve`](super::serve).
#[derive(Debug)]
pub struct Listener {
    sockets: Vec<Socket>,
    address: String,
    port: Option<u16>,
    file: Option<Arc<SocketFile>>,
}

/// Why an address could not be taken.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {kind}")]
pub struct BindError {
    /// The address, as it was given.
    pub address: String,
    pub kind: BindErrorKind,
}

#[derive(Debug)]
pub enum BindErrorKind {
    /// Somebody listens there already.
    InUse,
    /// Not an address: the text says what one looks like.
    Invalid(&'static str),
    /// Anything else that the system says: no permission, no such interface, no such directory.
    Io(io::Error),
}

impl fmt::Display for BindErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse => f.write_str("the address is in use"),
            Self::Invalid(why) => f.write_str(why),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl From<io::Error> for BindErrorKind {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::AddrInUse { Self::InUse } else { Self::Io(error) }
    }
}

/// Connections that wait in the kernel to be accepted.
const BACKLOG: u32 = 1024;

impl Listener {
    /// Takes an address: `localhost:PORT` (both loopbacks), `HOST:PORT`, or `unix:PATH`. Port 0 picks a free one, the
    /// same for both loopbacks.
    pub async fn bind(address: &str) -> Result<Self, BindError> {
        let failed = |kind| BindError { address: address.to_owned(), kind };
        if let Some(path) = address.strip_prefix("unix:") {
            return Self::bind_unix(Path::new(path)).await.map_err(failed);
        }
        Self::bind_tcp(address).await.map_err(failed)
    }

    async fn bind_unix(path: &Path) -> Result<Self, BindErrorKind> {
        let (socket, file) = bind_unix(path).await?;
        let address = format!("unix:{}", path.display());
        Ok(Self { sockets: vec![socket], address, port: None, file: Some(Arc::new(file)) })
    }

    async fn bind_tcp(address: &str) -> Result<Self, BindErrorKind> {
        const SHAPE: &str = "not an address; give HOST:PORT, [IPV6]:PORT or unix:PATH";
        let (host, port) = address.rsplit_once(':').ok_or(BindErrorKind::Invalid(SHAPE))?;
        let port: u16 = port.parse().map_err(|_| BindErrorKind::Invalid(SHAPE))?;
        let (sockets, port) = if host.eq_ignore_ascii_case("localhost") {
            both_loopbacks(port)?
        } else {
            let mut candidates = tokio::net::lookup_host(address).await?;
            let first = candidates.next().ok_or(BindErrorKind::Invalid("the host has no address"))?;
            listen(first).map(|(socket, port)| (vec![socket], port))?
        };
        Ok(Self { sockets, address: format!("{host}:{port}"), port: Some(port), file: None })
    }

    /// The address with the port that was picked, as a client would write it.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// `None` for a Unix socket.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    pub(super) fn into_sockets(self) -> (Vec<Socket>, Option<Arc<SocketFile>>) {
        (self.sockets, self.file)
    }
}

/// Both loopbacks at one port: what `localhost` means to a client depends on its resolver.
fn both_loopbacks(port: u16) -> Result<(Vec<Socket>, u16), BindErrorKind> {
    // A port that is free on one may be taken on the other; then another one is picked.
    const TRIES: usize = 16;
    let mut left = if port == 0 { TRIES } else { 1 };
    loop {
        left -= 1;
        let (v4, picked) = listen((IpAddr::V4(Ipv4Addr::LOCALHOST), port).into())?;
        match listen((IpAddr::V6(Ipv6Addr::LOCALHOST), picked).into()) {
            Ok((v6, _)) => return Ok((vec![v4, v6], picked)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && left > 0 => {}
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(BindErrorKind::InUse),
            // A machine without IPv6 has one loopback.
            Err(_) => return Ok((vec![v4], picked)),
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<(Socket, u16)> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart must not wait for connections of the former process to leave TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?;
    let port = listener.local_addr()?.port();
    Ok((Socket::Tcp(listener), port))
}
