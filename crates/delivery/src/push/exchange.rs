//! One POST and its answer, bounded in time and bytes.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::connection::{Connection, Driver, Late, Pool};

/// Most bytes of an answer that are read before its connection is given up.
pub(crate) const BODY_READ_MAX: usize = 64 * 1024;
/// Bytes of an answer that are kept for dead letters.
pub(crate) const HEAD_KEPT: usize = 1024;

/// Why there is no answer. The texts are for operators: dead letters, status, the log.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nobody listens there.
    Refused(String),
    /// Reset, closed, unresolvable, or not HTTP.
    Broken(String),
    /// The address is none that webhooks may have.
    Forbidden(String),
    /// Nobody accepted the connection in time: the endpoint's failure, not the event's.
    ConnectTimeout(String),
    /// The answer did not begin in time.
    Timeout(Duration),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(why) | Self::Broken(why) | Self::Forbidden(why) | Self::ConnectTimeout(why) => {
                f.write_str(why)
            }
            Self::Timeout(after) => write!(f, "no answer within {after:?}"),
        }
    }
}

/// An answer: its status counts even where its body could not be read.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// As much of the body as was asked for.
    pub(crate) body: Bytes,
    /// Whether `body` is all of it.
    pub(crate) rest: Rest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    Complete,
    /// There was more than was asked for.
    Longer,
    /// It broke off, or did not end in time.
    BrokenOff,
}

/// POSTs and reads the answer, keeping at most `keep` bytes of its body; `begun`: now. Dropping the future closes the
/// connection.
pub(crate) async fn exchange(
    pool: &Pool,
    request: Request<Full<Bytes>>,
    begun: Instant,
    timeout: Duration,
    keep: usize,
) -> Result<Received, Failure> {
    let deadline = begun + timeout;
    let late = |Late| Failure::Timeout(timeout);
    let (mut connection, response) = send(pool, request, begun, deadline, late).await?;
    let (head, mut body) = response.into_parts();
    let mut kept = Kept::default();
    let end = read(connection.split().1, &mut body, &mut kept, keep, deadline).await;
    if end == End::Reached {
        drop(body);
        connection.settle().await;
        pool.put_back(connection);
    }
    let rest = match end {
        End::BrokenOff => Rest::BrokenOff,
        End::TooFar => Rest::Longer,
        End::Reached if kept.dropped => Rest::Longer,
        End::Reached => Rest::Complete,
    };
    Ok(Received { status: head.status, headers: head.headers, body: kept.into_bytes(), rest })
}

/// Sends on an idle connection, or else on a new one. A request is sent again only where it provably was not written, so
/// that one attempt is one POST.
async fn send(
    pool: &Pool,
    mut request: Request<Full<Bytes>>,
    begun: Instant,
    deadline: Instant,
    late: impl Fn(Late) -> Failure,
) -> Result<(Connection, http::Response<Incoming>), Failure> {
    loop {
        let idle = pool.reuse(begun, deadline).await.map_err(&late)?;
        let is_new = idle.is_none();
        let mut connection = match idle {
            Some(connection) => connection,
            // Rare, and too large to be moved about with every attempt.
            None => Box::pin(pool.dial(deadline)).await?,
        };
        let (sender, driver) = connection.split();
        match driver.along(deadline, sender.try_send_request(request)).await.map_err(&late)? {
            Ok(response) => return Ok((connection, response)),
            Err(mut error) => match error.take_message() {
                Some(unwritten) if !is_new => request = unwritten,
                _ => return Err(broken(error.error())),
            },
        }
    }
}

fn broken(error: &hyper::Error) -> Failure {
    use std::error::Error as _;
    Failure::Broken(match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    })
}

/// How far a body was read. Only a connection at a message's end can be used again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Reached,
    TooFar,
    BrokenOff,
}

/// Reads the body while it is short enough.
async fn read(
    driver: &mut Driver,
    body: &mut Incoming,
    kept: &mut Kept,
    keep: usize,
    deadline: Instant,
) -> End {
    let mut read = 0;
    let read_max = keep.max(BODY_READ_MAX);
    while !body.is_end_stream() {
        let frame = match driver.along(deadline, body.frame()).await {
            Ok(None) => break,
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(_))) | Err(Late) => return End::BrokenOff,
        };
        let Ok(data) = frame.into_data() else { continue };
        read += data.len();
        kept.push(data, keep);
        if read > read_max {
            return End::TooFar;
        }
    }
    End::Reached
}

/// Collects a body; one that comes in a single frame is not copied.
#[derive(Default)]
struct Kept {
    first: Bytes,
    all: BytesMut,
    /// Whether some of it was beyond what is kept.
    dropped: bool,
}

impl Kept {
    fn push(&mut self, mut data: Bytes, keep: usize) {
        let have = self.first.len().max(self.all.len());
        let room = keep.saturating_sub(have);
        self.dropped |= data.len() > room;
        data.truncate(room);
        if have == 0 {
            self.first = data;
            return;
        }
        if self.all.is_empty() {
            self.all.extend_from_slice(&self.first);
        }
        self.all.extend_from_slice(&data);
    }

    fn into_bytes(self) -> Bytes {
        if self.all.is_empty() { self.first } else { self.all.freeze() }
    }
}
