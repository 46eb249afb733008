//! Making settles durable: what is committed when, and who waits for it.
//!
//! rdkafka tells nobody what became of an asynchronous commit, so a thread of its own commits synchronously, one commit at
//! a time: reading goes on meanwhile, also while the group's coordinator is away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::flush::{Flush, Loss};
use super::partition::{Partition, Refused, Told};
use super::rebalance::Member;
use super::shared::Shared;
use super::state::{Phase, State};
use crate::group::Committed;
use crate::progress::METADATA_CHARS;

/// Settles are durable within 100 ms: the rest is for the commit itself.
const EVERY: Duration = Duration::from_millis(80);
/// So many settles are committed at once.
const SETTLES_MAX: u64 = 1000;
/// Until a commit that failed is tried again.
const AGAIN: Duration = Duration::from_millis(250);
/// Until a partition whose commits the broker does not take is tried again.
const REFUSED: Duration = Duration::from_secs(1);

/// What a commit says of one partition.
#[derive(Debug)]
pub(super) struct Captured {
    pub(super) partition: u32,
    incarnation: u64,
    offset: u64,
    metadata: String,
    /// The same, in short, and the last settle of the source before it.
    told: Told,
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
    pub(super) flushes: Vec<Flush>,
    /// The last settle when the source was last flushed.
    pub(super) flushed: u64,
    /// The last settle of partitions that have left and are being committed for the last time.
    pub(super) last: Option<u64>,
    /// The most characters of metadata that the broker takes, and the most that it is known to have taken.
    pub(super) metadata_max: usize,
    metadata_proven: usize,
    /// Why the last commit failed.
    pub(super) trouble: Option<String>,
    /// The last settles of a partition that went, where they could not be committed.
    pub(super) lost: Option<Loss>,
}

impl Default for Commits {
    fn default() -> Self {
        Self {
            pending: 0,
            since: None,
            not_before: None,
            flushes: Vec::new(),
            flushed: 0,
            last: None,
            metadata_max: METADATA_CHARS,
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

    /// When the next commit is to be begun.
    fn due(&self, now: Instant) -> Instant {
        let hurry = self.pending >= SETTLES_MAX || !self.flushes.is_empty();
        let due = if hurry { now } else { self.since.map_or(now, |since| since + EVERY) };
        self.not_before.map_or(due, |at| at.max(due))
    }
}

impl State {
    /// When the next commit is to be begun, if anything is dirty.
    fn commit_due(&self, now: Instant) -> Option<Instant> {
        let dirty = self.partitions.values().filter(|partition| partition.is_dirty());
        let due = dirty.map(|partition| match &partition.refused {
            Some(refused) => self.commits.not_before.map_or(refused.again, |at| at.max(refused.again)),
            None => self.commits.due(now),
        });
        due.min()
    }

    /// What is to be committed of these partitions.
    fn capture(&self, wanted: impl Fn(&Partition) -> bool) -> Vec<Captured> {
        let dirty = self.partitions.values().filter(|partition| partition.is_dirty() && wanted(partition));
        let capture = dirty.map(|partition| {
            let (number, incarnation, told) = (partition.number, partition.incarnation, partition.telling());
            let (offset, metadata) = match told {
                Told::Place(offset) => (offset, String::new()),
                Told::Progress(_) | Told::Nothing => {
                    let metadata = partition.progress.encode(self.commits.metadata_max).text;
                    (partition.progress.base(), metadata)
                }
            };
            Captured { partition: number, incarnation, offset, metadata, told, settles: self.settles }
        });
        capture.collect()
    }

    /// Begins a commit of what is dirty. The answer to a commit of several partitions says nothing of each, so whoever's
    /// metadata might be too much for the broker is committed alone, until it is known not to be.
    pub(super) fn begin(&mut self, now: Instant) -> Vec<Captured> {
        let mut captured = self.capture(|p| p.refused.as_ref().is_none_or(|refused| refused.again <= now));
        let proven = self.commits.metadata_proven;
        if let Some(bold) = captured.iter().position(|captured| captured.metadata.len() > proven) {
            captured.swap(0, bold);
            captured.truncate(1);
        } else {
            (self.commits.pending, self.commits.since) = (0, None);
        }
        captured
    }

    pub(super) fn committed(&mut self, captured: Vec<Captured>, result: &KafkaResult<()>) {
        match result {
            Ok(()) => {
                (self.commits.trouble, self.commits.not_before) = (None, None);
                for captured in captured {
                    let proven = &mut self.commits.metadata_proven;
                    *proven = captured.metadata.len().max(*proven);
                    if let Some(partition) = self.same(&captured) {
                        if let Told::Progress(_) = captured.told {
                            partition.durable = captured.settles;
                        }
                        (partition.told, partition.distrusted, partition.refused) =
                            (captured.told, false, None);
                        let Captured { offset, metadata, .. } = captured;
                        partition.committed = Some(Committed { offset, metadata });
                    }
                }
            }
            Err(error) => match &*captured {
                [one] if is_refusal(error) && !self.can_say_less(error) => self.refuse(one, error),
                _ => self.commit_failed(error),
            },
        }
        self.answer_flushes();
    }

    /// The partition of which that was captured: it may have gone, moved or come back since.
    fn same(&mut self, captured: &Captured) -> Option<&mut Partition> {
        let partition = self.partitions.get_mut(&captured.partition)?;
        (partition.incarnation == captured.incarnation).then_some(partition)
    }

    /// The broker takes nothing of this partition, whatever it takes of others.
    fn refuse(&mut self, captured: &Captured, error: &KafkaError) {
        let why = format!("settles of partition {} cannot be committed: {error}", captured.partition);
        let again = Instant::now() + REFUSED;
        let Some(partition) = self.same(captured) else { return };
        let before = partition.refused.replace(Refused { why: why.clone(), again });
        if before.is_none_or(|before| before.why != why) {
            tracing::warn!(topic = self.topic(), "{why}");
        }
    }

    /// Whether a commit with less metadata may do.
    fn can_say_less(&self, error: &KafkaError) -> bool {
        let too_large = error.rdkafka_error_code() == Some(RDKafkaErrorCode::OffsetMetadataTooLarge);
        too_large && self.commits.metadata_max > 0
    }

    fn commit_failed(&mut self, error: &KafkaError) {
        self.commits.not_before = Some(Instant::now() + AGAIN);
        if self.can_say_less(error) {
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
        let captured = self.capture(|partition| partitions.contains(&partition.number));
        let leave = || partitions.iter().filter_map(|number| self.partitions.get(number));
        let unsaved = leave().filter_map(Partition::unsaved).max();
        // The commit of these is a place alone.
        let doubtful = leave().filter(|partition| partition.rewound.is_some());
        let doubtful = doubtful.filter_map(Partition::unsaved).max();
        self.remove(partitions);
        if let Some(settle) = doubtful {
            self.lose_settles(settle, "the log may be another one by now".to_owned());
        }
        if captured.is_empty() {
            return None;
        }
        self.commits.last = Some(unsaved.unwrap_or(0));
        Some(list(self.topic(), &captured))
    }

    /// The last commit of partitions that left has ended.
    pub(super) fn left(&mut self, result: &KafkaResult<()>) {
        let last = self.commits.last.take();
        if let (Err(error), Some(settle)) = (result, last.filter(|settle| *settle > 0)) {
            self.lose_settles(settle, error.to_string());
        }
        self.answer_flushes();
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
            match state.commit_due(now) {
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
        let captured = self.state.lock().begin(Instant::now());
        if captured.is_empty() {
            return;
        }
        let result = consumer.commit(&list(&self.topic, &captured), CommitMode::Sync);
        match &result {
            Err(error) if captured.len() > 1 && is_refusal(error) => self.commit_each(consumer, captured),
            _ => self.state.lock().committed(captured, &result),
        }
    }

    /// Commits partitions one by one: the answer to a commit of several does not tell which of them was refused.
    fn commit_each(&self, consumer: &BaseConsumer<Member>, captured: Vec<Captured>) {
        for one in captured {
            let one = vec![one];
            let result = consumer.commit(&list(&self.topic, &one), CommitMode::Sync);
            self.state.lock().committed(one, &result);
            if result.is_err_and(|error| !is_refusal(&error)) {
                // The next ones would fail, too; each is still dirty.
                return;
            }
        }
    }
}

/// Whether the broker answered so of one partition, and may take the others: not where the group or the connection is
/// at fault.
fn is_refusal(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as C;
    matches!(
        error.rdkafka_error_code(),
        Some(
            C::UnknownTopicOrPartition
                | C::UnknownPartition
                | C::UnknownTopic
                | C::TopicAuthorizationFailed
                | C::InvalidTopic
                | C::OffsetMetadataTooLarge
                | C::InvalidCommitOffsetSize
        )
    )
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
