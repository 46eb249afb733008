//! Every operation against sets of offsets.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// What progress means, without any thought for cost.
#[derive(Debug, Default)]
struct Model {
    held: BTreeSet<u64>,
    notes: BTreeMap<u64, Note>,
    next: u64,
    /// Offsets from `next` on that are settled, and notes of others.
    settled_ahead: BTreeSet<u64>,
    notes_ahead: BTreeMap<u64, Note>,
}

impl Model {
    fn base(&self) -> u64 {
        self.held.first().copied().unwrap_or(self.next)
    }

    fn is_settled(&self, offset: u64) -> bool {
        if offset < self.next { !self.held.contains(&offset) } else { self.settled_ahead.contains(&offset) }
    }

    fn skip_to(&mut self, offset: u64) -> Passed {
        let known_end = self.settled_ahead.last().map_or(0, |last| last + 1);
        let mut passed = Passed::default();
        for offset in self.next..offset.max(self.next) {
            match self.settled_ahead.contains(&offset) {
                true => {}
                false if offset < known_end => passed.awaited += 1,
                false => passed.unknown += 1,
            }
        }
        self.advance(offset.max(self.next));
        passed
    }

    fn advance(&mut self, next: u64) {
        self.next = next;
        while self.settled_ahead.contains(&self.next) {
            self.next += 1;
        }
        self.settled_ahead = self.settled_ahead.split_off(&self.next);
        self.notes_ahead = self.notes_ahead.split_off(&self.next);
    }

    fn receive(&mut self, offset: u64) -> (Received, Passed) {
        if self.held.contains(&offset) {
            return (Received::Known, Passed::default());
        }
        let passed = if offset > self.next { self.skip_to(offset) } else { Passed::default() };
        if self.is_settled(offset) {
            return (Received::Settled, passed);
        }
        self.held.insert(offset);
        if let Some(note) = self.notes_ahead.remove(&offset) {
            self.notes.insert(offset, note);
        }
        self.advance(offset + 1);
        (Received::New, passed)
    }

    fn settle(&mut self, offset: u64) -> bool {
        self.notes.remove(&offset);
        self.held.remove(&offset)
    }

    fn settle_range(&mut self, from: u64, to: u64) {
        let held: Vec<u64> = self.held.range(from..to.max(from)).copied().collect();
        let ahead = from.max(self.next)..to;
        self.notes_ahead.retain(|offset, _| !ahead.contains(offset));
        self.settled_ahead.extend(ahead);
        self.advance(self.next);
        for offset in held {
            self.settle(offset);
        }
    }

    fn note(&mut self, offset: u64, note: Note) -> bool {
        let held = self.held.contains(&offset);
        if held && note.attempts > 0 {
            self.notes.insert(offset, note);
        } else if held {
            self.notes.remove(&offset);
        }
        held
    }

    /// A new process begins where the last one committed.
    fn restart(self) -> Self {
        let base = self.base();
        let below_next = (base..self.next).filter(|offset| !self.held.contains(offset));
        let settled_ahead = below_next.chain(self.settled_ahead.iter().copied()).collect();
        let notes_ahead = self.notes.into_iter().chain(self.notes_ahead).collect();
        let mut model = Self { settled_ahead, notes_ahead, ..Self::default() };
        model.advance(base);
        model
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// So many offsets after the next one.
    Receive {
        hole: u64,
    },
    ReceiveMany {
        count: u64,
    },
    /// So many below the next one.
    ReceiveAgain {
        back: u64,
    },
    Settle {
        at: prop::sample::Index,
    },
    SettleMany {
        modulus: u64,
    },
    SettleRange {
        from: u64,
        length: u64,
    },
    Note {
        at: prop::sample::Index,
        note: Note,
    },
    SkipTo {
        ahead: u64,
    },
    LoseBelow {
        above_base: u64,
    },
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let hole = || prop_oneof![5 => Just(0), 3 => 1..5u64, 1 => 1..700u64];
    let note = (0..4u32, 0..2_000_000_000_000u64).prop_map(|(attempts, first_ms)| noted(attempts, first_ms));
    prop_oneof![
        6 => hole().prop_map(|hole| Step::Receive { hole }),
        4 => (1..300u64).prop_map(|count| Step::ReceiveMany { count }),
        2 => (1..300u64).prop_map(|back| Step::ReceiveAgain { back }),
        6 => any::<prop::sample::Index>().prop_map(|at| Step::Settle { at }),
        3 => (2..9u64).prop_map(|modulus| Step::SettleMany { modulus }),
        2 => (0..900u64, 0..600u64).prop_map(|(from, length)| Step::SettleRange { from, length }),
        4 => (any::<prop::sample::Index>(), note).prop_map(|(at, note)| Step::Note { at, note }),
        1 => hole().prop_map(|ahead| Step::SkipTo { ahead }),
        1 => (0..900u64).prop_map(|above_base| Step::LoseBelow { above_base }),
        3 => Just(Step::Restart),
    ]
}

/// Progress and its model, side by side.
#[derive(Debug)]
struct Both {
    progress: Progress,
    model: Model,
}

impl Both {
    fn receive(&mut self, offset: u64) -> Result<(), TestCaseError> {
        let expected = self.model.receive(offset);
        prop_assert_eq!(self.progress.receive(offset), expected, "offset {}", offset);
        Ok(())
    }

    fn settle(&mut self, offset: u64) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.progress.settle(offset), self.model.settle(offset), "offset {}", offset);
        Ok(())
    }

    /// One of what is held, or the next offset, which is not.
    fn pick(&self, at: prop::sample::Index) -> u64 {
        let offsets: Vec<u64> = self.model.held.iter().copied().chain([self.model.next]).collect();
        *at.get(&offsets)
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let (base, next) = (self.model.base(), self.model.next);
        match *step {
            Step::Receive { hole } => self.receive(next + hole)?,
            Step::ReceiveMany { count } => {
                (next..next + count).try_for_each(|offset| self.receive(offset))?;
            }
            Step::ReceiveAgain { back } => self.receive(next.saturating_sub(back))?,
            Step::Settle { at } => self.settle(self.pick(at))?,
            Step::SettleMany { modulus } => {
                (base..next)
                    .filter(|offset| offset % modulus != 0)
                    .try_for_each(|offset| self.settle(offset))?;
            }
            Step::SettleRange { from, length } => {
                let (from, to) = (base + from, base + from + length);
                self.progress.settle_range(from, to);
                self.model.settle_range(from, to);
            }
            Step::Note { at, note } => {
                let offset = self.pick(at);
                prop_assert_eq!(self.progress.note(offset, note), self.model.note(offset, note));
            }
            Step::SkipTo { ahead } => {
                prop_assert_eq!(self.progress.skip_to(next + ahead), self.model.skip_to(next + ahead));
            }
            Step::LoseBelow { above_base } => {
                let passed = self.model.skip_to(base + above_base);
                prop_assert_eq!(self.progress.lose_below(base + above_base), passed.awaited + passed.unknown);
            }
            Step::Restart => {
                let encoded = self.progress.encode(usize::MAX);
                let (restored, reason) = Progress::restore(self.progress.base(), &encoded.text);
                prop_assert_eq!(reason, None);
                self.progress = restored;
                self.model = std::mem::take(&mut self.model).restart();
            }
        }
        Ok(())
    }

    fn agree(&self) -> Result<(), TestCaseError> {
        let (progress, model) = (&self.progress, &self.model);
        prop_assert_eq!((progress.base(), progress.next()), (model.base(), model.next));
        prop_assert_eq!(progress.unsettled(), model.held.len());
        prop_assert_eq!(progress.first_unsettled(), model.held.first().copied());
        prop_assert!(progress.held_in(0, u64::MAX).eq(model.held.iter().copied()));
        let end = model.settled_ahead.last().map_or(model.next, |last| last + 1) + 5;
        for offset in model.base().saturating_sub(3)..end {
            prop_assert_eq!(progress.is_settled(offset), model.is_settled(offset), "offset {}", offset);
            let note = model.notes.get(&offset).or_else(|| model.notes_ahead.get(&offset)).copied();
            prop_assert_eq!(progress.note_of(offset), note, "offset {}", offset);
        }
        let unsettled = (model.base()..end).filter(|offset| !model.is_settled(*offset)).count();
        prop_assert_eq!(progress.lag(end), unsettled as u64);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn progress_is_a_set_of_offsets(base in 0..2_000u64, steps in prop::collection::vec(step(), 1..40)) {
        let model = Model { next: base, ..Model::default() };
        let mut both = Both { progress: Progress::new(base), model };
        for step in &steps {
            let (revision, base) = (both.progress.revision(), both.progress.base());
            both.step(step)?;
            both.agree()?;
            let same = both.progress.revision() == revision && !matches!(step, Step::Restart);
            prop_assert!(!same || both.progress.base() == base, "the base moved within a revision");
        }
    }
}
