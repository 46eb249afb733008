//! Leases, for drivers that keep what is held in memory: dense slots, lowest first, and the order of hand-outs within
//! each key.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use crate::Lease;

const NONE: u32 = u32::MAX;

#[derive(Debug)]
struct Slot<T> {
    /// Grows by one at each hand-out.
    generation: u32,
    held: Option<Held<T>>,
    /// Neighbours in the key: handed out before and after it.
    older: u32,
    newer: u32,
}

#[derive(Debug)]
struct Held<T> {
    what: T,
    key: Option<u128>,
    bytes: u32,
}

/// The leases of a [`Source`](crate::Source), as its contract wants them: the lowest free slot is taken, a slot is taken
/// again only after its lease has died and with another generation, and each key knows the order of its hand-outs.
#[derive(Debug)]
pub struct Slots<T> {
    slots: Vec<Slot<T>>,
    free: BinaryHeap<Reverse<u32>>,
    live: u32,
    bytes: u64,
    /// The newest slot of each key that has any.
    newest: HashMap<u128, u32>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: BinaryHeap::new(), live: 0, bytes: 0, newest: HashMap::new() }
    }
}

impl<T> Slots<T> {
    /// How many leases are alive.
    pub fn live(&self) -> u32 {
        self.live
    }

    /// Bytes of the records that are held.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Hands out what has this key's digest, if any, and so many bytes.
    pub fn take(&mut self, what: T, key: Option<u128>, bytes: u32) -> Lease {
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
        self.bytes += u64::from(bytes);
        let older = match key {
            Some(key) => self.newest.insert(key, slot).unwrap_or(NONE),
            None => NONE,
        };
        if older != NONE {
            self.slots[older as usize].newer = slot;
        }
        let entry = &mut self.slots[slot as usize];
        entry.generation = entry.generation.wrapping_add(1);
        (entry.older, entry.newer) = (older, NONE);
        entry.held = Some(Held { what, key, bytes });
        Lease { slot, generation: entry.generation }
    }

    /// What a lease is on; `None` where it is dead.
    pub fn get(&self, lease: Lease) -> Option<&T> {
        self.held(lease).map(|held| &held.what)
    }

    fn held(&self, lease: Lease) -> Option<&Held<T>> {
        let slot = self.slots.get(lease.slot as usize)?;
        slot.held.as_ref().filter(|_| slot.generation == lease.generation)
    }

    /// Ends a lease.
    pub fn free(&mut self, lease: Lease) -> Option<T> {
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
        self.bytes -= u64::from(held.bytes);
        self.free.push(Reverse(lease.slot));
        Some(held.what)
    }

    /// Ends a lease and, where it is keyed, all of its key's that were handed out after it, newest first. Returns how
    /// many those were.
    pub fn free_with_tail(&mut self, lease: Lease, mut each: impl FnMut(Lease, T)) -> usize {
        let mut count = 0;
        if let Some(key) = self.held(lease).and_then(|held| held.key) {
            while let Some(newest) = self.newest.get(&key).copied().filter(|newest| *newest != lease.slot) {
                let newest = self.lease(newest);
                if let Some(what) = self.free(newest) {
                    each(newest, what);
                    count += 1;
                }
            }
        }
        if let Some(what) = self.free(lease) {
            each(lease, what);
            count += 1;
        }
        count
    }

    /// Ends the leases of which `dead` says so, in the order of their slots.
    pub fn free_where(&mut self, dead: impl Fn(&T) -> bool, mut each: impl FnMut(Lease, T)) {
        for slot in 0..self.slots.len() as u32 {
            let lease = self.lease(slot);
            if self.slots[slot as usize].held.as_ref().is_some_and(|held| dead(&held.what))
                && let Some(what) = self.free(lease)
            {
                each(lease, what);
            }
        }
    }

    /// All that is held, in the order of the slots.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().filter_map(|slot| slot.held.as_ref()).map(|held| &held.what)
    }

    /// The same, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Lease, &mut T)> {
        (0_u32..).zip(&mut self.slots).filter_map(|(slot, entry)| {
            let lease = Lease { slot, generation: entry.generation };
            entry.held.as_mut().map(|held| (lease, &mut held.what))
        })
    }

    fn lease(&self, slot: u32) -> Lease {
        Lease { slot, generation: self.slots[slot as usize].generation }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against a plain list of what is alive.
    #[test]
    fn slots_are_dense_and_tails_die_with_their_head() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut slots = Slots::default();
        let mut alive: Vec<(u64, Option<u128>, Lease)> = Vec::new();
        for what in 0..20_000_u64 {
            match random.u32(..10) {
                0..=2 if !alive.is_empty() => {
                    let (what, _, lease) = alive.remove(random.usize(..alive.len()));
                    assert_eq!(slots.free(lease), Some(what));
                    assert!(slots.free(lease).is_none(), "a lease ends once");
                }
                3 if !alive.is_empty() => {
                    let (from, key, lease) = alive[random.usize(..alive.len())];
                    let mut freed = Vec::new();
                    slots.free_with_tail(lease, |_, what| freed.push(what));
                    let dies = |p: u64, k: Option<u128>| p == from || (key.is_some() && k == key && p > from);
                    let mut expected: Vec<u64> =
                        alive.iter().filter(|one| dies(one.0, one.1)).map(|one| one.0).collect();
                    expected.reverse();
                    assert_eq!(freed, expected);
                    alive.retain(|one| !dies(one.0, one.1));
                }
                roll => {
                    let key = (roll > 4).then(|| random.u128(..5));
                    let lease = slots.take(what, key, 10);
                    let lowest = (0..).find(|slot| alive.iter().all(|one| one.2.slot != *slot));
                    assert_eq!(Some(lease.slot), lowest, "the lowest free slot is taken");
                    alive.push((what, key, lease));
                }
            }
            assert_eq!((slots.live() as usize, slots.bytes()), (alive.len(), alive.len() as u64 * 10));
        }
        assert!(alive.iter().all(|one| slots.get(one.2) == Some(&one.0)));
        let mut count = 0;
        slots.free_where(|_| true, |_, _| count += 1);
        assert_eq!((count, slots.live(), slots.newest.len()), (alive.len(), 0, 0));
    }
}
