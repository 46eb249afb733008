//! Where the logs of open subscriptions begin and end: asked once a second, by one thread a driver, so that lag is known
//! without asking, and that what retention took is noticed, or that a log was truncated.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use broker::{Error, ErrorKind};
use parking_lot::Mutex;

use super::partition::{Partition, Question};
use super::shared::Shared;
use super::state::State;
use crate::cluster::{Cluster, Place};
use crate::standing::{self, Short};

const EVERY: Duration = Duration::from_secs(1);
/// How long nothing has to come of a partition whose beginning is beyond what was read, for that to be lost.
const LOST: Duration = Duration::from_secs(3);

/// The thread that does it, once there is something to look at. It ends when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    thread: Mutex<Option<Sender<Weak<Shared>>>>,
}

impl Watch {
    /// Looks after one more, until it is dropped.
    pub(super) fn add(&self, cluster: &Arc<Cluster>, shared: &Arc<Shared>) -> Result<(), Error> {
        let mut running = self.thread.lock();
        let added = running.as_ref().is_some_and(|watch| watch.send(Arc::downgrade(shared)).is_ok());
        if !added {
            let (sender, receiver) = channel();
            let cluster = Arc::clone(cluster);
            let first = Arc::downgrade(shared);
            let thread = std::thread::Builder::new().name("kafka-watch".into());
            let spawned = thread.spawn(move || watch(&cluster, &receiver, vec![first]));
            spawned.map_err(|error| {
                Error::new(ErrorKind::Unavailable, format!("a thread cannot be started: {error}"))
            })?;
            *running = Some(sender);
        }
        Ok(())
    }
}

fn watch(cluster: &Cluster, added: &Receiver<Weak<Shared>>, mut readers: Vec<Weak<Shared>>) {
    loop {
        match added.recv_timeout(EVERY) {
            Ok(shared) => readers.push(shared),
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                readers.retain(|reader| reader.strong_count() > 0);
                for shared in readers.iter().filter_map(Weak::upgrade) {
                    look(cluster, &shared);
                }
            }
        }
    }
}

fn look(cluster: &Cluster, shared: &Shared) {
    let (questions, doubtful) = {
        let state = shared.state.lock();
        (state.questions(), state.ends_doubtful)
    };
    if questions.is_empty() {
        return;
    }
    match ask(cluster, &shared.topic, &questions, doubtful) {
        Ok(ends) => {
            shared.state.lock().learn_ends(&ends, &questions, Instant::now());
            // That a hole has been passed is worth a commit, too.
            shared.dirty.notify_all();
            shared.wake();
        }
        Err(error) => {
            shared.state.lock().ends_doubtful = true;
            tracing::debug!(topic = shared.topic, %error, "where the log ends is not known at present");
        }
    }
}

/// Where partitions end and begin.
#[derive(Debug, Default)]
pub(super) struct Ends {
    pub(super) highs: Vec<(u32, u64)>,
    pub(super) lows: BTreeMap<u32, u64>,
    /// Of those partitions whose high is before what was reached: why. Without those of which that could not be learnt.
    pub(super) shorts: BTreeMap<u32, Short>,
}

/// Where these partitions end and begin. One without a leader would leave all without an answer, so where there may be
/// such a one, only those are asked that have one.
fn ask(
    cluster: &Cluster,
    topic: &str,
    questions: &BTreeMap<u32, Question>,
    doubtful: bool,
) -> Result<Ends, Error> {
    let mut partitions: Vec<u32> = questions.keys().copied().collect();
    if doubtful {
        partitions = cluster.led(topic, &partitions)?;
    }
    let highs = cluster.offsets_now(topic, partitions.iter().copied(), Place::High)?;
    let short = highs.iter().filter_map(|(number, high)| {
        let asked = questions.get(number)?;
        let is_new = *high < asked.reached && asked.excused != Some(*high);
        is_new.then_some((*number, (asked.reached, *high)))
    });
    // At once: before long the log may have grown so far again.
    let shorts = explain(cluster, topic, &short.collect());
    // The beginning last: what retention takes meanwhile is a loss of the next look.
    let lows = cluster.offsets_now(topic, partitions, Place::Low)?.into_iter().collect();
    Ok(Ends { highs, lows, shorts })
}

/// Why these partitions end before what was reached, unless that cannot be learnt at present.
fn explain(cluster: &Cluster, topic: &str, short: &BTreeMap<u32, (u64, u64)>) -> BTreeMap<u32, Short> {
    standing::explain(cluster, topic, short).unwrap_or_else(|error| {
        tracing::warn!(topic, %error, "whether partitions {:?} were truncated is not known yet", short.keys());
        BTreeMap::new()
    })
}

impl State {
    pub(super) fn questions(&self) -> BTreeMap<u32, Question> {
        self.partitions.values().map(|partition| (partition.number, partition.question())).collect()
    }

    pub(super) fn learn_ends(&mut self, ends: &Ends, questions: &BTreeMap<u32, Question>, now: Instant) {
        self.ends_doubtful = ends.highs.len() < questions.len();
        for (number, high) in &ends.highs {
            if let Some(partition) = self.partitions.get_mut(number) {
                (partition.high, partition.ends_at) = (*high, now);
                if let (Some(asked), Some(low)) = (questions.get(number), ends.lows.get(number)) {
                    partition.judge_end(asked, *high, *low, ends.shorts.get(number).copied());
                }
            }
        }
        self.forgive(now);
        for (number, low) in &ends.lows {
            let Some(asked) = questions.get(number) else { continue };
            let Some(partition) = self.partitions.get_mut(number) else { continue };
            let stuck = partition.behind_since.is_some_and(|since| since + LOST <= now);
            if stuck || partition.is_paused {
                // What is not read yet and is before the beginning never comes.
                partition.pass(*low);
            }
            if let Some((lost, first)) = partition.judge_holes(*low, *asked).filter(|(lost, _)| *lost > 0) {
                let message = format!(
                    "{lost} records of partition {number} of topic {}, from offset {first} on, were removed by retention \
                     before they were read (the partition begins at {low})",
                    self.topic()
                );
                self.gap(Some(lost), message);
            }
        }
    }

    /// An error is past where nothing is there that it could have kept from being read.
    fn forgive(&mut self, now: Instant) {
        let is_read = |partition: &Partition| {
            partition.ends_at == now && partition.next() >= partition.high.min(partition.until)
        };
        if !self.partitions.is_empty() && self.partitions.values().all(is_read) {
            self.trouble = None;
        }
    }
}
