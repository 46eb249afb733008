use std::cmp::Reverse;
use std::collections::BinaryHeap;

use broker::Lease;

const NONE: u32 = u32::MAX;
const HERE: u32 = 1 << 31;

/// The leases of a source: dense slots, lowest first, 36 bytes each, and a hash table of keys threaded through them. A
/// million leases take about 40 MB.
#[derive(Debug)]
pub(crate) struct Slots {
    slots: Vec<Slot>,
    free: BinaryHeap<Reverse<u32>>,
    live: u32,
    /// Newest keyed slot of each bucket; a power of two of them.
    buckets: Vec<u32>,
}

/// Numbers of eight bytes are kept as two of four, so that no padding is added.
#[derive(Clone, Copy, Debug)]
struct Slot {
    position: [u32; 2],
    /// Hash of the key; zero for none.
    key: [u32; 2],
    /// Odd while the lease is alive; grows by one at its birth and at its death.
    generation: u32,
    /// Size of the record; the highest bit is set where the caller has the payload.
    bytes: u32,
    offset: u32,
    /// Neighbours in the bucket: handed out before and after it.
    older: u32,
    newer: u32,
}

/// What a lease is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) position: u64,
    /// Where the record stands in its segment.
    pub(crate) offset: u32,
    /// At most 2³¹ − 1.
    pub(crate) bytes: u32,
    /// The caller has the payload.
    pub(crate) here: bool,
    /// Hash of the key, where it has one and order matters.
    pub(crate) key: Option<u64>,
}

impl Default for Slots {
    fn default() -> Self {
        Self { slots: Vec::new(), free: BinaryHeap::new(), live: 0, buckets: vec![NONE; 16] }
    }
}

impl Slots {
    pub(crate) fn live(&self) -> u32 {
        self.live
    }

    pub(crate) fn take(&mut self, held: Held) -> Lease {
        let slot = match self.free.pop() {
            Some(Reverse(slot)) => slot,
            None => {
                let slot =
                    u32::try_from(self.slots.len()).expect("credit is a u32, so there are fewer slots");
                let nothing = Slot {
                    position: [0; 2],
                    key: [0; 2],
                    generation: 0,
                    bytes: 0,
                    offset: 0,
                    older: NONE,
                    newer: NONE,
                };
                self.slots.push(nothing);
                slot
            }
        };
        let entry = &mut self.slots[slot as usize];
        entry.position = split(held.position);
        entry.key = split(held.key.map_or(0, |key| key.max(1)));
        entry.generation = entry.generation.wrapping_add(1);
        entry.bytes = held.bytes | if held.here { HERE } else { 0 };
        entry.offset = held.offset;
        let generation = entry.generation;
        self.live += 1;
        if held.key.is_some() {
            if self.live as usize > self.buckets.len() {
                self.grow();
            }
            self.link(slot);
        }
        Lease { slot, generation }
    }

    /// What a lease is on; `None` where it is dead.
    pub(crate) fn get(&self, lease: Lease) -> Option<Held> {
        let slot = self.slots.get(lease.slot as usize)?;
        (slot.generation == lease.generation && slot.is_live()).then(|| slot.held())
    }

    /// Ends a lease.
    pub(crate) fn free(&mut self, lease: Lease) -> Option<Held> {
        let held = self.get(lease)?;
        if held.key.is_some() {
            self.unlink(lease.slot);
        }
        let slot = &mut self.slots[lease.slot as usize];
        slot.generation = slot.generation.wrapping_add(1);
        self.live -= 1;
        self.free.push(Reverse(lease.slot));
        Some(held)
    }

    /// Ends a keyed lease and all of its key's that were handed out after it, newest first. Two keys of the same hash
    /// are taken for one; of a million keys any two are so with a chance below 10⁻⁷.
    pub(crate) fn free_with_tail(&mut self, lease: Lease, mut each: impl FnMut(Held)) {
        let Some(held) = self.get(lease) else { return };
        if let Some(key) = held.key {
            let mut newest = self.buckets[self.bucket(key)];
            while newest != lease.slot {
                let (older, next) = (self.slots[newest as usize].older, self.lease(newest));
                if self.slots[newest as usize].held().key == Some(key)
                    && let Some(held) = self.free(next)
                {
                    each(held);
                }
                newest = older;
            }
        }
        if let Some(held) = self.free(lease) {
            each(held);
        }
    }

    /// Ends the leases of which `dead` says so, and tells them, in the order of their slots.
    pub(crate) fn free_where(
        &mut self,
        mut dead: impl FnMut(&Held) -> bool,
        mut each: impl FnMut(Lease, Held),
    ) {
        for slot in 0..self.slots.len() as u32 {
            let (entry, lease) = (self.slots[slot as usize], self.lease(slot));
            if entry.is_live()
                && dead(&entry.held())
                && let Some(held) = self.free(lease)
            {
                each(lease, held);
            }
        }
    }

    fn lease(&self, slot: u32) -> Lease {
        Lease { slot, generation: self.slots[slot as usize].generation }
    }

    fn bucket(&self, key: u64) -> usize {
        // The hash is a good one already; its upper half is as good as its lower.
        (key >> 32) as usize & (self.buckets.len() - 1)
    }

    fn link(&mut self, slot: u32) {
        let bucket = self.bucket(join(self.slots[slot as usize].key));
        let older = std::mem::replace(&mut self.buckets[bucket], slot);
        self.slots[slot as usize].older = older;
        self.slots[slot as usize].newer = NONE;
        if older != NONE {
            self.slots[older as usize].newer = slot;
        }
    }

    fn unlink(&mut self, slot: u32) {
        let Slot { older, newer, key, .. } = self.slots[slot as usize];
        if older != NONE {
            self.slots[older as usize].newer = newer;
        }
        if newer == NONE {
            let bucket = self.bucket(join(key));
            self.buckets[bucket] = older;
        } else {
            self.slots[newer as usize].older = older;
        }
    }

    /// Doubles the buckets. Each old one is taken from its oldest on, so that the order within a key stays.
    fn grow(&mut self) {
        let doubled = vec![NONE; self.buckets.len() * 2];
        for mut slot in std::mem::replace(&mut self.buckets, doubled) {
            if slot == NONE {
                continue;
            }
            while self.slots[slot as usize].older != NONE {
                slot = self.slots[slot as usize].older;
            }
            while slot != NONE {
                let newer = self.slots[slot as usize].newer;
                self.link(slot);
                slot = newer;
            }
        }
    }
}

impl Slot {
    fn is_live(&self) -> bool {
        self.generation % 2 == 1
    }

    fn held(&self) -> Held {
        let key = join(self.key);
        Held {
            position: join(self.position),
            offset: self.offset,
            bytes: self.bytes & !HERE,
            here: self.bytes & HERE != 0,
            key: (key != 0).then_some(key),
        }
    }
}

fn split(number: u64) -> [u32; 2] {
    [number as u32, (number >> 32) as u32]
}

fn join([low, high]: [u32; 2]) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(position: u64, key: Option<u64>) -> Held {
        Held { position, offset: 40, bytes: 10, here: position.is_multiple_of(2), key }
    }

    #[test]
    fn a_slot_is_36_bytes() {
        assert_eq!(size_of::<Slot>(), 36);
    }

    #[test]
    fn slots_are_lowest_first_and_every_use_differs() {
        let mut slots = Slots::default();
        let leases: Vec<_> = (0..10).map(|n| slots.take(held(n, None))).collect();
        assert_eq!(leases.iter().map(|l| l.slot).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
        for n in [7, 2, 5] {
            assert_eq!(slots.free(leases[n]), Some(held(n as u64, None)));
            assert_eq!(slots.free(leases[n]), None, "a dead lease is dead");
        }
        for (n, slot) in [(10, 2), (11, 5), (12, 7), (13, 10)] {
            let lease = slots.take(held(n, None));
            assert_eq!(lease.slot, slot);
            assert!(slots.get(lease).is_some());
        }
        assert_eq!(slots.get(leases[2]), None, "another use of the slot is another lease");
        assert_eq!(slots.live(), 11);
    }

    #[test]
    fn a_release_takes_the_tail_of_its_key_and_nothing_else() {
        let mut slots = Slots::default();
        let mut random = 1u64;
        let mut live: Vec<(u64, Option<u64>, Lease)> = Vec::new();
        for position in 0..20_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let roll = random >> 33;
            match roll % 8 {
                0 if !live.is_empty() => {
                    let at = roll as usize / 8 % live.len();
                    let (_, _, lease) = live.remove(at);
                    assert!(slots.free(lease).is_some());
                }
                1 if !live.is_empty() => {
                    let (from, key, lease) = live[roll as usize / 8 % live.len()];
                    let mut freed = Vec::new();
                    slots.free_with_tail(lease, |held| freed.push(held.position));
                    let dies = |p: u64, k: Option<u64>| p == from || key.is_some() && k == key && p > from;
                    let mut expected: Vec<u64> =
                        live.iter().filter(|l| dies(l.0, l.1)).map(|l| l.0).collect();
                    expected.sort_unstable_by_key(|p| Reverse(*p));
                    assert_eq!(freed, expected);
                    live.retain(|l| !dies(l.0, l.1));
                }
                _ => {
                    let key = (!roll.is_multiple_of(3)).then_some((roll % 50 + 1) << 32);
                    live.push((position, key, slots.take(held(position, key))));
                }
            }
        }
        assert_eq!(slots.live() as usize, live.len());
        assert!(live.iter().all(|l| slots.get(l.2) == Some(held(l.0, l.1))));
        let mut count = 0;
        slots.free_where(|_| true, |_, _| count += 1);
        assert_eq!((count, slots.live()), (live.len(), 0));
    }
}
