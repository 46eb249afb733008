//! One subscription's connections to its webhook: HTTP/1.1, kept alive, driven by whoever uses them.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep};

use super::dial::Dialler;
use super::exchange::Failure;

/// Longest time that a connection lies idle. Most servers close theirs earlier.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// Most bytes of an answer's head.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// A connection and the state machine that drives it. No task of its own: it moves only while an attempt polls it, so
/// that dropping the attempt closes the socket at that very moment, and an attempt's end is its connection's end.
pub(crate) struct Connection {
    pub(crate) sender: http1::SendRequest<Full<Bytes>>,
    driver: Driver,
    idle_since: Instant,
}

/// What moves a connection's bytes.
type Io = http1::Connection<TokioIo<TcpStream>, Full<Bytes>>;

pub(crate) struct Driver {
    /// `None`: it has ended. Dropped at that moment, it gives back a request that it has not begun to write.
    io: Option<Pin<Box<Io>>>,
    /// One for all requests: to move a timer back costs far less than to arm a new one.
    timer: Pin<Box<Sleep>>,
}

/// The deadline has passed.
pub(crate) struct Late;

impl Driver {
    fn poll(&mut self, cx: &mut Context<'_>) {
        drop(self.io.take_if(|io| io.as_mut().poll(cx).is_ready()));
    }

    /// Polls `future` with the connection moving beside it, until the deadline. Cancel-safe as far as `future` is.
    pub(crate) async fn along<F: Future>(&mut self, deadline: Instant, future: F) -> Result<F::Output, Late> {
        let mut future = pin!(future);
        if self.timer.deadline() != deadline {
            self.timer.as_mut().reset(deadline);
        }
        std::future::poll_fn(|cx| {
            self.poll(cx);
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            // A task that has spent its budget is late all the same.
            pin!(unconstrained(self.timer.as_mut())).poll(cx).map(|()| Err(Late))
        })
        .await
    }
}

impl Connection {
    pub(crate) fn split(&mut self) -> (&mut http1::SendRequest<Full<Bytes>>, &mut Driver) {
        (&mut self.sender, &mut self.driver)
    }

    /// Whether it can carry another request, as far as is known without a look at the socket: that one is taken when the
    /// request is sent, which comes back unwritten where the server has closed meanwhile.
    async fn is_usable(&mut self, deadline: Instant) -> Result<bool, Late> {
        let (sender, driver) = self.split();
        Ok(sender.is_ready() || driver.along(deadline, sender.ready()).await?.is_ok())
    }

    /// Lets it do what is left when an answer has been read, if anything is.
    pub(crate) async fn settle(&mut self) {
        if !self.sender.is_ready() {
            std::future::poll_fn(|cx| {
                self.driver.poll(cx);
                Poll::Ready(())
            })
            .await;
        }
    }
}

/// The idle connections of one subscription to its one endpoint, and the way to make new ones.
pub(crate) struct Pool {
    dialler: Dialler,
    idle: Mutex<Vec<Connection>>,
    idle_max: usize,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("dialler", &self.dialler).finish_non_exhaustive()
    }
}

impl Pool {
    pub(crate) fn new(dialler: Dialler, idle_max: usize) -> Self {
        Self { dialler, idle: Mutex::default(), idle_max }
    }

    /// An idle connection that still stands, the most recently used first. `None`: dial.
    pub(crate) async fn reuse(&self, now: Instant, deadline: Instant) -> Result<Option<Connection>, Late> {
        loop {
            let Some(mut connection) = self.idle.lock().pop() else { return Ok(None) };
            let idle = now.saturating_duration_since(connection.idle_since);
            if idle < IDLE_MAX && connection.is_usable(deadline).await? {
                return Ok(Some(connection));
            }
        }
    }

    /// Puts a connection back whose answer was read to its end.
    pub(crate) fn put_back(&self, mut connection: Connection) {
        if connection.driver.io.is_none() || connection.sender.is_closed() {
            return;
        }
        connection.idle_since = Instant::now();
        let mut idle = self.idle.lock();
        if idle.len() < self.idle_max {
            idle.push(connection);
        }
    }

    /// Lets go of connections that have been idle for too long. The oldest stand first, because reuse takes the last.
    pub(crate) fn prune(&self) {
        self.idle.lock().retain(|connection| connection.idle_since.elapsed() < IDLE_MAX);
    }

    /// A new connection, by the deadline at the latest.
    pub(crate) async fn dial(&self, deadline: Instant) -> Result<Connection, Failure> {
        let stream = self.dialler.dial(deadline).await?;
        // A request is written whole; waiting to fill a segment would only delay it. A socket that refuses the option
        // still works.
        drop(stream.set_nodelay(true));
        let (sender, io) = http1::Builder::new()
            .max_header_size(HEAD_BYTES_MAX)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Failure::Broken(error.to_string()))?;
        let driver = Driver { io: Some(Box::pin(io)), timer: Box::pin(tokio::time::sleep_until(deadline)) };
        Ok(Connection { sender, driver, idle_since: Instant::now() })
    }
}
