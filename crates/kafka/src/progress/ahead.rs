//! What is known of offsets that have not been read yet: what a commit told, and what was purged unread.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use broker::Note;

/// The settled ranges above a partition's next offset, and the notes of the unsettled ones.
///
/// What stands between the ranges is *awaited*: whoever committed had read it and not settled it.
#[derive(Clone, Debug, Default)]
pub(super) struct Ahead {
    /// In order, neither empty nor touching. As many as a commit's metadata can tell, and one more a purge.
    settled: VecDeque<Range<u64>>,
    pub(super) notes: BTreeMap<u64, Note>,
}

impl Ahead {
    /// From ranges in order.
    pub(super) fn new(settled: Vec<Range<u64>>, notes: BTreeMap<u64, Note>) -> Self {
        Self { settled: settled.into(), notes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.settled.is_empty() && self.notes.is_empty()
    }

    /// One past the highest offset known to be settled.
    pub(super) fn end(&self) -> Option<u64> {
        self.settled.back().map(|last| last.end)
    }

    pub(super) fn contains(&self, offset: u64) -> bool {
        let at = self.settled.partition_point(|range| range.end <= offset);
        self.settled.get(at).is_some_and(|range| range.contains(&offset))
    }

    /// The settled ranges, in order.
    pub(super) fn settled(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.settled.iter().cloned()
    }

    /// How many offsets below `end` are settled.
    pub(super) fn settled_below(&self, end: u64) -> u64 {
        self.settled
            .iter()
            .take_while(|range| range.start < end)
            .map(|range| range.end.min(end) - range.start)
            .sum()
    }

    /// How many offsets of `from..to` are awaited. Everything below `from` has been forgotten.
    pub(super) fn awaited(&self, from: u64, to: u64) -> u64 {
        let to = to.min(self.end().unwrap_or(from)).max(from);
        to - from - self.settled_below(to)
    }

    /// Settles `from..to`; both are above everything that has been read.
    pub(super) fn settle(&mut self, from: u64, to: u64) {
        if from >= to {
            return;
        }
        let first = self.settled.partition_point(|range| range.end < from);
        let after = self.settled.partition_point(|range| range.start <= to);
        let mut whole = from..to;
        for range in self.settled.drain(first..after) {
            whole = whole.start.min(range.start)..whole.end.max(range.end);
        }
        self.settled.insert(first, whole);
        self.notes.retain(|offset, _| !(from..to).contains(offset));
    }

    /// Forgets everything below `next`, and returns where what is settled from there on ends: `next` itself, unless a
    /// settled range covers it.
    pub(super) fn forget_below(&mut self, mut next: u64) -> u64 {
        while let Some(range) = self.settled.front_mut()
            && range.start <= next
        {
            next = next.max(range.end);
            self.settled.pop_front();
        }
        while let Some(note) = self.notes.first_entry()
            && *note.key() < next
        {
            note.remove();
        }
        next
    }
}
