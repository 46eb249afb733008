//! The leases of a source: dense slots, lowest first, and the order of hand-outs within each key.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use broker::{Lease, Record};

const NONE: u32 = u32::MAX;

/// A record that was received and waits to be handed out, or to be settled.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) offset: u64,
    /// When the broker took it in, in milliseconds since the Unix epoch.
    pub(super) published_ms: u64,
    /// Size of the record as it came: its key, its value and its headers.
    pub(super) bytes: u32,
    /// A clone of it copies no payload.
    pub(super) record: Arc<Record>,
}

/// What a lease is on.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) partition: u32,
    /// The key's digest, where it has one and order matters.
    pub(super) key: Option<u128>,
    /// It has been asked back.
    pub(super) recalled: bool,
    pub(super) received: Received,
}

#[derive(Debug)]
struct Slot {
    /// Grows by one at each hand-out.
    generation: u32,
    held: Option<Held>,
    /// Neighbours in the key: handed out before and after it.
    older: u32,
    newer: u32,
}

#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    free: BinaryHeap<Reverse<u32>>,
    live: u32,
    bytes: u64,
    /// The newest slot of each key that has any.
    newest: HashMap<u128, u32>,
}

impl Slots {
    /// How many leases are alive.
    pub(super) fn live(&self) -> u32 {
        self.live
    }

    /// Bytes of the records that are held.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn take(&mut self, held: Held) -> Lease {
        let slot = match self.free.pop() {
            Some(Reverse(slot)) => slot,
            None => {
                let slot =
                    u32::try_from(self.slots.len()).expect("credit is a u32, so there are fewer slots");
                self.slots.push(Slot { generation: 0, held: None, older: NONE, newer: NONE });
                slot
            }
        };
        self.live += 1;
        self.bytes += u64::from(held.received.bytes);
        let older = match held.key {
            Some(key) => self.newest.insert(key, slot).unwrap_or(NONE),
            None => NONE,
        };
        if older != NONE {
            self.slots[older as usize].newer = slot;
        }
        let entry = &mut self.slots[slot as usize];
        entry.generation = entry.generation.wrapping_add(1);
        (entry.older, entry.newer) = (older, NONE);
        entry.held = Some(held);
        Lease { slot, generation: entry.generation }
    }

    /// What a lease is on; `None` where it is dead.
    pub(super) fn get(&self, lease: Lease) -> Option<&Held> {
        let slot = self.slots.get(lease.slot as usize)?;
        slot.held.as_ref().filter(|_| slot.generation == lease.generation)
    }

    /// Ends a lease.
    pub(super) fn free(&mut self, lease: Lease) -> Option<Held> {
        let entry = self.slots.get_mut(lease.slot as usize)?;
        if entry.generation != lease.generation {
            return None;
        }
        let held = entry.held.take()?;
        let (older, newer) = (entry.older, entry.newer);
        if let Some(key) = held.key {
            if older != NONE {
                self.slots[older as usize].newer = newer;
            }
            if newer != NONE {
                self.slots[newer as usize].older = older;
            } else if older != NONE {
                self.newest.insert(key, older);
            } else {
                self.newest.remove(&key);
            }
        }
        self.live -= 1;
        self.bytes -= u64::from(held.received.bytes);
        self.free.push(Reverse(lease.slot));
        Some(held)
    }

    /// Ends a lease and, where it is keyed, all of its key's that were handed out after it, newest first. Returns how
    /// many those were.
    pub(super) fn free_with_tail(&mut self, lease: Lease, mut each: impl FnMut(Held)) -> usize {
        let mut count = 0;
        if let Some(key) = self.get(lease).and_then(|held| held.key) {
            while let Some(newest) = self.newest.get(&key).copied().filter(|newest| *newest != lease.slot) {
                if let Some(held) = self.free(self.lease(newest)) {
                    each(held);
                    count += 1;
                }
            }
        }
        if let Some(held) = self.free(lease) {
            each(held);
            count += 1;
        }
        count
    }

    /// Ends the leases of which `dead` says so, in the order of their slots.
    pub(super) fn free_where(&mut self, dead: impl Fn(&Held) -> bool, mut each: impl FnMut(Lease, Held)) {
        for slot in 0..self.slots.len() as u32 {
            let lease = self.lease(slot);
            if self.slots[slot as usize].held.as_ref().is_some_and(&dead)
                && let Some(held) = self.free(lease)
            {
                each(lease, held);
            }
        }
    }

    /// All leases that are alive, in the order of their slots.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Held> {
        self.slots.iter().filter_map(|slot| slot.held.as_ref())
    }

    /// The same, to be changed.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (Lease, &mut Held)> {
        (0_u32..).zip(&mut self.slots).filter_map(|(slot, entry)| {
            let lease = Lease { slot, generation: entry.generation };
            entry.held.as_mut().map(|held| (lease, held))
        })
    }

    fn lease(&self, slot: u32) -> Lease {
        Lease { slot, generation: self.slots[slot as usize].generation }
    }
}

#[cfg(test)]
mod tests {
    use broker::{Body, Hop};
    use bytes::Bytes;

    use super::*;

    fn held(offset: u64, key: Option<u128>) -> Held {
        let body = Body::Foreign { bytes: Bytes::new(), reason: String::new() };
        let record = Arc::new(Record { key: None, body, hop: Hop::default(), letter: None });
        let received = Received { offset, published_ms: 0, bytes: 10, record };
        Held { partition: 0, key, recalled: false, received }
    }

    /// Against a plain list of what is alive.
    #[test]
    fn slots_are_dense_and_tails_die_with_their_head() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut slots = Slots::default();
        let mut alive: Vec<(u64, Option<u128>, Lease)> = Vec::new();
        for offset in 0..20_000_u64 {
            match random.u32(..10) {
                0..=2 if !alive.is_empty() => {
                    let (offset, _, lease) = alive.remove(random.usize(..alive.len()));
                    assert_eq!(slots.free(lease).map(|held| held.received.offset), Some(offset));
                    assert!(slots.free(lease).is_none(), "a lease ends once");
                }
                3 if !alive.is_empty() => {
                    let (from, key, lease) = alive[random.usize(..alive.len())];
                    let mut freed = Vec::new();
                    slots.free_with_tail(lease, |held| freed.push(held.received.offset));
                    let dies = |p: u64, k: Option<u128>| p == from || (key.is_some() && k == key && p > from);
                    let mut expected: Vec<u64> =
                        alive.iter().filter(|one| dies(one.0, one.1)).map(|one| one.0).collect();
                    expected.reverse();
                    assert_eq!(freed, expected);
                    alive.retain(|one| !dies(one.0, one.1));
                }
                roll => {
                    let key = (roll > 4).then(|| random.u128(..5));
                    let lease = slots.take(held(offset, key));
                    let lowest = (0..).find(|slot| alive.iter().all(|one| one.2.slot != *slot));
                    assert_eq!(Some(lease.slot), lowest, "the lowest free slot is taken");
                    alive.push((offset, key, lease));
                }
            }
            assert_eq!((slots.live() as usize, slots.bytes()), (alive.len(), alive.len() as u64 * 10));
        }
        assert!(alive.iter().all(|one| slots.get(one.2).is_some_and(|held| held.received.offset == one.0)));
        let mut count = 0;
        slots.free_where(|_| true, |_, _| count += 1);
        assert_eq!((count, slots.live(), slots.newest.len()), (alive.len(), 0, 0));
    }
}
