//! How an endpoint is dialled: its addresses, their order, and how long each of them has.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::allow::{Allow, Origin};
use super::exchange::Failure;

/// Longest time an endpoint is dialled, resolution and all of its addresses included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The way to one endpoint.
#[derive(Debug)]
pub(crate) struct Dialler {
    origin: Origin,
    allow: Arc<Allow>,
    /// Addresses that did not answer when they were last dialled: the others are dialled before them.
    failed: Mutex<Vec<SocketAddr>>,
}

impl Dialler {
    pub(crate) fn new(origin: Origin, allow: Arc<Allow>) -> Self {
        Self { origin, allow, failed: Mutex::default() }
    }

    /// A stream to the first address that answers, by the deadline or in [`CONNECT_TIMEOUT`], whichever is sooner.
    /// Where that is too late the endpoint has failed, not the event: it was never shown one.
    pub(crate) async fn dial(&self, deadline: Instant) -> Result<TcpStream, Failure> {
        let deadline = deadline.min(Instant::now() + CONNECT_TIMEOUT);
        let addresses = tokio::time::timeout_at(deadline, self.addresses()).await.unwrap_or_else(|_| {
            Err(Failure::ConnectTimeout(format!("resolving {} took too long", self.origin)))
        })?;
        self.first_of(addresses, deadline).await
    }

    /// Dials one address after another. Each has its share of the time that is left, so that one that keeps silent
    /// leaves time for the others.
    async fn first_of(
        &self,
        mut addresses: Vec<SocketAddr>,
        deadline: Instant,
    ) -> Result<TcpStream, Failure> {
        self.order(&mut addresses);
        let mut told: Option<Failure> = None;
        for (at, &address) in addresses.iter().enumerate() {
            let left = u32::try_from(addresses.len() - at).unwrap_or(u32::MAX);
            let share = deadline.saturating_duration_since(Instant::now()) / left;
            let failure = match tokio::time::timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    self.failed.lock().retain(|failed| *failed != address);
                    return Ok(stream);
                }
                Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => {
                    Failure::Refused(format!("{address} refused the connection"))
                }
                Ok(Err(error)) => Failure::Broken(format!("cannot connect to {address}: {error}")),
                Err(_) => Failure::ConnectTimeout(format!("connecting to {address} took too long")),
            };
            self.remember(address);
            if told.as_ref().is_none_or(|told| telling(&failure) > telling(told)) {
                told = Some(failure);
            }
        }
        Err(told.unwrap_or_else(|| Failure::Broken(format!("{} has no address", self.origin))))
    }

    /// Puts the addresses last that failed last, and forgets failures of addresses that the endpoint has no more.
    fn order(&self, addresses: &mut [SocketAddr]) {
        let mut failed = self.failed.lock();
        failed.retain(|address| addresses.contains(address));
        addresses.sort_by_key(|address| failed.contains(address));
    }

    fn remember(&self, address: SocketAddr) {
        let mut failed = self.failed.lock();
        if !failed.contains(&address) {
            failed.push(address);
        }
    }

    /// The addresses of the endpoint that may be dialled, looked up anew: a name that turned hostile since the last
    /// dial is found out here.
    async fn addresses(&self) -> Result<Vec<SocketAddr>, Failure> {
        let port = self.origin.port();
        let found: Vec<IpAddr> = match self.origin.host() {
            Err(address) => vec![address],
            Ok(name) => tokio::net::lookup_host((name, port))
                .await
                .map_err(|error| Failure::Broken(format!("cannot resolve {name}: {error}")))?
                .map(|address| address.ip())
                .collect(),
        };
        let (allowed, forbidden): (Vec<IpAddr>, Vec<IpAddr>) =
            found.into_iter().partition(|address| self.allow.permits(&self.origin, *address));
        if allowed.is_empty()
            && let Some(address) = forbidden.first()
        {
            let origin = &self.origin;
            return Err(Failure::Forbidden(format!(
                "{origin} is at {address}, which webhooks may not reach; list http://{origin} under webhooks.allow"
            )));
        }
        Ok(allowed.into_iter().map(|address| SocketAddr::new(address, port)).collect())
    }
}

/// How much an address's failure tells of the endpoint. That nobody listens is the clearest, and excused while the app
/// is down; what is neither a refusal nor silence is often this machine's own affair, as an address family that it
/// lacks.
fn telling(failure: &Failure) -> u8 {
    match failure {
        Failure::Refused(_) => 2,
        Failure::ConnectTimeout(_) => 1,
        Failure::Broken(_) | Failure::Forbidden(_) | Failure::Timeout(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    /// Nobody can be connected to at a broadcast address, which the system says at once.
    const IMPOSSIBLE: &str = "255.255.255.255:9";

    fn dialler() -> Dialler {
        Dialler::new(Origin::parse("http://app:8080").unwrap(), Arc::default())
    }

    async fn dial(dialler: &Dialler, addresses: &[SocketAddr]) -> Result<SocketAddr, Failure> {
        let deadline = Instant::now() + Duration::from_secs(4);
        let dialling = dialler.first_of(addresses.to_vec(), deadline);
        let stream = tokio::time::timeout_at(deadline, dialling).await.expect("the deadline is kept")?;
        Ok(stream.peer_addr().unwrap())
    }

    /// A port of this loopback address.
    fn bound(ip: &str) -> (TcpSocket, SocketAddr) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(SocketAddr::new(ip.parse().unwrap(), 0)).unwrap();
        let address = socket.local_addr().unwrap();
        (socket, address)
    }

    #[tokio::test]
    #[cfg_attr(
        not(target_os = "linux"),
        ignore = "other kernels make the queue longer than they are asked to"
    )]
    async fn an_address_that_keeps_silent_leaves_time_for_the_others() {
        let (socket, silent) = bound("127.0.0.1");
        let _listener = socket.listen(0).unwrap();
        // A queue of one, and it is taken: the kernel leaves whoever connects next without an answer.
        let _queued = TcpStream::connect(silent).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let well = listener.local_addr().unwrap();
        assert_eq!(dial(&dialler(), &[silent, well]).await.unwrap(), well);
    }

    #[tokio::test]
    async fn a_refusal_is_told_before_any_other_failure() {
        let impossible: SocketAddr = IMPOSSIBLE.parse().unwrap();
        // Bound and not listened on.
        let (_socket, refusing) = bound("127.0.0.1");
        for addresses in [[refusing, impossible], [impossible, refusing]] {
            let failure = dial(&dialler(), &addresses).await.unwrap_err();
            let expected = format!("{refusing} refused the connection");
            assert!(matches!(&failure, Failure::Refused(why) if *why == expected), "{failure:?}");
        }
        let failure = dial(&dialler(), &[impossible]).await.unwrap_err();
        let expected = format!("cannot connect to {impossible}: ");
        assert!(matches!(&failure, Failure::Broken(why) if why.starts_with(&expected)), "{failure:?}");
    }

    #[tokio::test]
    async fn what_failed_last_is_dialled_last() {
        let dialler = dialler();
        let (socket, first) = bound("127.0.0.1");
        let second = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = [first, second.local_addr().unwrap()];
        assert_eq!(dial(&dialler, &addresses).await.unwrap(), addresses[1], "nobody listens at the first");
        let _listener = socket.listen(8).unwrap();
        assert_eq!(dial(&dialler, &addresses).await.unwrap(), addresses[1], "the one that answered");
        drop(second);
        assert_eq!(dial(&dialler, &addresses).await.unwrap(), first);
        assert_eq!(*dialler.failed.lock(), [addresses[1]], "an answer ends what was held against an address");
        dial(&dialler, &[first]).await.unwrap();
        assert!(dialler.failed.lock().is_empty(), "nothing is kept of an address that is gone");
    }
}
