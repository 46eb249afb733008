use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::topic::Topic;
use crate::{Credit, Gap, Input, Lease};

/// An open source: what is held under which lease, and what is still to be handed out.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) subscription: Arc<str>,
    pub(super) topic: usize,
    pub(super) ordered: bool,
    /// Hand out nothing at or after it.
    pub(super) until: u64,
    pub(super) credit: Credit,
    pub(super) stale: u64,
    /// The end of the outage that a poll has already told of.
    pub(super) told: Duration,
    slots: Vec<Slot>,
    free: BTreeSet<u32>,
    used_bytes: u64,
    held: BTreeMap<u64, u32>,
    held_by_key: BTreeMap<(u32, u64), u32>,
    /// By position, what has been handed out.
    handed_out: Vec<bool>,
    /// Unsettled and not held, by position.
    pending: VecDeque<Pending>,
    /// Recalls whose time is not over.
    pub(super) recalls: Vec<Recall>,
    /// What was there at the opening and has not been handed out yet; `None` once `CaughtUp` was said.
    unseen: Option<BTreeSet<u64>>,
    /// Said at the next poll, before anything is handed out.
    pub(super) queue: VecDeque<Input>,
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    position: u64,
    key: Option<u32>,
    /// It is not handed out before.
    at: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    generation: u32,
    held: Option<Held>,
    /// It was recalled, and will be revoked at this time.
    recalled: Option<Duration>,
}

/// Leases that were asked for.
#[derive(Clone, Debug)]
pub(super) struct Recall {
    pub(super) until: Duration,
    pub(super) leases: Vec<(u64, Lease)>,
    /// All that was held: the source hands nothing out meanwhile.
    pub(super) all: bool,
    pub(super) rewind: bool,
}

/// What a slot holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) position: u64,
    key: Option<u32>,
    bytes: u64,
}

/// What of a session matters when it is opened.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) subscription: Arc<str>,
    pub(super) topic: usize,
    pub(super) ordered: bool,
    pub(super) until: u64,
    pub(super) credit: Credit,
    pub(super) caught_up: bool,
}

impl Session {
    pub(super) fn new(
        opening: Opening,
        topic: &Topic,
        unsettled: impl Iterator<Item = u64>,
        now: Duration,
    ) -> Self {
        let key = |position| if opening.ordered { topic.key(position) } else { None };
        let pending: VecDeque<Pending> = unsettled
            .take_while(|position| *position < opening.until)
            .map(|position| Pending { position, key: key(position), at: now })
            .collect();
        Self {
            subscription: opening.subscription,
            topic: opening.topic,
            ordered: opening.ordered,
            until: opening.until,
            credit: opening.credit,
            stale: 0,
            told: Duration::ZERO,
            slots: Vec::new(),
            free: BTreeSet::new(),
            used_bytes: 0,
            held: BTreeMap::new(),
            held_by_key: BTreeMap::new(),
            handed_out: Vec::new(),
            unseen: opening.caught_up.then(|| pending.iter().map(|it| it.position).collect()),
            pending,
            recalls: Vec::new(),
            queue: VecDeque::new(),
        }
    }

    /// A record that is to be handed out, from `at` on.
    pub(super) fn offer(&mut self, topic: &Topic, position: u64, at: Duration) {
        if position >= self.until {
            return;
        }
        let pending = Pending { position, key: self.key(topic, position), at };
        match self.pending.binary_search_by_key(&position, |it| it.position) {
            Ok(place) => self.pending[place] = pending,
            Err(place) => self.pending.insert(place, pending),
        }
    }

    fn remove_pending(&mut self, position: u64) {
        if let Ok(place) = self.pending.binary_search_by_key(&position, |it| it.position) {
            self.pending.remove(place);
        }
    }

    /// A record that is not to be handed out any more.
    pub(super) fn withdraw(&mut self, position: u64) {
        self.remove_pending(position);
        if let Some(unseen) = &mut self.unseen {
            unseen.remove(&position);
        }
    }

    /// Positions that may be handed out now without breaking a key's order, the earliest first: of each key only its
    /// first.
    pub(super) fn candidates(&self, now: Duration) -> impl Iterator<Item = u64> {
        let mut passed = Passed::default();
        let first = self.pending.iter().take(SCAN).filter(move |it| it.key.is_none_or(|key| passed.add(key)));
        first.filter(move |it| it.at <= now).map(|it| it.position)
    }

    /// The second of this position's key that could be handed out, for a mutant that swaps the two.
    pub(super) fn successor(&self, position: u64) -> Option<u64> {
        let place = self.pending.binary_search_by_key(&position, |it| it.position).ok()?;
        let key = self.pending[place].key?;
        let later = self.pending.iter().skip(place + 1).take(SCAN);
        later.filter(|it| it.key == Some(key)).map(|it| it.position).next()
    }

    /// When something can be handed out next, were there credit enough; the past where it can now.
    pub(super) fn due(&self, now: Duration) -> Option<Duration> {
        let mut times = self.pending.iter().take(SCAN).map(|it| it.at);
        let first = times.next()?;
        if first <= now { Some(first) } else { Some(times.fold(first, Duration::min)) }
    }

    pub(super) fn admits(&self, bytes: u64, slack_events: u32, ignore_bytes: bool) -> bool {
        let events = self.held.len() as u64;
        let leaving = self.recalls.iter().any(|recall| recall.all);
        !leaving
            && events < u64::from(self.credit.events) + u64::from(slack_events)
            && (events == 0 || ignore_bytes || self.used_bytes.saturating_add(bytes) <= self.credit.bytes)
    }

    fn key(&self, topic: &Topic, position: u64) -> Option<u32> {
        self.ordered.then(|| topic.key(position)).flatten()
    }

    /// Puts a position under a new lease. `bytes` is what it costs of the byte credit.
    pub(super) fn hold(&mut self, topic: &Topic, position: u64, bytes: u64, same_generation: bool) -> Lease {
        self.withdraw(position);
        let slot = self.free.pop_first().unwrap_or_else(|| {
            // The first generation is near its end, so that callers meet the wrap.
            self.slots.push(Slot { generation: u32::MAX - 2, held: None, recalled: None });
            self.slots.len() as u32 - 1
        });
        let key = self.key(topic, position);
        let entry = &mut self.slots[slot as usize];
        if !same_generation {
            entry.generation = entry.generation.wrapping_add(1);
        }
        entry.held = Some(Held { position, key, bytes });
        entry.recalled = None;
        self.used_bytes += bytes;
        self.held.insert(position, slot);
        if let Some(key) = key {
            self.held_by_key.insert((key, position), slot);
        }
        Lease { slot, generation: entry.generation }
    }

    /// The position that a live lease holds. `any_generation` is a mutant's.
    pub(super) fn held(&self, lease: Lease, any_generation: bool) -> Option<u64> {
        let slot = self.slots.get(lease.slot as usize)?;
        (slot.generation == lease.generation || any_generation).then_some(slot.held?.position)
    }

    /// Notes that a position is handed out. Whether it was before.
    pub(super) fn handed_out(&mut self, position: u64) -> bool {
        let at = position as usize;
        if self.handed_out.len() <= at {
            self.handed_out.resize(at + 1, false);
        }
        std::mem::replace(&mut self.handed_out[at], true)
    }

    pub(super) fn held_positions(&self) -> impl Iterator<Item = u64> + '_ {
        self.held.keys().copied()
    }

    pub(super) fn holds(&self, position: u64) -> bool {
        self.held.contains_key(&position)
    }

    pub(super) fn held_len(&self) -> usize {
        self.held.len()
    }

    pub(super) fn held_bytes(&self) -> u64 {
        self.used_bytes
    }

    /// The held positions of the same key that were appended after this one, in order.
    pub(super) fn tail(&self, topic: &Topic, position: u64) -> Vec<u64> {
        let Some(key) = self.key(topic, position) else { return Vec::new() };
        self.held_by_key.range((key, position + 1)..=(key, u64::MAX)).map(|((_, p), _)| *p).collect()
    }

    /// Marks the lease of a held position as recalled; `None` where it is that already.
    pub(super) fn recall(&mut self, position: u64, until: Duration) -> Option<Lease> {
        let slot = *self.held.get(&position)?;
        let entry = &mut self.slots[slot as usize];
        if entry.recalled.is_some() {
            return None;
        }
        entry.recalled = Some(until);
        Some(Lease { slot, generation: entry.generation })
    }

    /// When the recall of a held position is over.
    pub(super) fn recalled_until(&self, position: u64) -> Option<Duration> {
        let slot = *self.held.get(&position)?;
        self.slots[slot as usize].recalled
    }

    /// The recalls whose time is over by now, which are forgotten.
    pub(super) fn recalls_over(&mut self, now: Duration) -> Vec<Recall> {
        self.recalls.extract_if(.., |recall| recall.until <= now).collect()
    }

    /// Ends the lease that holds this position.
    pub(super) fn end(&mut self, position: u64) -> Option<Lease> {
        let slot = self.held.remove(&position)?;
        let entry = &mut self.slots[slot as usize];
        let held = entry.held.take()?;
        if let Some(key) = held.key {
            self.held_by_key.remove(&(key, position));
        }
        self.used_bytes -= held.bytes;
        self.free.insert(slot);
        Some(Lease { slot, generation: entry.generation })
    }

    pub(super) fn gap(&mut self, records: u64) {
        let message = format!("retention took {records} records before they were settled");
        self.queue.push_back(Input::Gap(Gap { records: Some(records), message }));
    }

    /// Whether everything of the opening has been handed out and this has not been said yet; it is then taken as said.
    pub(super) fn take_caught_up(&mut self) -> bool {
        let now = self.unseen.as_ref().is_some_and(BTreeSet::is_empty);
        if now {
            self.unseen = None;
        }
        now
    }

    pub(super) fn is_caught_up(&self) -> bool {
        self.unseen.as_ref().is_some_and(BTreeSet::is_empty)
    }
}

/// Keys that were passed: those of low numbers, and the others.
#[derive(Default)]
struct Passed {
    low: u64,
    high: Vec<u32>,
}

impl Passed {
    /// Whether the key was not there yet.
    #[inline]
    fn add(&mut self, key: u32) -> bool {
        if key < u64::BITS {
            let before = self.low;
            self.low |= 1 << key;
            return self.low != before;
        }
        let new = !self.high.contains(&key);
        if new {
            self.high.push(key);
        }
        new
    }
}

/// How far into the pending records a hand-out looks: bounds the work of one, as a real client's prefetch does.
const SCAN: usize = 128;
