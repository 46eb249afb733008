use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::Note;

/// A durable subscription as the broker knows it, and what the client has not flushed yet.
#[derive(Debug)]
pub(super) struct Cursor {
    pub(super) topic: usize,
    pub(super) ordered: bool,
    /// What stands before it is no business of this subscription.
    floor: u64,
    /// Settled as the client sees it, by position.
    done: Vec<bool>,
    /// Settled as the broker will remember it.
    durable: Vec<bool>,
    notes: BTreeMap<u64, Note>,
    durable_notes: BTreeMap<u64, Note>,
    volatile: VecDeque<Change>,
    /// Changes so far, and how many of them are durable.
    changes: u64,
    flushed: u64,
    /// When the next flush is due.
    pub(super) flush_at: Option<Duration>,
    /// Records lost to retention and not yet reported to a source.
    pub(super) lost: u64,
}

#[derive(Clone, Copy, Debug)]
enum Change {
    Done(u64),
    Note(u64, Note),
}

impl Cursor {
    pub(super) fn new(topic: usize, ordered: bool, floor: u64) -> Self {
        Self {
            topic,
            ordered,
            floor,
            done: Vec::new(),
            durable: Vec::new(),
            notes: BTreeMap::new(),
            durable_notes: BTreeMap::new(),
            volatile: VecDeque::new(),
            changes: 0,
            flushed: 0,
            flush_at: None,
            lost: 0,
        }
    }

    pub(super) fn is_done(&self, position: u64) -> bool {
        position < self.floor || get(&self.done, position)
    }

    pub(super) fn note(&self, position: u64) -> Note {
        self.notes.get(&position).copied().unwrap_or_default()
    }

    /// Settled, as far as the client knows; durable at the next flush.
    pub(super) fn set_done(&mut self, position: u64) {
        set(&mut self.done, position, true);
        self.push(Change::Done(position));
    }

    pub(super) fn set_note(&mut self, position: u64, note: Note) {
        self.notes.insert(position, note);
        self.push(Change::Note(position, note));
    }

    pub(super) fn forget_note(&mut self, position: u64) {
        self.notes.remove(&position);
    }

    fn push(&mut self, change: Change) {
        self.volatile.push_back(change);
        self.changes += 1;
    }

    /// Settled on the broker itself, durably, whatever the client holds.
    pub(super) fn settle_durably(&mut self, position: u64) {
        set(&mut self.done, position, true);
        set(&mut self.durable, position, true);
    }

    pub(super) fn unsettle_durably(&mut self, position: u64) {
        set(&mut self.done, position, false);
        set(&mut self.durable, position, false);
    }

    /// Moves the cursor: below `to` all is settled, from there to `end` nothing is.
    pub(super) fn seek(&mut self, to: u64, end: u64) {
        self.volatile.clear();
        self.flushed = self.changes;
        self.floor = to;
        for position in to..end {
            self.unsettle_durably(position);
        }
        self.notes.clear();
        self.durable_notes.clear();
    }

    /// How many changes there were; durable once [`Cursor::flushed`] has reached it.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    pub(super) fn flushed(&self) -> u64 {
        self.flushed
    }

    pub(super) fn is_volatile(&self) -> bool {
        !self.volatile.is_empty()
    }

    /// Makes the oldest `count` volatile changes durable.
    pub(super) fn flush(&mut self, count: usize, forget: bool) -> usize {
        let count = count.min(self.volatile.len());
        for change in self.volatile.drain(..count) {
            match change {
                Change::Done(position) => {
                    if !forget {
                        set(&mut self.durable, position, true);
                    }
                    self.durable_notes.remove(&position);
                }
                Change::Note(position, note) => {
                    self.durable_notes.insert(position, note);
                }
            }
        }
        self.flushed = self.changes - self.volatile.len() as u64;
        count
    }

    pub(super) fn volatile_len(&self) -> usize {
        self.volatile.len()
    }

    /// Forgets what is not durable, and tells which positions come again for it. Notes are forgotten with the settles
    /// where the broker keeps them at all; otherwise they live and die with the process.
    pub(super) fn rewind(&mut self, durable_notes: bool) -> Vec<u64> {
        let mut again: Vec<u64> = self
            .volatile
            .drain(..)
            .filter_map(|c| match c {
                Change::Done(position) => Some(position),
                Change::Note(..) => None,
            })
            .collect();
        self.flush_at = None;
        self.flushed = self.changes;
        again.retain(|p| !get(&self.durable, *p));
        again.sort_unstable();
        again.dedup();
        self.done.clone_from(&self.durable);
        if durable_notes {
            self.notes.clone_from(&self.durable_notes);
        }
        again
    }

    pub(super) fn forget_notes(&mut self) {
        self.notes.clear();
        self.durable_notes.clear();
    }

    /// Whether at least so many records below `end` are unsettled.
    pub(super) fn has_backlog(&self, end: u64, records: usize) -> bool {
        end - self.floor >= records as u64 && self.unsettled(end).count() >= records
    }

    /// Unsettled positions below `end`, in order.
    pub(super) fn unsettled(&self, end: u64) -> impl Iterator<Item = u64> + '_ {
        (self.floor..end).filter(|p| !get(&self.done, *p))
    }
}

fn get(bits: &[bool], position: u64) -> bool {
    usize::try_from(position).ok().and_then(|i| bits.get(i)).copied().unwrap_or(false)
}

fn set(bits: &mut Vec<bool>, position: u64, value: bool) {
    let Ok(index) = usize::try_from(position) else { return };
    if bits.len() <= index {
        bits.resize(index + 1, false);
    }
    bits[index] = value;
}
