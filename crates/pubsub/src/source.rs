//! A subscription that is read: streams of Google's client, and what came of them.

mod awaited;
mod flush;
mod notes;
mod settled;
mod state;
mod stream;
#[cfg(test)]
mod tests;
mod watch;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use broker::{
    BoxFuture, Credit, Error, ErrorKind, Input, Lag, Lease, Note, Part, PartState, Position, Record, Settle,
    Source, Subscription,
};
use futures::task::AtomicWaker;
use google_cloud_pubsub::subscriber::handler::Handler;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::driver::{Open, Opened};
use crate::project::Project;
use flush::Acknowledged;
use state::State;

/// How long the streams may take to give back what they held.
const CLOSE: Duration = Duration::from_secs(10);

/// An open subscription.
pub(crate) struct Reader {
    project: Arc<Project>,
    /// Its durable name, and its full one.
    name: String,
    full: String,
    /// Its topic's name on the broker.
    topic: String,
    /// How long the subscription keeps what is not settled.
    retention: Option<Duration>,
    state: Mutex<State<Handler>>,
    /// Woken when the source may have something to say.
    waker: AtomicWaker,
    /// Told when there is room for more.
    room: Notify,
    /// What a stream last failed with, until something comes again.
    trouble: Mutex<Option<String>>,
    acknowledged: Arc<Acknowledged>,
    /// Messages that came again though they were settled, and were acknowledged anew; until it is told.
    again: AtomicU64,
    /// The largest credit so far: what the server is told to send at the most.
    credit: Credit,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("name", &self.name).field("topic", &self.topic).finish_non_exhaustive()
    }
}

/// An open cursor of a subscription.
#[derive(Debug)]
struct PubsubSource {
    reader: Arc<Reader>,
    opened: Opened,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// Opens a subscription that exists, until `stop`. `retention` is what it said of itself.
pub(crate) fn open(
    project: &Arc<Project>,
    opened: Opened,
    stop: CancellationToken,
    subscription: &Subscription,
    retention: Option<Duration>,
    credit: Credit,
) -> Box<dyn Source> {
    // Our own end of a topic; any other is none of Pub/Sub's.
    let until_ms = match subscription.until {
        Some(Position::Number(ms)) => ms,
        _ => u64::MAX,
    };
    let reader = Arc::new(Reader {
        project: Arc::clone(project),
        name: subscription.name.clone(),
        full: project.subscription(&subscription.name),
        topic: subscription.topic.clone(),
        retention,
        state: Mutex::new(State::new(subscription.ordered, until_ms, credit, 2 * project.settings.lease)),
        waker: AtomicWaker::new(),
        room: Notify::new(),
        trouble: Mutex::default(),
        acknowledged: Arc::default(),
        again: AtomicU64::new(0),
        credit,
    });
    opened.open().is_read_by(&subscription.name, &reader);
    let tasks = TaskTracker::new();
    for _ in 0..project.settings.streams {
        tasks.spawn(stream::read(Arc::clone(&reader), tasks.clone(), stop.clone()));
    }
    tasks.spawn(watch::watch(Arc::clone(&reader), stop.clone()));
    Box::new(PubsubSource { reader, opened, tasks, stop })
}

impl Reader {
    /// Lets the source's task look again.
    fn wake(&self) {
        self.waker.wake();
    }

    /// Settles these of what is here, and returns how many those were.
    pub(crate) fn purge(&self, positions: &[Position]) -> u64 {
        let (purged, handles) = self.state.lock().purge(positions, Instant::now());
        if !handles.is_empty() {
            self.acknowledge(handles);
        }
        self.wake();
        purged
    }

    /// Ends the source. What is here is given back.
    fn end(&self, why: Error) {
        let gone = self.state.lock().end(why);
        // Each tells its stream, outside of the lock.
        drop(gone);
        self.wake();
        self.room.notify_waiters();
    }
}

impl PubsubSource {
    fn usable(&self) -> Result<(), Error> {
        self.opened.open().usable()?;
        self.reader.state.lock().ended()
    }

    fn open(&self) -> &Arc<Open> {
        self.opened.open()
    }
}

impl Source for PubsubSource {
    fn poll_next(&mut self, cx: &mut Context<'_>, into: &mut Vec<Input>) -> Poll<Result<(), Error>> {
        let before = into.len();
        for registered in [false, true] {
            if let Err(error) = self.open().usable() {
                return Poll::Ready(Err(error));
            }
            let had_room = {
                let mut state = self.reader.state.lock();
                let had_room = state.has_room();
                state.fill(into);
                if into.len() == before
                    && let Err(error) = state.ended()
                {
                    return Poll::Ready(Err(error));
                }
                had_room
            };
            if into.len() > before {
                if !had_room {
                    self.reader.room.notify_waiters();
                }
                return Poll::Ready(Ok(()));
            }
            if !registered {
                // Whatever comes between the look above and this is seen by the look below.
                self.reader.waker.register(cx.waker());
            }
        }
        Poll::Pending
    }

    /// Payloads are always here; a lease is asked for what it holds nevertheless.
    fn load(&mut self, lease: Lease) -> BoxFuture<'static, Result<Record, Error>> {
        let dead = || Error::new(ErrorKind::NotFound, "the lease is dead");
        let found = self.usable().and_then(|()| self.reader.state.lock().record(lease).ok_or_else(dead));
        Box::pin(std::future::ready(found))
    }

    fn settle(&mut self, lease: Lease, settle: Settle) {
        let handles = self.reader.state.lock().settle(lease, settle, Instant::now());
        if !handles.is_empty() {
            self.reader.acknowledge(handles);
        }
        // There may be credit again, or what was released is to be handed out.
        self.reader.wake();
    }

    fn note(&mut self, lease: Lease, note: Note) {
        self.reader.state.lock().note(lease, note);
    }

    fn set_credit(&mut self, credit: Credit) {
        self.reader.state.lock().set_credit(credit);
        self.reader.wake();
    }

    fn flush(&mut self) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(flush::flush(Arc::clone(&self.reader), self.stop.clone()))
    }

    fn lag(&self) -> Lag {
        self.reader.state.lock().lag(now_ms())
    }

    fn parts(&self) -> Vec<Part> {
        vec![self.reader.part()]
    }

    fn stale_settles(&self) -> u64 {
        self.reader.state.lock().stale()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            self.stop.cancel();
            self.reader.end(Error::new(ErrorKind::Closed, "the source has been closed"));
            self.reader.confirmed().await;
            self.tasks.close();
            let name = &self.reader.name;
            tokio::time::timeout(CLOSE, self.tasks.wait()).await.map_err(|_| {
                let message = format!(
                    "subscription {name} could not be given back within {CLOSE:?}: what was settled last may come again"
                );
                Error::new(ErrorKind::Unavailable, message)
            })
        })
    }
}

/// What is held is given back by the streams, which are not waited for.
impl Drop for PubsubSource {
    fn drop(&mut self) {
        self.stop.cancel();
        self.tasks.close();
        self.reader.end(Error::new(ErrorKind::Closed, "the source has been dropped"));
    }
}

impl Reader {
    fn part(&self) -> Part {
        let (lag, waiting, has_room, oldest) = {
            let state = self.state.lock();
            (state.lag(now_ms()), state.waiting(), state.has_room(), state.oldest())
        };
        let down = self.project.pulse.down().or_else(|| self.trouble.lock().clone());
        let (state, detail) = match (down, oldest) {
            (Some(why), _) => (PartState::Unreachable, Some(why)),
            (None, Some((key, position))) if !has_room => {
                let whose = key.map_or_else(|| "without a key".to_owned(), |key| format!("of key {key}"));
                let message = format!(
                    "{waiting} messages wait for room behind what is not settled; the oldest, {position} {whose}, is \
                     held since it came"
                );
                (PartState::HeldBack, Some(message))
            }
            (None, _) => (PartState::Reading, self.too_old(lag.oldest)),
        };
        Part { name: "subscription".into(), state, lag: lag.records, detail }
    }
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
