//! Making settles durable: what is committed when, and who waits for it.
//!
//! rdkafka tells nobody what became of an asynchronous commit, so a thread of its own commits synchronously, one commit at
//! a time: reading goes on meanwhile, also while the group's coordinator is away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::{BoxFuture, Error};
use futures::channel::oneshot;
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::shared::Shared;
use super::state::{Phase, State};

/// Settles are durable within 100 ms: the rest is for the commit itself.
const EVERY: Duration = Duration::from_millis(80);
/// So many settles are committed at once.
const SETTLES_MAX: u64 = 1000;
/// Until a commit that failed is tried again.
const AGAIN: Duration = Duration::from_millis(250);
/// The most characters of metadata that a broker takes (`offset.metadata.max.bytes`), by default.
const METADATA_MAX: usize = 4096;

/// What a commit says of one partition.
#[derive(Debug)]
struct Captured {
    partition: u32,
    offset: u64,
    metadata: String,
    /// The progress that it tells, and the last settle of the source before it.
    revision: u64,
    settles: u64,
}

#[derive(Debug)]
pub(super) struct Commits {
    /// Settles and notes since the last commit was begun.
    pub(super) pending: u64,
    /// When the first of them came.
    since: Option<Instant>,
    /// After a failure.
    not_before: Option<Instant>,
    /// Who waits, and for which settle.
    flushes: Vec<(u64, oneshot::Sender<()>)>,
    /// Partitions that have left are being committed for the last time.
    finals: u32,
    /// The most characters of metadata that the broker takes, and the most that it is known to have taken.
    metadata_max: usize,
    metadata_proven: usize,
    /// Why the last commit failed.
    pub(super) trouble: Option<String>,
    /// Why the last settles of a partition that left could not be committed.
    pub(super) lost: Option<String>,
}

impl Default for Commits {
    fn default() -> Self {
        Self {
            pending: 0,
            since: None,
            not_before: None,
            flushes: Vec::new(),
            finals: 0,
            metadata_max: METADATA_MAX,
            metadata_proven: 0,
            trouble: None,
            lost: None,
        }
    }
}

impl Commits {
    /// How many characters of metadata a commit may have.
    pub(super) fn metadata_max(&self) -> usize {
        self.metadata_max
    }

    /// A settle or a note came. True: whoever commits is to be told.
    pub(super) fn count(&mut self) -> bool {
        self.pending += 1;
        if self.since.is_none() {
            self.since = Some(Instant::now());
        }
        self.pending == 1 || self.pending == SETTLES_MAX
    }

    /// When the next commit is to be begun, if anything is dirty.
    fn due(&self, now: Instant) -> Instant {
        let hurry = self.pending >= SETTLES_MAX || !self.flushes.is_empty();
        let due = if hurry { now } else { self.since.map_or(now, |since| since + EVERY) };
        self.not_before.map_or(due, |at| at.max(due))
    }
}

impl State {
    fn is_dirty(&self) -> bool {
        self.partitions.values().any(|partition| partition.is_dirty())
    }

    /// What is to be committed of these partitions.
    fn capture(&self, wanted: impl Fn(u32) -> bool) -> Vec<Captured> {
        let dirty = self.partitions.values().filter(|p| wanted(p.number) && p.is_dirty());
        let capture = dirty.map(|partition| Captured {
            partition: partition.number,
            offset: partition.progress.base(),
            metadata: partition.progress.encode(self.commits.metadata_max).text,
            revision: partition.progress.revision(),
            settles: self.settles,
        });
        capture.collect()
    }

    /// Begins a commit of what is dirty. The answer to a commit of several partitions says nothing of each, so whoever's
    /// metadata might be too much for the broker is committed alone, until it is known not to be.
    fn begin(&mut self) -> Vec<Captured> {
        let mut captured = self.capture(|_| true);
        let proven = self.commits.metadata_proven;
        if let Some(bold) = captured.iter().position(|captured| captured.metadata.len() > proven) {
            captured.swap(0, bold);
            captured.truncate(1);
        } else {
            (self.commits.pending, self.commits.since) = (0, None);
        }
        captured
    }

    fn committed(&mut self, captured: Vec<Captured>, result: &KafkaResult<()>) {
        match result {
            Ok(()) => {
                (self.commits.trouble, self.commits.not_before) = (None, None);
                for captured in captured {
                    let proven = &mut self.commits.metadata_proven;
                    *proven = captured.metadata.len().max(*proven);
                    if let Some(partition) = self.partitions.get_mut(&captured.partition) {
                        partition.durable_revision = captured.revision;
                        partition.durable = captured.settles;
                    }
                }
            }
            Err(error) => self.commit_failed(error),
        }
        self.answer_flushes();
    }

    fn commit_failed(&mut self, error: &KafkaError) {
        let too_large = error.rdkafka_error_code() == Some(RDKafkaErrorCode::OffsetMetadataTooLarge);
        self.commits.not_before = Some(Instant::now() + AGAIN);
        if too_large && self.commits.metadata_max > 0 {
            let max = self.commits.metadata_max;
            self.commits.metadata_max = if max < 128 { 0 } else { max / 2 };
            self.commits.not_before = None;
            tracing::error!(
                topic = self.topic(),
                now = self.commits.metadata_max,
                "the broker takes less commit metadata (offset.metadata.max.bytes) than {max} characters: less may wait \
                 behind an unsettled record"
            );
        }
        let why = format!("settles cannot be committed: {error}");
        if self.commits.trouble.as_ref() != Some(&why) {
            tracing::warn!(topic = self.topic(), "{why}");
        }
        self.commits.trouble = Some(why);
    }

    /// Takes partitions away, and what their last commit is to say. Later settles of them are stale.
    pub(super) fn take_leave(&mut self, partitions: &[u32]) -> Option<TopicPartitionList> {
        let captured = self.capture(|number| partitions.contains(&number));
        for number in partitions {
            self.remove(*number);
        }
        if captured.is_empty() {
            return None;
        }
        self.commits.finals += 1;
        Some(list(self.topic(), &captured))
    }

    /// The last commit of partitions that left has ended.
    pub(super) fn left(&mut self, result: &KafkaResult<()>) {
        self.commits.finals -= 1;
        if let Err(error) = result {
            let why = format!("what was settled last could not be committed and comes again: {error}");
            tracing::warn!(topic = self.topic(), "{why}");
            self.commits.lost = Some(why);
        }
        self.answer_flushes();
    }

    fn is_durable(&self, settle: u64) -> bool {
        let durable = self.partitions.values().all(|p| !p.is_dirty() || p.durable >= settle);
        durable && self.commits.finals == 0
    }

    /// Answers who waits for what has become durable, or moot.
    pub(super) fn answer_flushes(&mut self) {
        for (settle, answer) in std::mem::take(&mut self.commits.flushes) {
            if self.is_durable(settle) {
                // Who asked may have gone away.
                let _gone = answer.send(());
            } else {
                self.commits.flushes.push((settle, answer));
            }
        }
    }

    /// Nobody will commit any more.
    pub(super) fn refuse_flushes(&mut self) {
        self.commits.flushes.clear();
    }
}

impl Shared {
    /// Starts the thread that commits. It ends with the source.
    pub(super) fn start_to_commit(self: &Arc<Self>) -> std::io::Result<()> {
        let shared = Arc::clone(self);
        let thread = std::thread::Builder::new().name("kafka-commit".into());
        thread.spawn(move || shared.keep_committing()).map(drop)
    }

    fn keep_committing(&self) {
        while self.wait_until_due() {
            self.commit();
        }
    }

    /// False: the source has ended.
    fn wait_until_due(&self) -> bool {
        let mut state = self.state.lock();
        while state.phase != Phase::Ended {
            let now = Instant::now();
            let due = state.is_dirty().then(|| state.commits.due(now));
            match due {
                Some(due) if due <= now => return true,
                Some(due) => drop(self.dirty.wait_until(&mut state, due)),
                None => {
                    // What came meanwhile was moot.
                    (state.commits.pending, state.commits.since) = (0, None);
                    self.dirty.wait(&mut state);
                }
            }
        }
        false
    }

    fn commit(&self) {
        // While this lock is held no partition is taken away: this commit would otherwise overtake its last one.
        let member = self.member.lock();
        let Some(consumer) = &*member else {
            // It is just being made anew.
            self.state.lock().commits.not_before = Some(Instant::now() + AGAIN);
            return;
        };
        let captured = self.state.lock().begin();
        if captured.is_empty() {
            return;
        }
        let result = consumer.commit(&list(&self.topic, &captured), CommitMode::Sync);
        self.state.lock().committed(captured, &result);
    }

    /// Resolves when every settle so far is durable.
    pub(crate) fn flush(&self) -> BoxFuture<'static, Result<(), Error>> {
        let waits = {
            let mut state = self.state.lock();
            if state.is_durable(state.settles) {
                return Box::pin(std::future::ready(Ok(())));
            }
            if let Err(ended) = state.ended() {
                return Box::pin(std::future::ready(Err(ended)));
            }
            let (answer, waits) = oneshot::channel();
            let settle = state.settles;
            state.commits.flushes.push((settle, answer));
            waits
        };
        self.dirty.notify_all();
        Box::pin(async move { waits.await.map_err(|_| crate::driver::closed()) })
    }
}

fn list(topic: &str, captured: &[Captured]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(captured.len());
    for one in captured {
        let mut element = list.add_partition(topic, one.partition.cast_signed());
        element
            .set_offset(Offset::Offset(one.offset.cast_signed()))
            .expect("offsets come from Kafka, so they are not negative");
        if !one.metadata.is_empty() {
            element.set_metadata(&one.metadata);
        }
    }
    list
}
