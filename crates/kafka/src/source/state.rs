//! What the source and its reader share, and the decisions on it. Nothing here blocks.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use broker::{Credit, Delivery, Error, Gap, Input, Lag, Lease, Note, Payload, Position, Settle, Slots};

use super::commit::Commits;
use super::moves::Command;
use super::partition::Partition;
use super::rewind::Mark;
use super::slots::{Held, Received};
use crate::group::Committed;

/// Most inputs of one poll, so that a long backlog does not keep its task from settling.
const POLL_INPUTS_MAX: usize = 256;
/// What is received and waits for credit: full when either is reached.
const QUEUE_RECORDS_MAX: usize = 512;
const QUEUE_BYTES_MAX: u64 = 2 << 20;

/// A member that has no partition for so long has none: the others have them all.
const IDLE_AT_FIRST: Duration = Duration::from_secs(10);

/// How far the source has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// To be ended: nothing is handed out any more.
    Closing,
    /// The reader's thread has ended.
    Ended,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) phase: Phase,
    /// The caller has gone away: nobody settles what is held.
    pub(super) abandoned: bool,
    pub(super) credit: Credit,
    pub(super) slots: Slots<Held>,
    pub(super) partitions: BTreeMap<u32, Partition>,
    /// What stood committed of partitions that went, where that was known to be of another log.
    pub(super) distrusted: BTreeMap<u32, Committed>,
    /// How many partitions were added or moved so far.
    incarnations: u64,
    /// The partitions that have something to hand out, in turn.
    ring: VecDeque<u32>,
    /// To be said before anything else.
    pub(super) outbox: VecDeque<Input>,
    pub(super) queued_records: usize,
    pub(super) queued_bytes: u64,
    /// The reader waits for room.
    pub(super) reader_waits: bool,
    stale: u64,
    /// Settles and notes so far, stale ones not counted.
    pub(super) settles: u64,
    pub(super) commits: Commits,
    pub(super) commands: VecDeque<Command>,
    /// It is known what is read here: something, or lastingly nothing.
    pub(super) assigned: bool,
    /// When a member without any partition joined.
    pub(super) idle_since: Option<Instant>,
    /// Where some partitions end could not be learnt the last time.
    pub(super) ends_doubtful: bool,
    /// Where each partition ended when the source was opened; `None` once all of it has been handed out.
    pub(super) catch_up: Option<BTreeMap<u32, u64>>,
    /// What was unsettled at the opening, or when the last member ended: told while there is no member.
    pub(super) lag_before: u64,
    /// Why nothing is read at present.
    pub(super) trouble: Option<String>,
    /// Why the member is to be made anew.
    pub(super) restart: Option<String>,
    ordered: bool,
    topic: String,
}

impl State {
    pub(super) fn new(topic: &str, ordered: bool, credit: Credit) -> Self {
        Self {
            phase: Phase::Open,
            abandoned: false,
            credit,
            slots: Slots::default(),
            partitions: BTreeMap::new(),
            distrusted: BTreeMap::new(),
            incarnations: 0,
            ring: VecDeque::new(),
            outbox: VecDeque::new(),
            queued_records: 0,
            queued_bytes: 0,
            reader_waits: false,
            stale: 0,
            settles: 0,
            commits: Commits::default(),
            commands: VecDeque::new(),
            assigned: false,
            idle_since: None,
            ends_doubtful: false,
            catch_up: None,
            lag_before: 0,
            trouble: None,
            restart: None,
            ordered,
            topic: topic.to_owned(),
        }
    }

    pub(super) fn stale(&self) -> u64 {
        self.stale
    }

    pub(super) fn topic(&self) -> &str {
        &self.topic
    }

    /// There is no room for more.
    pub(super) fn is_queue_full(&self) -> bool {
        self.queued_records >= QUEUE_RECORDS_MAX || self.queued_bytes >= QUEUE_BYTES_MAX
    }

    /// There is room for a good deal.
    pub(super) fn is_queue_half_empty(&self) -> bool {
        self.queued_records <= QUEUE_RECORDS_MAX / 2 && self.queued_bytes <= QUEUE_BYTES_MAX / 2
    }

    /// Says what there is to say and hands out what there is, as far as the credit goes.
    pub(super) fn fill(&mut self, into: &mut Vec<Input>) {
        into.extend(self.outbox.drain(..));
        if self.phase != Phase::Open {
            return;
        }
        let mut left = POLL_INPUTS_MAX;
        while left > 0 && self.slots.live() < self.credit.events {
            let Some(delivery) = self.next_delivery() else { break };
            into.push(Input::Delivery(delivery));
            left -= 1;
        }
        self.say_caught_up(into);
    }

    fn next_delivery(&mut self) -> Option<Delivery> {
        loop {
            let number = *self.ring.front()?;
            let waiting = self.partitions.get(&number).and_then(Partition::peek);
            let Some(bytes) = waiting.map(|received| u64::from(received.bytes)) else {
                self.ring.pop_front();
                if let Some(partition) = self.partitions.get_mut(&number) {
                    partition.in_ring = false;
                }
                continue;
            };
            // One is always allowed, however large.
            if self.slots.live() > 0 && self.slots.bytes() + bytes > self.credit.bytes {
                return None;
            }
            self.ring.rotate_left(1);
            return self.hand_out(number);
        }
    }

    fn hand_out(&mut self, number: u32) -> Option<Delivery> {
        let partition = self.partitions.get_mut(&number)?;
        let received = partition.pop()?;
        let (offset, bytes) = (received.offset, received.bytes);
        self.queued_records -= 1;
        self.queued_bytes -= u64::from(bytes);
        let (note, published_ms) = (partition.note(offset), received.published_ms);
        let payload = Payload::Here(received.record.clone());
        let key = received.record.key.clone().filter(|_| self.ordered);
        let digest = key.as_ref().map(broker::Key::digest);
        let lease = self.slots.take(Held { partition: number, recalled: false, received }, digest, bytes);
        let position = Position::Pair(number, offset);
        Some(Delivery { lease, position, key, note, published_ms, bytes, payload })
    }

    fn say_caught_up(&mut self, into: &mut Vec<Input>) {
        let Some(ends) = self.catch_up.as_ref().filter(|_| self.assigned) else { return };
        let reached =
            |p: &Partition| p.handed_out() >= ends.get(&p.number).copied().unwrap_or(0).min(p.until);
        if self.partitions.values().all(reached) {
            self.catch_up = None;
            into.push(Input::CaughtUp);
        }
    }

    /// Ends a lease. What was held is returned, to be dropped outside of the lock, and whether there is a commit to be
    /// begun or hurried.
    pub(super) fn settle(&mut self, lease: Lease, settle: Settle) -> (Option<Held>, bool) {
        if settle == Settle::Release {
            self.release(lease);
            return (None, false);
        }
        let Some(held) = self.slots.free(lease) else {
            self.stale += 1;
            return (None, false);
        };
        let Some(partition) = self.partitions.get_mut(&held.partition) else { return (Some(held), false) };
        partition.progress.settle(held.received.offset);
        self.settles += 1;
        partition.touched = self.settles;
        (Some(held), self.commits.count())
    }

    fn release(&mut self, lease: Lease) {
        let partitions = &mut self.partitions;
        let (records, bytes) = (&mut self.queued_records, &mut self.queued_bytes);
        // A key has moved to another partition where the topic has grown or producers differ, and so its tail is in several.
        let mut from = Vec::new();
        let count = self.slots.free_with_tail(lease, |_, held| {
            if from.last() != Some(&held.partition) {
                from.push(held.partition);
            }
            if let Some(partition) = partitions.get_mut(&held.partition) {
                *records += 1;
                *bytes += u64::from(held.received.bytes);
                partition.again.insert(held.received.offset, held.received);
            }
        });
        if count == 0 {
            self.stale += 1;
        }
        for number in from {
            self.enter_ring(number);
        }
    }

    /// Remembers a note. True: there is a commit to be begun or hurried.
    pub(super) fn remember(&mut self, lease: Lease, note: Note) -> bool {
        let Some(held) = self.slots.get(lease) else {
            self.stale += 1;
            return false;
        };
        let Some(partition) = self.partitions.get_mut(&held.partition) else { return false };
        partition.progress.note(held.received.offset, note);
        self.settles += 1;
        partition.touched = self.settles;
        self.commits.count()
    }

    fn enter_ring(&mut self, number: u32) {
        if let Some(partition) = self.partitions.get_mut(&number)
            && !partition.in_ring
            && partition.peek().is_some()
        {
            partition.in_ring = true;
            self.ring.push_back(number);
        }
    }

    /// A record came.
    pub(super) fn receive(&mut self, number: u32, received: Received) {
        let Some(partition) = self.partitions.get_mut(&number) else { return };
        if partition.is_rewound(&received, Instant::now()) {
            return;
        }
        if partition.rewound.is_none() {
            // What comes of a log in doubt may be younger than what is new in it and was not read.
            partition.youngest_ms = partition.youngest_ms.max(received.published_ms);
        }
        if received.offset >= partition.until {
            // Nothing of it is wanted from here on.
            partition.pass(partition.until);
            return;
        }
        partition.last = Some(Mark::of(&received));
        if partition.receive(received.offset) {
            // At once, not at the next look around: a fast broker brings tens of thousands in the meantime.
            partition.judge_fullness(self.commits.metadata_max());
            self.queued_records += 1;
            self.queued_bytes += u64::from(received.bytes);
            partition.queue.push_back(received);
            self.enter_ring(number);
        }
    }

    /// Ends all leases of a partition, and says so.
    pub(super) fn revoke(&mut self, number: u32) {
        let outbox = &mut self.outbox;
        self.slots
            .free_where(|held| held.partition == number, |lease, _| outbox.push_back(Input::Revoked(lease)));
        if let Some(partition) = self.partitions.get_mut(&number) {
            self.queued_records -= partition.queue.len() + partition.again.len();
            let again = std::mem::take(&mut partition.again);
            let waited = partition.queue.drain(..).chain(again.into_values());
            self.queued_bytes -= waited.map(|one| u64::from(one.bytes)).sum::<u64>();
        }
    }

    /// A partition is read here from now on, or elsewhere than before.
    pub(super) fn add(&mut self, mut partition: Partition) {
        self.incarnations += 1;
        partition.incarnation = self.incarnations;
        self.partitions.insert(partition.number, partition);
    }

    /// Partitions are no longer read here.
    pub(super) fn remove(&mut self, numbers: &[u32]) {
        let lag = self.lag_of_all();
        for number in numbers {
            self.revoke(*number);
            let gone = self.partitions.remove(number).filter(Partition::is_suspect);
            if let Some(committed) = gone.and_then(|partition| partition.committed) {
                self.distrusted.insert(*number, committed);
            }
            self.leave_ring(*number);
        }
        if self.assigned && self.partitions.is_empty() {
            // Until others are assigned, or lastingly none, what is read here is not known.
            (self.assigned, self.lag_before) = (false, lag);
            self.idle_since = Some(Instant::now());
        }
    }

    fn lag_of_all(&self) -> u64 {
        self.partitions.values().map(Partition::lag).sum()
    }

    pub(super) fn leave_ring(&mut self, number: u32) {
        self.ring.retain(|other| *other != number);
    }

    /// Asks back what is held of the partitions that leave.
    pub(super) fn recall(&mut self) {
        for (lease, held) in self.slots.iter_mut() {
            let leaves = self.partitions.get(&held.partition).is_some_and(|partition| partition.leaving);
            if leaves && !held.recalled {
                held.recalled = true;
                self.outbox.push_back(Input::Recalled(lease));
            }
        }
    }

    /// Something of the partitions that leave is still held.
    pub(super) fn holds_leaving(&self) -> bool {
        let leaves = |held: &Held| self.partitions.get(&held.partition).is_some_and(|p| p.leaving);
        self.slots.iter().any(leaves)
    }

    pub(super) fn gap(&mut self, records: Option<u64>, message: String) {
        tracing::error!(topic = self.topic, "{message}");
        self.outbox.push_back(Input::Gap(Gap { records, message }));
    }

    pub(super) fn lag(&self, now_ms: u64) -> Lag {
        if !self.assigned {
            return Lag { records: self.lag_before, oldest: None };
        }
        let records = self.lag_of_all();
        let held = self.slots.iter().map(|held| held.received.published_ms);
        let waiting = self.partitions.values().flat_map(|partition| {
            let again = partition.again.values().map(|received| received.published_ms);
            again.chain(partition.queue.front().map(|received| received.published_ms))
        });
        let oldest = held.chain(waiting).min();
        let oldest = oldest.map(|ms| Duration::from_millis(now_ms.saturating_sub(ms)));
        Lag { records, oldest: oldest.filter(|_| records > 0) }
    }

    /// Why the source cannot go on.
    pub(super) fn ended(&self) -> Result<(), Error> {
        match self.phase {
            Phase::Ended => Err(Error::closed()),
            Phase::Open | Phase::Closing => Ok(()),
        }
    }

    /// The member has ended.
    pub(super) fn remove_all(&mut self) {
        let numbers: Vec<u32> = self.partitions.keys().copied().collect();
        self.lose(&numbers);
        self.assigned = false;
        self.idle_since = None;
    }

    /// Notes since when each partition has more than comes.
    pub(super) fn mark_behind(&mut self, now: Instant) {
        // The first assignment of one who joins others may be empty for a moment.
        self.assigned |= self.idle_since.is_some_and(|since| since + IDLE_AT_FIRST <= now);
        for partition in self.partitions.values_mut() {
            let behind = partition.high.min(partition.until) > partition.next()
                && !partition.is_paused
                && !partition.leaving;
            partition.behind_since = behind.then(|| partition.behind_since.unwrap_or(now));
        }
    }
}
