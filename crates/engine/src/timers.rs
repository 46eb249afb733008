//! What waits for a moment: a binary heap by due time. Entries whose delivery no longer waits are dropped when they
//! come up, and swept when they are the majority.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use crate::deliveries::{Deliveries, Handle, State};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    due: Duration,
    delivery: Handle,
    generation: u32,
    stamp: u8,
}

/// The deliveries in one waiting state.
#[derive(Debug)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<Entry>>,
    live: u32,
    state: State,
}

impl Timers {
    pub(crate) fn of(state: State) -> Self {
        Self { heap: BinaryHeap::new(), live: 0, state }
    }

    /// How many wait.
    pub(crate) fn live(&self) -> u32 {
        self.live
    }

    /// Makes a delivery wait.
    pub(crate) fn wait(&mut self, deliveries: &mut Deliveries, at: Handle, due: Duration) {
        self.sweep(deliveries);
        let delivery = &mut deliveries[at];
        delivery.state = self.state;
        delivery.stamp = delivery.stamp.wrapping_add(1);
        let (generation, stamp) = (delivery.generation, delivery.stamp);
        self.heap.push(Reverse(Entry { due, delivery: at, generation, stamp }));
        self.live += 1;
    }

    /// A delivery of this state no longer waits: its entry is dead from now on.
    pub(crate) fn left(&mut self) {
        self.live -= 1;
    }

    /// The next to fall due, and when.
    pub(crate) fn peek(&mut self, deliveries: &Deliveries) -> Option<(Duration, Handle)> {
        while let Some(Reverse(entry)) = self.heap.peek() {
            if self.is_live(entry, deliveries) {
                return Some((entry.due, entry.delivery));
            }
            self.heap.pop();
        }
        None
    }

    /// The one that waits with the earliest due time and fits.
    pub(crate) fn earliest(&self, deliveries: &Deliveries, fits: impl Fn(Handle) -> bool) -> Option<Handle> {
        let live = self.heap.iter().map(|Reverse(entry)| entry);
        let fitting = live.filter(|entry| self.is_live(entry, deliveries) && fits(entry.delivery));
        fitting.min().map(|entry| entry.delivery)
    }

    /// All that wait, in no particular (but always the same) order.
    pub(crate) fn iter<'a>(&'a self, deliveries: &'a Deliveries) -> impl Iterator<Item = Handle> + 'a {
        let live = self.heap.iter().map(|Reverse(entry)| entry);
        live.filter(|entry| self.is_live(entry, deliveries)).map(|entry| entry.delivery)
    }

    /// Forgets every entry that is dead.
    pub(crate) fn purge(&mut self, deliveries: &Deliveries) {
        let state = self.state;
        self.heap.retain(|Reverse(entry)| waits(entry, deliveries, state));
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.heap.capacity()
    }

    fn sweep(&mut self, deliveries: &Deliveries) {
        if self.heap.len() > 2 * self.live as usize + 64 {
            self.purge(deliveries);
        }
    }

    fn is_live(&self, entry: &Entry, deliveries: &Deliveries) -> bool {
        waits(entry, deliveries, self.state)
    }
}

fn waits(entry: &Entry, deliveries: &Deliveries, state: State) -> bool {
    deliveries.get(entry.delivery).is_some_and(|delivery| {
        delivery.state == state && delivery.generation == entry.generation && delivery.stamp == entry.stamp
    })
}
