use std::collections::BTreeMap;

use crate::frame::{u32_at, u64_at};
use crate::ranges::Ranges;

/// What is remembered of an unsettled record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// Spent attempts.
    pub attempts: u32,
    /// When the first was made, in milliseconds since the Unix epoch; 0 for none.
    pub first_ms: u64,
}

/// What a subscription has settled: all below the floor, and ranges above it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) floor: u64,
    pub(crate) done: Ranges,
    pub(crate) notes: BTreeMap<u64, Note>,
}

/// A change of progress, as the settle log stores it: a tag and its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// `from..to` are settled.
    Done {
        from: u64,
        to: u64,
    },
    Note {
        sequence: u64,
        note: Note,
    },
    /// All below the floor is settled, nothing else is, and no notes are left.
    Moved {
        floor: u64,
    },
}

impl Progress {
    pub(crate) fn from_floor(floor: u64) -> Self {
        Self { floor, ..Self::default() }
    }

    /// Returns how many records it newly settled.
    pub(crate) fn complete(&mut self, from: u64, to: u64) -> u64 {
        let from = from.max(self.floor);
        if from >= to {
            return 0;
        }
        let new = if from == self.floor {
            // The usual case, in order: no range is made only to be taken out again.
            // Only what lies within is looked at, and leaves with it: a key that was stuck has many ranges above.
            let new = to - from - self.done.count_from(from, to);
            self.floor = self.done.end_of(to).unwrap_or(to);
            self.done.remove_below(self.floor);
            new
        } else {
            self.done.insert(from, to)
        };
        while let Some((&sequence, _)) = self.notes.range(from..to).next() {
            self.notes.remove(&sequence);
        }
        new
    }

    pub(crate) fn is_done(&self, sequence: u64) -> bool {
        sequence < self.floor || self.done.end_of(sequence).is_some()
    }

    /// The lowest sequence from `from` on that is not settled.
    pub(crate) fn next_unsettled(&self, from: u64) -> u64 {
        let from = from.max(self.floor);
        self.done.end_of(from).unwrap_or(from)
    }

    /// How many records below `end` are not settled.
    pub(crate) fn unsettled_below(&self, end: u64) -> u64 {
        end.saturating_sub(self.floor) - if end > self.floor { self.done.count_below(end) } else { 0 }
    }

    /// Whether anything at or above `end` is settled.
    pub(crate) fn is_beyond(&self, end: u64) -> bool {
        self.floor > end || self.done.end().is_some_and(|last| last > end)
    }

    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Done { from, to } => {
                self.complete(from, to);
            }
            Change::Note { sequence, note } => {
                if !self.is_done(sequence) {
                    self.notes.insert(sequence, note);
                }
            }
            Change::Moved { floor } => *self = Self::from_floor(floor),
        }
    }

    /// The changes that make this progress out of nothing.
    pub(crate) fn snapshot(&self) -> impl Iterator<Item = Change> {
        let done = self.done.iter().map(|(from, to)| Change::Done { from, to });
        let notes = self.notes.iter().map(|(&sequence, &note)| Change::Note { sequence, note });
        std::iter::once(Change::Moved { floor: self.floor }).chain(done).chain(notes)
    }
}

impl Change {
    pub(crate) fn encode(self, into: &mut Vec<u8>) {
        match self {
            Self::Done { from, to } => {
                into.push(1);
                into.extend_from_slice(&from.to_le_bytes());
                into.extend_from_slice(&to.to_le_bytes());
            }
            Self::Note { sequence, note } => {
                into.push(2);
                into.extend_from_slice(&sequence.to_le_bytes());
                into.extend_from_slice(&note.first_ms.to_le_bytes());
                into.extend_from_slice(&note.attempts.to_le_bytes());
            }
            Self::Moved { floor } => {
                into.push(3);
                into.extend_from_slice(&floor.to_le_bytes());
            }
        }
    }

    /// Reads one change off the front; `None` where none stands there.
    pub(crate) fn decode(bytes: &mut &[u8]) -> Option<Self> {
        let (&tag, rest) = bytes.split_first()?;
        let length = match tag {
            1 => 16,
            2 => 20,
            3 => 8,
            _ => return None,
        };
        let (body, rest) = rest.split_at_checked(length)?;
        *bytes = rest;
        Some(match tag {
            1 => Self::Done { from: u64_at(body, 0), to: u64_at(body, 8) },
            2 => Self::Note {
                sequence: u64_at(body, 0),
                note: Note { first_ms: u64_at(body, 8), attempts: u32_at(body, 16) },
            },
            _ => Self::Moved { floor: u64_at(body, 0) },
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::ranges::tests::VISITS;

    #[test]
    fn settling_below_many_ranges_looks_at_few_of_them() {
        const RECORDS: u64 = 100_000;
        let mut progress = Progress::from_floor(0);
        VISITS.set(0);
        // A stuck key's records are every other one: all else is settled, then it recovers, in order.
        (0..RECORDS).for_each(|n| assert_eq!(progress.complete(2 * n + 1, 2 * n + 2), 1));
        (0..RECORDS / 2).for_each(|n| assert_eq!(progress.complete(2 * n, 2 * n + 1), 1));
        // And what is left of it in any order.
        (RECORDS / 2..RECORDS).rev().for_each(|n| assert_eq!(progress.complete(2 * n, 2 * n + 1), 1));
        assert_eq!((progress.floor, progress.done.pieces()), (2 * RECORDS, 0));
        let visits = VISITS.get();
        assert!(visits <= 4 * RECORDS, "{visits} ranges were looked at for {} settles", 2 * RECORDS);
    }

    proptest! {
        #[test]
        fn progress_is_a_set_of_settled_records(changes in prop::collection::vec((0u64..50, 1u64..6, 0u8..20), 0..60)) {
            let mut progress = Progress::from_floor(5);
            let mut model: BTreeSet<u64> = (0..5).collect();
            let mut encoded = Vec::new();
            for (at, length, kind) in changes {
                let change = match kind {
                    0 => Change::Moved { floor: at },
                    1..4 => Change::Note { sequence: at, note: Note { attempts: 3, first_ms: at } },
                    _ => Change::Done { from: at, to: at + length },
                };
                match change {
                    Change::Moved { floor } => { model = (0..floor).collect(); progress.apply(change); }
                    Change::Done { from, to } => {
                        let new = (from..to).filter(|n| model.insert(*n)).count() as u64;
                        prop_assert_eq!(progress.complete(from, to), new);
                    }
                    Change::Note { .. } => progress.apply(change),
                }
                change.encode(&mut encoded);
            }
            for n in 0..70 {
                prop_assert_eq!(progress.is_done(n), model.contains(&n), "{} in {:?}", n, progress);
                prop_assert_eq!(progress.next_unsettled(n), (n..).find(|n| !model.contains(n)).unwrap());
                prop_assert_eq!(progress.unsettled_below(n), (0..n).filter(|n| !model.contains(n)).count() as u64);
            }
            prop_assert!(progress.notes.keys().all(|n| !model.contains(n)), "a settled record keeps no note");

            let mut replayed = Progress::from_floor(5);
            let mut rest = &encoded[..];
            while let Some(change) = Change::decode(&mut rest) { replayed.apply(change); }
            prop_assert!(rest.is_empty());
            prop_assert_eq!(&replayed, &progress, "replaying the changes");
            let mut copied = Progress::default();
            progress.snapshot().for_each(|change| copied.apply(change));
            prop_assert_eq!(&copied, &progress, "replaying the snapshot");
        }
    }
}
