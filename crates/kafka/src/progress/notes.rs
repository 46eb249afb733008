//! The notes of what is held, and what they may cost in a commit's metadata.

use std::collections::BTreeMap;

use broker::Note;

use super::wire;

/// The notes of unsettled offsets that were read.
#[derive(Clone, Debug, Default)]
pub(super) struct Notes {
    notes: BTreeMap<u64, Note>,
    /// The most attempts, and the first and last time, of all notes since there were none: what is needed of a note's
    /// cost without looking at each. Settling raises none of them.
    attempts_max: u32,
    first_ms_min: u64,
    first_ms_max: u64,
}

impl Notes {
    pub(super) fn is_empty(&self) -> bool {
        self.notes.is_empty()
    }

    pub(super) fn get(&self, offset: u64) -> Option<Note> {
        self.notes.get(&offset).copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, Note)> + '_ {
        self.notes.iter().map(|(&offset, &note)| (offset, note))
    }

    /// Returns what stood there.
    pub(super) fn insert(&mut self, offset: u64, note: Note) -> Option<Note> {
        if self.notes.is_empty() {
            (self.attempts_max, self.first_ms_min, self.first_ms_max) = (0, note.first_ms, note.first_ms);
        }
        self.attempts_max = self.attempts_max.max(note.attempts);
        self.first_ms_min = self.first_ms_min.min(note.first_ms);
        self.first_ms_max = self.first_ms_max.max(note.first_ms);
        self.notes.insert(offset, note)
    }

    pub(super) fn remove(&mut self, offset: u64) -> Option<Note> {
        self.notes.remove(&offset)
    }

    /// The most bytes that these notes, or any part of them, take where they are spread over at most `span` offsets.
    pub(super) fn bound(&self, span: u64) -> usize {
        let count = self.notes.len() as u64;
        if count == 0 {
            return 0;
        }
        let spread_ms = self.first_ms_max - self.first_ms_min;
        let bits = wire::column_bound(count, span as f64 / count as f64)
            + wire::column_bound(count, f64::from(self.attempts_max))
            + wire::column_bound(count, spread_ms as f64);
        wire::varint_len(count) + wire::varint_len(self.first_ms_max) + bits.div_ceil(8) as usize
    }
}
