//! One POST and its answer, bounded in time and bytes.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::sync::SemaphorePermit;
use tokio::time::Instant;

use super::connection::{Connection, Late, Pool};
use crate::room::Room;

/// Most bytes of an answer that are read before its connection is given up.
pub(crate) const BODY_READ_MAX: usize = 64 * 1024;
/// Bytes of an answer that are kept for dead letters.
pub(crate) const HEAD_KEPT: usize = 1024;
/// Bytes of a reply that take no room: about as many as a connection reads at once.
const UNCOUNTED: usize = 8 * 1024;

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
    /// There was no room for it in time.
    NoRoom,
}

/// How much of an answer's body is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Keep<'a> {
    /// What a dead letter shows of it.
    Head,
    /// All of it where it has at most so many bytes. One with more than [`UNCOUNTED`] waits for room.
    Whole { bytes_max: usize, room: &'a Room },
}

/// An answer of which the head has come. Dropping it closes the connection.
pub(crate) struct Answering<'a> {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    body: Incoming,
    connection: Connection,
    pool: &'a Pool,
    deadline: Instant,
}

/// POSTs and waits for the answer's head; `begun`: now. Dropping the future closes the connection.
pub(crate) async fn exchange(
    pool: &Pool,
    request: Request<Full<Bytes>>,
    begun: Instant,
    timeout: Duration,
) -> Result<Answering<'_>, Failure> {
    let deadline = begun + timeout;
    let late = |Late| Failure::Timeout(timeout);
    let (connection, response) = send(pool, request, begun, deadline, late).await?;
    let (head, body) = response.into_parts();
    Ok(Answering { status: head.status, headers: head.headers, body, connection, pool, deadline })
}

impl Answering<'_> {
    /// Reads the body, and the room that it takes where it takes any, which is to be held as long as the body is.
    pub(crate) async fn read<'r>(mut self, keep: Keep<'r>) -> (Received, Option<SemaphorePermit<'r>>) {
        let mut kept = Kept::default();
        let mut taken = None;
        let end = self.pull(keep, &mut kept, &mut taken).await;
        let Self { status, headers, body, mut connection, pool, .. } = self;
        if end == End::Reached {
            drop(body);
            connection.settle().await;
            pool.put_back(connection);
        }
        let rest = match end {
            End::BrokenOff => Rest::BrokenOff,
            End::NoRoom => Rest::NoRoom,
            End::TooFar => Rest::Longer,
            End::Reached if kept.dropped => Rest::Longer,
            End::Reached => Rest::Complete,
        };
        if let Some(taken) = &mut taken {
            // It was taken for as much as might have come.
            drop(taken.split(taken.num_permits().saturating_sub(kept.len())));
        }
        (Received { status, headers, body: kept.into_bytes(), rest }, taken)
    }

    /// Reads the body while it is short enough.
    async fn pull<'r>(
        &mut self,
        keep: Keep<'r>,
        kept: &mut Kept,
        taken: &mut Option<SemaphorePermit<'r>>,
    ) -> End {
        let least = bytes(self.body.size_hint().lower());
        let (keep, room) = match keep {
            // Nothing can be made of a part of it.
            Keep::Whole { bytes_max, .. } if least > bytes_max => (HEAD_KEPT, None),
            Keep::Whole { bytes_max, room } => (bytes_max, Some(room)),
            Keep::Head => (HEAD_KEPT, None),
        };
        let read_max = keep.max(BODY_READ_MAX);
        let (body, driver, deadline) = (&mut self.body, self.connection.split().1, self.deadline);
        let mut read = 0;
        loop {
            let to_come = body.size_hint();
            if let Some(room) = room
                && taken.is_none()
                && bytes(to_come.lower()).saturating_add(read) > UNCOUNTED
            {
                // All at once, because who holds some and waits for more may wait for ever.
                let most = to_come.exact().map_or(keep, |rest| bytes(rest).saturating_add(read));
                match driver.along(deadline, room.take(most as u64, None)).await {
                    Ok(room) => *taken = room,
                    Err(Late) => return End::NoRoom,
                }
            }
            if body.is_end_stream() {
                return End::Reached;
            }
            let frame = match driver.along(deadline, body.frame()).await {
                Ok(None) => return End::Reached,
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
    }
}

fn bytes(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
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
    NoRoom,
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
        let have = self.len();
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

    fn len(&self) -> usize {
        self.first.len().max(self.all.len())
    }

    fn into_bytes(self) -> Bytes {
        if self.all.is_empty() { self.first } else { self.all.freeze() }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;

    use super::super::Push;
    use super::*;
    use crate::room::BYTES_MAX;

    const LARGE: usize = 20 * 1024;
    /// What must come in the end, comes long before.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// A webhook that answers every request with these bytes.
    struct Hook {
        pool: Pool,
        uri: http::Uri,
        _tasks: JoinSet<()>,
    }

    impl Hook {
        async fn start(answer: String) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let uri: http::Uri = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
            let mut tasks = JoinSet::new();
            tasks.spawn(async move {
                let mut answered = Vec::new();
                loop {
                    let (mut stream, _) = listener.accept().await.unwrap();
                    let mut request = Vec::new();
                    while !request.ends_with(b"\r\n\r\n") {
                        assert!(stream.read_buf(&mut request).await.unwrap() > 0, "a whole request comes");
                    }
                    // A client that has read enough closes.
                    stream.write_all(answer.as_bytes()).await.ok();
                    answered.push(stream);
                }
            });
            Self { pool: Push::default().pool(&uri, 0).unwrap(), uri, _tasks: tasks }
        }

        async fn answering(&self) -> Answering<'_> {
            let request = Request::get(&self.uri).body(Full::default()).unwrap();
            exchange(&self.pool, request, Instant::now(), PATIENCE).await.unwrap()
        }
    }

    fn sized(bytes: usize) -> String {
        format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n{}", "x".repeat(bytes))
    }

    fn chunked(bytes: usize) -> String {
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        format!("{head}{bytes:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(bytes))
    }

    fn take_all(room: &Room) -> SemaphorePermit<'_> {
        room.take(BYTES_MAX.into(), None).now_or_never().flatten().expect("there is room")
    }

    #[tokio::test]
    async fn a_large_reply_has_room_and_a_small_one_needs_none() {
        let room = Room::new();
        let keep = Keep::Whole { bytes_max: 2 * LARGE, room: &room };
        for answer in [sized(LARGE), chunked(LARGE)] {
            let hook = Hook::start(answer).await;
            let (received, taken) = hook.answering().await.read(keep).await;
            assert_eq!((received.rest, received.body.len()), (Rest::Complete, LARGE));
            let taken = taken.map(|taken| taken.num_permits());
            assert_eq!(taken, Some(LARGE), "what it has, and not what it might have had");
        }
        let _all = take_all(&room);
        for answer in [sized(UNCOUNTED), chunked(UNCOUNTED)] {
            let hook = Hook::start(answer).await;
            let (received, taken) = hook.answering().await.read(keep).await;
            assert_eq!((received.rest, received.body.len()), (Rest::Complete, UNCOUNTED));
            assert!(taken.is_none());
        }
    }

    #[tokio::test]
    async fn a_large_reply_waits_for_room_until_its_time_is_up() {
        let room = Room::new();
        let keep = Keep::Whole { bytes_max: 2 * LARGE, room: &room };
        let all = take_all(&room);
        let hook = Hook::start(sized(LARGE)).await;
        let answering = hook.answering().await;
        tokio::time::pause();
        let (received, taken) = answering.read(keep).await;
        tokio::time::resume();
        assert_eq!((received.rest, received.body.len()), (Rest::NoRoom, 0));
        assert!(taken.is_none());
        let answering = hook.answering().await;
        let mut patient = Box::pin(answering.read(keep));
        assert!(patient.as_mut().now_or_never().is_none(), "there is no room");
        drop(all);
        assert_eq!(patient.await.0.rest, Rest::Complete);
    }

    #[tokio::test]
    async fn no_more_is_kept_than_is_of_use() {
        let room = Room::new();
        let _all = take_all(&room);
        for answer in [sized(LARGE), chunked(LARGE)] {
            let hook = Hook::start(answer).await;
            let (received, taken) = hook.answering().await.read(Keep::Head).await;
            assert_eq!((received.rest, received.body.len()), (Rest::Longer, HEAD_KEPT));
            assert!(taken.is_none());
        }
        let hook = Hook::start(sized(LARGE)).await;
        let keep = Keep::Whole { bytes_max: LARGE - 1, room: &room };
        let (received, taken) = hook.answering().await.read(keep).await;
        assert_eq!((received.rest, received.body.len()), (Rest::Longer, HEAD_KEPT));
        assert!(taken.is_none(), "what is too large for a reply is not waited for");
    }
}
