//! An open subscription: one thread that reads its group, and the source that hands out what it read.
//!
//! ```text
//!  librdkafka ─▶ thread: polls, decodes ─▶ state ◀─ source: hands out, settles
//!                   │   commits, rebalances  ▲
//!                   └────────────────────────┘
//! ```
//!
//! The thread owns the member of the group (module `thread`); what librdkafka calls back runs on it (`rebalance`). All
//! that both sides know stands in the `state`, under one lock that nobody holds while waiting. Settles become durable by
//! `commit`, and `watch` asks where the logs end.

mod commit;
mod flush;
mod moves;
mod partition;
mod parts;
mod rebalance;
mod rewind;
mod shared;
mod slots;
mod state;
#[cfg(test)]
mod tests;
mod thread;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use broker::{
    BoxFuture, Credit, Error, ErrorKind, Input, Lag, Lease, Note, Part, Position, Record, Settle, Source,
    Subscription,
};
use futures::channel::oneshot;
use rdkafka::ClientConfig;
use rdkafka::consumer::BaseConsumer;

use crate::cluster::{Cluster, Place, millis};
use crate::subscriptions::{Open, Opened};
use crate::{browse, errors, group};

pub(crate) use moves::untold;
use rebalance::Member;
pub(crate) use shared::Shared;
use state::{Phase, State};
use thread::Reader;
pub(crate) use watch::Watch;

/// What a close may take: the last commit, and leaving the group.
const CLOSE: Duration = Duration::from_secs(30);

/// Opens a subscription: makes a member of its group, on a thread of its own. `NotFound` where no partition has a
/// committed offset.
pub(crate) async fn open(
    cluster: &Arc<Cluster>,
    watch: &Watch,
    opened: Opened,
    subscription: &Subscription,
    credit: Credit,
) -> Result<Box<dyn Source>, Error> {
    let until = subscription.until.as_ref().map(ends).transpose()?;
    let state = State::new(&subscription.topic, subscription.ordered, credit);
    let shared = Shared::new(&subscription.name, &subscription.topic, state);
    let open = Arc::clone(opened.open());
    let (ended, end) = oneshot::channel();
    let (tell, told) = oneshot::channel();
    let join = {
        let (cluster, shared) = (Arc::clone(cluster), Arc::clone(&shared));
        move || join(&cluster, &shared, until.as_ref())
    };
    let reader = Reader {
        cluster: Arc::clone(cluster),
        shared: Arc::clone(&shared),
        join: Box::new(join),
        opened,
        ended,
    };
    let thread = std::thread::Builder::new().name("kafka-source".into());
    let spawned = thread.spawn(move || match reader.prepare() {
        Ok(consumer) => {
            let _gone = tell.send(Ok(()));
            reader.run(consumer);
        }
        Err(error) => {
            // Once this is told, it may be tried again.
            drop(reader);
            let _gone = tell.send(Err(error));
        }
    });
    spawned.map_err(|error| {
        Error::new(ErrorKind::Unavailable, format!("a thread cannot be started: {error}"))
    })?;
    // Whoever gives up waiting lets go of the source, and so ends the thread.
    let source = KafkaSource { shared, open, end: Some(end) };
    told.await.unwrap_or_else(|_| Err(Error::closed()))?;
    source.open.is_read_by(&source.shared.name, &source.shared);
    watch.add(cluster, &source.shared)?;
    Ok(Box::new(source))
}

/// Where each partition ends; one that is not named is empty.
fn ends(position: &Position) -> Result<BTreeMap<u32, u64>, Error> {
    let ends = match position {
        Position::Text(text) => browse::place::parse(text),
        Position::Number(_) | Position::Pair(..) => None,
    };
    let none = || Error::new(ErrorKind::NotFound, format!("{position} is no end of a topic on Kafka"));
    ends.map(|ends| ends.into_iter().collect()).ok_or_else(none)
}

/// A new member of a subscription's group. It takes part once it subscribes.
fn join(
    cluster: &Arc<Cluster>,
    shared: &Arc<Shared>,
    until: Option<&BTreeMap<u32, u64>>,
) -> Result<BaseConsumer<Member>, Error> {
    let mut config: ClientConfig = cluster.settings.consumer(&shared.name);
    // Without these, what is promised of a subscription does not hold.
    config
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest")
        .set("enable.partition.eof", "false");
    let context = crate::context::Context { pulse: Arc::clone(&cluster.pulse) };
    let member =
        Member { context, cluster: Arc::clone(cluster), shared: Arc::clone(shared), until: until.cloned() };
    config.create_with_context(member).map_err(|error| {
        errors::error(&format!("a reader of subscription {} cannot be made", shared.name), &error)
    })
}

impl Reader {
    /// The first member, once it is known what there is to read.
    fn prepare(&self) -> Result<BaseConsumer<Member>, Error> {
        let Shared { name, topic, .. } = &*self.shared;
        let consumer = (self.join)()?;
        let partitions: Vec<u32> = (0..self.cluster.partitions(topic)?).collect();
        let committed = group::patiently(|| group::committed(&consumer, name, topic, &partitions))?;
        if committed.is_empty() {
            let message = format!("there is no subscription {name} on topic {topic}");
            return Err(Error::new(ErrorKind::NotFound, message));
        }
        // Lag and catching up are told as far as the partitions have leaders.
        let highs = self.cluster.known_offsets(topic, &partitions, Place::High);
        let behind = |(partition, high): (&u32, &u64)| {
            high.saturating_sub(committed.get(partition).map_or(0, |committed| committed.offset))
        };
        self.shared.start_to_commit().map_err(|error| {
            Error::new(ErrorKind::Unavailable, format!("a thread cannot be started: {error}"))
        })?;
        let mut state = self.shared.state.lock();
        state.lag_before = highs.iter().map(behind).sum();
        state.catch_up = Some(highs);
        drop(state);
        Ok(consumer)
    }
}

/// An open cursor of a subscription.
#[derive(Debug)]
struct KafkaSource {
    shared: Arc<Shared>,
    open: Arc<Open>,
    /// Told when the thread has ended; `None` once the source is being closed.
    end: Option<oneshot::Receiver<Result<(), Error>>>,
}

impl KafkaSource {
    fn usable(&self, state: &State) -> Result<(), Error> {
        self.open.usable()?;
        state.ended()
    }

    /// Whoever waits on the thread's side looks again.
    fn tell_reader(&self, state: &State) {
        if (state.reader_waits && !state.is_queue_full()) || state.has_leaving() {
            self.shared.changed.notify_all();
        }
    }
}

impl Source for KafkaSource {
    fn poll_next(&mut self, cx: &mut Context<'_>, into: &mut Vec<Input>) -> Poll<Result<(), Error>> {
        let before = into.len();
        for registered in [false, true] {
            {
                let mut state = self.shared.state.lock();
                if let Err(error) = self.usable(&state) {
                    return Poll::Ready(Err(error));
                }
                state.fill(into);
                self.tell_reader(&state);
            }
            if into.len() > before {
                return Poll::Ready(Ok(()));
            }
            if !registered {
                // Whatever comes between the look above and this is seen by the look below.
                self.shared.waker.register(cx.waker());
            }
        }
        Poll::Pending
    }

    /// Payloads are always here; a lease is asked for what it holds nevertheless.
    fn load(&mut self, lease: Lease) -> BoxFuture<'static, Result<Record, Error>> {
        let state = self.shared.state.lock();
        let found = self.usable(&state).and_then(|()| {
            let dead = || Error::new(ErrorKind::NotFound, "the lease is dead");
            state.slots.get(lease).map(|held| (*held.received.record).clone()).ok_or_else(dead)
        });
        drop(state);
        Box::pin(std::future::ready(found))
    }

    fn settle(&mut self, lease: Lease, settle: Settle) {
        let (held, commit) = {
            let mut state = self.shared.state.lock();
            let settled = state.settle(lease, settle);
            self.tell_reader(&state);
            settled
        };
        if commit {
            self.shared.dirty.notify_all();
        }
        // Its record is let go of outside of the lock.
        drop(held);
    }

    fn note(&mut self, lease: Lease, note: Note) {
        let commit = self.shared.state.lock().remember(lease, note);
        if commit {
            self.shared.dirty.notify_all();
        }
    }

    fn set_credit(&mut self, credit: Credit) {
        self.shared.state.lock().credit = credit;
    }

    fn flush(&mut self) -> BoxFuture<'static, Result<(), Error>> {
        self.shared.flush()
    }

    fn lag(&self) -> Lag {
        self.shared.state.lock().lag(millis(SystemTime::now()))
    }

    fn parts(&self) -> Vec<Part> {
        self.shared.state.lock().parts(Instant::now())
    }

    fn stale_settles(&self) -> u64 {
        self.shared.state.lock().stale()
    }

    fn close(mut self: Box<Self>) -> BoxFuture<'static, Result<(), Error>> {
        let end = self.end.take();
        let name = self.shared.name.clone();
        self.shared.state.lock().begin_to_close();
        self.shared.changed.notify_all();
        Box::pin(async move {
            let Some(end) = end else { return Ok(()) };
            match tokio::time::timeout(CLOSE, end).await {
                // Nothing was said: the thread has panicked.
                Ok(ended) => ended.unwrap_or_else(|_| Err(crashed(&name))),
                Err(_) => {
                    let message = format!(
                        "subscription {name} could not be given back within {CLOSE:?}: what was settled last may come again"
                    );
                    Err(Error::new(ErrorKind::Unavailable, message))
                }
            }
        })
    }
}

fn crashed(name: &str) -> Error {
    let message =
        format!("the reader of subscription {name} ended by itself: what was settled last may come again");
    Error::new(ErrorKind::Unavailable, message)
}

/// The thread leaves the group and ends; it is not waited for.
impl Drop for KafkaSource {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.abandoned = true;
        state.begin_to_close();
        drop(state);
        self.shared.changed.notify_all();
    }
}

impl State {
    fn begin_to_close(&mut self) {
        if self.phase == Phase::Open {
            self.phase = Phase::Closing;
        }
    }

    fn has_leaving(&self) -> bool {
        self.partitions.values().any(|partition| partition.leaving)
    }
}
