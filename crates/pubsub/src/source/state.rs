//! What a source holds: which messages came, which of them are handed out, and which handle settles each.
//!
//! Messages are handed out in the order in which they came, which within a key is the server's. What is released waits
//! here for its next hand-out, in its old place; the server hears of it only when the driver gives the message back. So
//! nothing of a key is overtaken, and a release costs no round trip.
//!
//! It reads no clock and does no I/O. `H` is what settles a message at the server: dropped, it gives the message back.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::{
    Credit, Delivery, Error, Input, Key, Lag, Lease, Note, Payload, Position, Record, Settle, Slots,
};
use slab::Slab;

use super::awaited::Awaited;
use super::notes::Notes;
use super::settled::Settled;

/// Inputs of one poll at the most.
const POLL_INPUTS_MAX: usize = 256;
/// What waits here for credit, at the most. The server's own flow control bounds what it sends.
const QUEUE_RECORDS_MAX: usize = 256;
const QUEUE_BYTES_MAX: u64 = 4 << 20;
/// Handles that are kept of a message that came again and again: the server takes the last one's word.
const HANDLES_MAX: usize = 4;
/// Messages that are held and not handed out, because they came too late for it.
const ASIDE_MAX: usize = 1000;

/// A message that came.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) position: Position,
    /// When the server took it in, in milliseconds since the Unix epoch.
    pub(super) published_ms: u64,
    pub(super) bytes: u32,
    pub(super) record: Arc<Record>,
}

#[derive(Debug)]
struct Entry<H> {
    received: Received,
    /// The key's digest, where it has one and order matters.
    key: Option<u128>,
    /// How many came before it.
    arrival: u64,
    since: Instant,
    note: Note,
    lease: Option<Lease>,
    handles: Vec<H>,
}

#[derive(Debug)]
pub(super) struct State<H> {
    ordered: bool,
    /// What was published later is not handed out, in milliseconds since the Unix epoch.
    until_ms: u64,
    /// The handles of that. Given back at once, it would come again at once.
    aside: Vec<H>,
    credit: Credit,
    entries: Slab<Entry<H>>,
    by_position: HashMap<Position, usize>,
    slots: Slots<usize>,
    /// What waits for its hand-out, by arrival.
    ready: BTreeMap<u64, usize>,
    ready_bytes: u64,
    arrivals: u64,
    outbox: VecDeque<Input>,
    notes: Notes,
    awaited: Awaited,
    settled: Settled,
    stale: u64,
    /// Why nothing comes any more.
    ended: Option<Error>,
}

impl<H> State<H> {
    pub(super) fn new(ordered: bool, until_ms: u64, credit: Credit, redelivery: Duration) -> Self {
        Self {
            ordered,
            until_ms,
            aside: Vec::new(),
            credit,
            entries: Slab::new(),
            by_position: HashMap::new(),
            slots: Slots::default(),
            ready: BTreeMap::new(),
            ready_bytes: 0,
            arrivals: 0,
            outbox: VecDeque::new(),
            notes: Notes::default(),
            awaited: Awaited::new(redelivery),
            settled: Settled::default(),
            stale: 0,
            ended: None,
        }
    }

    pub(super) fn set_credit(&mut self, credit: Credit) {
        self.credit = credit;
    }

    pub(super) fn ended(&self) -> Result<(), Error> {
        self.ended.clone().map_or(Ok(()), Err)
    }

    pub(super) fn stale(&self) -> u64 {
        self.stale
    }

    /// There is room for more.
    pub(super) fn has_room(&self) -> bool {
        self.ended.is_none()
            && self.ready.len() < QUEUE_RECORDS_MAX
            && (self.ready_bytes < QUEUE_BYTES_MAX || self.ready.is_empty())
    }

    /// Whether a message that came was settled here at that time or later, so that it came again only because its
    /// acknowledgement was lost. It is to be acknowledged anew.
    pub(super) fn was_settled(&mut self, received: &Received, since: Instant, now: Instant) -> bool {
        let Received { position, published_ms, .. } = received;
        let was = self.settled.knows(position, *published_ms, since);
        if was {
            // This acknowledgement may be lost, too.
            self.settled.remember(position.clone(), *published_ms, now);
        }
        was
    }

    /// Nothing that was settled is in doubt.
    pub(super) fn forget_settled(&mut self, now: Instant) {
        self.settled.age(now);
    }

    /// A message came. Where it is here already, its new handle is taken and nothing else happens: the server has only
    /// lost track of our lease. Returned is a handle to be given back.
    pub(super) fn receive(&mut self, received: Received, handle: H, now: Instant) -> Option<H> {
        if self.ended.is_some() {
            return Some(handle);
        }
        if let Some(id) = self.by_position.get(&received.position) {
            let handles = &mut self.entries[*id].handles;
            handles.push(handle);
            return (handles.len() > HANDLES_MAX).then(|| handles.remove(0));
        }
        if received.published_ms > self.until_ms {
            self.aside.push(handle);
            return (self.aside.len() > ASIDE_MAX).then(|| self.aside.swap_remove(0));
        }
        let key = received.record.key.as_ref().filter(|_| self.ordered).map(Key::digest);
        if key.is_some_and(|key| !self.awaited.admits(key, &received.position, now)) {
            return Some(handle);
        }
        self.settled.forget(&received.position);
        let note = self.notes.take(&received.position);
        let (arrival, position, bytes) = (self.arrivals, received.position.clone(), received.bytes);
        self.arrivals += 1;
        let entry = Entry { received, key, arrival, since: now, note, lease: None, handles: vec![handle] };
        let id = self.entries.insert(entry);
        self.by_position.insert(position, id);
        self.ready.insert(arrival, id);
        self.ready_bytes += u64::from(bytes);
        None
    }

    /// Says what there is to say and hands out what there is, as far as the credit goes.
    pub(super) fn fill(&mut self, into: &mut Vec<Input>) {
        into.extend(self.outbox.drain(..));
        for _ in 0..POLL_INPUTS_MAX {
            let Some(delivery) = self.next_delivery() else { return };
            into.push(Input::Delivery(delivery));
        }
    }

    fn next_delivery(&mut self) -> Option<Delivery> {
        if self.slots.live() >= self.credit.events || self.ended.is_some() {
            return None;
        }
        let (arrival, id) = self.ready.first_key_value().map(|(arrival, id)| (*arrival, *id))?;
        let entry = &mut self.entries[id];
        let bytes = entry.received.bytes;
        // One is always allowed, however large.
        if self.slots.live() > 0 && self.slots.bytes() + u64::from(bytes) > self.credit.bytes {
            return None;
        }
        self.ready.remove(&arrival);
        self.ready_bytes -= u64::from(bytes);
        let lease = self.slots.take(id, entry.key, bytes);
        entry.lease = Some(lease);
        let Received { position, published_ms, record, .. } = &entry.received;
        Some(Delivery {
            lease,
            position: position.clone(),
            key: record.key.clone().filter(|_| self.ordered),
            note: entry.note,
            published_ms: *published_ms,
            bytes,
            payload: Payload::Here(record.clone()),
        })
    }

    /// Ends a lease. Returned are the handles that are to acknowledge it.
    pub(super) fn settle(&mut self, lease: Lease, settle: Settle, now: Instant) -> Vec<H> {
        match settle {
            Settle::Done => {
                let Some(id) = self.slots.free(lease) else {
                    self.stale += 1;
                    return Vec::new();
                };
                self.finish(id, now)
            }
            Settle::Release => {
                let (entries, ready, bytes) = (&mut self.entries, &mut self.ready, &mut self.ready_bytes);
                let count = self.slots.free_with_tail(lease, |_, id| {
                    let entry = &mut entries[id];
                    entry.lease = None;
                    ready.insert(entry.arrival, id);
                    *bytes += u64::from(entry.received.bytes);
                });
                self.stale += u64::from(count == 0);
                Vec::new()
            }
        }
    }

    /// Remembers a note with what is held.
    pub(super) fn note(&mut self, lease: Lease, note: Note) {
        match self.slots.get(lease) {
            Some(id) => self.entries[*id].note = note,
            None => self.stale += 1,
        }
    }

    pub(super) fn record(&self, lease: Lease) -> Option<Record> {
        self.slots.get(lease).map(|id| (*self.entries[*id].received.record).clone())
    }

    /// Gives back what has been here since `before` or longer, and of each of its keys what came after it. Returned are
    /// the handles to be dropped.
    pub(super) fn expire(&mut self, before: Instant, now: Instant) -> Vec<H> {
        let old: Vec<usize> =
            self.entries.iter().filter(|(_, e)| e.since <= before).map(|(id, _)| id).collect();
        if old.is_empty() {
            return Vec::new();
        }
        let mut first: HashMap<u128, (u64, Position)> = HashMap::new();
        let mut gone = Vec::new();
        for id in old {
            let entry = &self.entries[id];
            let Some(key) = entry.key else {
                gone.push(id);
                continue;
            };
            let at = (entry.arrival, entry.received.position.clone());
            let known = first.entry(key).or_insert_with(|| at.clone());
            if at.0 < known.0 {
                *known = at;
            }
        }
        let behind = |entry: &Entry<H>| {
            entry.key.and_then(|key| first.get(&key)).is_some_and(|(arrival, _)| entry.arrival >= *arrival)
        };
        gone.extend(self.entries.iter().filter(|(_, entry)| behind(entry)).map(|(id, _)| id));
        for (key, (_, position)) in first {
            self.awaited.expect(key, position, now);
        }
        gone.into_iter().flat_map(|id| self.give_back(id)).collect()
    }

    /// The server has what was here: its lease is dead, and it comes again.
    fn give_back(&mut self, id: usize) -> Vec<H> {
        if let Some(lease) = self.entries[id].lease {
            self.slots.free(lease);
            self.outbox.push_back(Input::Revoked(lease));
        }
        let entry = self.forget(id);
        self.notes.keep(entry.received.position, entry.note);
        entry.handles
    }

    /// It is settled. Returned are the handles that are to acknowledge it.
    fn finish(&mut self, id: usize, now: Instant) -> Vec<H> {
        let Entry { received: Received { position, published_ms, .. }, handles, .. } = self.forget(id);
        self.settled.remember(position, published_ms, now);
        handles
    }

    fn forget(&mut self, id: usize) -> Entry<H> {
        let entry = self.entries.remove(id);
        self.by_position.remove(&entry.received.position);
        if self.ready.remove(&entry.arrival).is_some() {
            self.ready_bytes -= u64::from(entry.received.bytes);
        }
        entry
    }

    /// Settles these of what is here. Returns how many those were, and the handles that are to acknowledge them.
    pub(super) fn purge(&mut self, positions: &[Position], now: Instant) -> (u64, Vec<H>) {
        let here: Vec<usize> =
            positions.iter().filter_map(|position| self.by_position.get(position)).copied().collect();
        let purged = here.len() as u64;
        let end = |id| {
            if let Some(lease) = self.entries[id].lease {
                self.slots.free(lease);
                self.outbox.push_back(Input::Revoked(lease));
            }
            self.finish(id, now)
        };
        (purged, here.into_iter().flat_map(end).collect())
    }

    /// Nothing is handed out any more. Returned are the handles to be dropped.
    pub(super) fn end(&mut self, why: Error) -> Vec<H> {
        self.ended.get_or_insert(why);
        self.by_position.clear();
        self.ready.clear();
        self.ready_bytes = 0;
        self.slots = Slots::default();
        let aside = std::mem::take(&mut self.aside);
        self.entries.drain().flat_map(|entry| entry.handles).chain(aside).collect()
    }

    /// What is here, and how old the oldest of it is.
    pub(super) fn lag(&self, now_ms: u64) -> Lag {
        let oldest = self.entries.iter().map(|(_, entry)| entry.received.published_ms).min();
        Lag {
            records: self.entries.len() as u64,
            oldest: oldest.map(|ms| Duration::from_millis(now_ms.saturating_sub(ms))),
        }
    }

    /// What has been here for longest: its key, if any, and its position.
    pub(super) fn oldest(&self) -> Option<(Option<String>, Position)> {
        let (_, entry) = self.entries.iter().min_by_key(|(_, entry)| entry.arrival)?;
        let key = entry.received.record.key.as_ref().map(ToString::to_string);
        Some((key, entry.received.position.clone()))
    }

    pub(super) fn waiting(&self) -> usize {
        self.ready.len()
    }
}
