//! Lanes: one key's queue each, and the round-robin of those that are ready. 56 bytes each.

use std::ops::{Index, IndexMut};

use crate::list::{Link, Linked, List, NONE};
use crate::table::Table;

/// Lanes beyond this many are given back to the allocator once none is in use (3.5 MiB).
const LANES_KEPT: usize = 65_536;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LaneId(pub(crate) u32);

impl LaneId {
    pub(crate) const NONE: Self = Self(NONE);
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Lane {
    /// The key's digest, in halves: a `u128` would align the lane to 16 bytes.
    key: [u64; 2],
    /// Its deliveries in arrival order.
    pub(crate) queue: List,
    /// Neighbours among the ready lanes, or the next free one.
    link: Link,
    /// The open attempt that carries deliveries of it (revoked ones included): none other may begin.
    pub(crate) attempt: u32,
    /// In the round-robin of ready lanes.
    queued: bool,
    /// Stands still after a dead letter until an operator resumes.
    pub(crate) stopped: bool,
    /// It is among those that are to be mended.
    pub(crate) mending: bool,
    live: bool,
    /// The earliest delivery that stood behind one that was revoked: it and those behind it must go back too, or order
    /// would break.
    pub(crate) broken: u32,
    /// How many of its deliveries the source has recalled and not got back yet.
    pub(crate) recalled: u32,
}

impl Lane {
    fn key(&self) -> u128 {
        u128::from(self.key[0]) << 64 | u128::from(self.key[1])
    }
}

#[derive(Debug, Default)]
struct Slab(Vec<Lane>);

impl Linked for Slab {
    fn link(&mut self, at: u32) -> &mut Link {
        &mut self.0[at as usize].link
    }
}

#[derive(Debug)]
pub(crate) struct Lanes {
    slab: Slab,
    free: u32,
    live: u32,
    table: Table,
    ready: List,
}

impl Default for Lanes {
    fn default() -> Self {
        Self { slab: Slab::default(), free: NONE, live: 0, table: Table::default(), ready: List::EMPTY }
    }
}

impl Lanes {
    /// How many keys have a lane.
    pub(crate) fn live(&self) -> u32 {
        self.live
    }

    /// How many are ready.
    pub(crate) fn ready(&self) -> u32 {
        self.ready.len()
    }

    /// The ready lane whose turn it is.
    pub(crate) fn first_ready(&self) -> Option<LaneId> {
        self.ready.head().map(LaneId)
    }

    /// The ready lane after this one.
    pub(crate) fn next_ready(&self, lane: LaneId) -> Option<LaneId> {
        Some(LaneId(self[lane].link.next)).filter(|next| *next != LaneId::NONE)
    }

    /// The lane of a key, made where there is none.
    pub(crate) fn of_key(&mut self, key: u128) -> LaneId {
        let Self { slab, table, .. } = self;
        if let Some(lane) = table.find(key, |lane| slab.0[lane as usize].key()) {
            return LaneId(lane);
        }
        let lane = Lane {
            key: [(key >> 64) as u64, key as u64],
            queue: List::EMPTY,
            link: Link::LOOSE,
            attempt: NONE,
            queued: false,
            stopped: false,
            mending: false,
            live: true,
            broken: NONE,
            recalled: 0,
        };
        let id = match self.free {
            NONE => {
                slab.0.push(lane);
                slab.0.len() as u32 - 1
            }
            id => {
                self.free = slab.0[id as usize].link.next;
                slab.0[id as usize] = lane;
                id
            }
        };
        self.live += 1;
        table.insert(id, |lane| slab.0[lane as usize].key());
        LaneId(id)
    }

    /// Enters the lane into the round-robin, or takes it out; frees it where nothing keeps it. `head_ready`: its head
    /// may be attempted.
    pub(crate) fn refresh(&mut self, id: LaneId, head_ready: bool) {
        let lane = self[id];
        if !lane.live {
            return;
        }
        let ready = head_ready && lane.attempt == NONE && !lane.stopped && lane.broken == NONE;
        if ready != lane.queued {
            self[id].queued = ready;
            let Self { slab, ready: list, .. } = self;
            if ready { list.push_back(slab, id.0) } else { list.remove(slab, id.0) }
        }
        if lane.queue.len() == 0 && lane.attempt == NONE && !lane.stopped {
            self.release(id);
        }
    }

    /// Lanes by number, so that no order depends on a hash.
    pub(crate) fn iter(&self) -> impl Iterator<Item = LaneId> + '_ {
        let live = self.slab.0.iter().enumerate().filter(|(_, lane)| lane.live);
        live.map(|(id, _)| LaneId(id as u32))
    }

    /// One past the largest number in use: for walks that change lanes as they go.
    pub(crate) fn end(&self) -> u32 {
        self.slab.0.len() as u32
    }

    pub(crate) fn is_live(&self, id: LaneId) -> bool {
        self.slab.0.get(id.0 as usize).is_some_and(|lane| lane.live)
    }

    #[cfg(test)]
    pub(crate) fn capacities(&self) -> [usize; 2] {
        [self.slab.0.capacity(), self.table.capacity()]
    }

    fn release(&mut self, id: LaneId) {
        let Self { slab, table, .. } = self;
        table.remove(id.0, |lane| slab.0[lane as usize].key());
        slab.0[id.0 as usize].live = false;
        slab.0[id.0 as usize].link = Link { next: self.free, prev: NONE };
        self.free = id.0;
        self.live -= 1;
        if self.live == 0 && self.slab.0.capacity() > LANES_KEPT {
            *self = Self::default();
        }
    }
}

impl Index<LaneId> for Lanes {
    type Output = Lane;

    fn index(&self, id: LaneId) -> &Lane {
        &self.slab.0[id.0 as usize]
    }
}

impl IndexMut<LaneId> for Lanes {
    fn index_mut(&mut self, id: LaneId) -> &mut Lane {
        &mut self.slab.0[id.0 as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_takes_56_bytes() {
        assert_eq!(size_of::<Lane>(), 56);
    }

    #[test]
    fn freed_lanes_are_used_again() {
        let mut lanes = Lanes::default();
        for key in 0..10_000_u128 {
            let lane = lanes.of_key(key.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
            lanes.refresh(lane, false);
        }
        assert_eq!((lanes.live(), lanes.end()), (0, 1), "an empty lane is freed and its place used again");
    }
}
