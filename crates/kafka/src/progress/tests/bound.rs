//! The bound holds: once reading stops, nothing that is settled makes metadata longer than it said.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    /// So many in a row, after a hole.
    Read {
        hole: u64,
        count: u64,
    },
    /// This many per thousand of what is held.
    Settle {
        share: u64,
        seed: u64,
    },
    /// All but every `n`th.
    Thin {
        n: u64,
    },
    /// So many from the first or from the last on.
    Run {
        count: usize,
        from_last: bool,
    },
    Note {
        share: u64,
        note: Note,
    },
    PassOver {
        hole: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let hole = || prop_oneof![6 => Just(0), 3 => 0..600u64, 2 => 0..40_000u64, 1 => 0..50_000_000u64];
    let first_ms = prop_oneof![4 => 1_764_000_000_000..1_764_003_600_000u64, 1 => any::<u64>()];
    let attempts = prop_oneof![5 => 1..30u32, 1 => 1..=u32::MAX];
    let note = (attempts, first_ms).prop_map(|(attempts, first_ms)| noted(attempts, first_ms));
    prop_oneof![
        4 => (hole(), prop_oneof![1..4u64, 1..900u64]).prop_map(|(hole, count)| Step::Read { hole, count }),
        3 => (1..=1_000u64, 1..u64::MAX).prop_map(|(share, seed)| Step::Settle { share, seed }),
        1 => (2..300u64).prop_map(|n| Step::Thin { n }),
        2 => (1..800usize, any::<bool>()).prop_map(|(count, from_last)| Step::Run { count, from_last }),
        2 => (1..300u64, note).prop_map(|(share, note)| Step::Note { share, note }),
        1 => hole().prop_map(|hole| Step::PassOver { hole }),
    ]
}

/// What is settled by a step, in the order in which it is.
fn settles(progress: &Progress, step: &Step) -> Vec<u64> {
    let held: Vec<u64> = progress.held_in(0, u64::MAX).collect();
    match *step {
        Step::Settle { share, seed } => {
            let order = shuffled(0, held.len() as u64, seed);
            let count = (held.len() as u64 * share).div_ceil(1_000) as usize;
            order[..count].iter().map(|at| held[*at as usize]).collect()
        }
        Step::Thin { n } => held.into_iter().filter(|offset| offset % n != 0).collect(),
        Step::Run { count, from_last: false } => held.into_iter().take(count).collect(),
        Step::Run { count, .. } => held.into_iter().rev().take(count).collect(),
        _ => Vec::new(),
    }
}

fn check(progress: &Progress, least: &mut Option<Bound>) -> Result<(), TestCaseError> {
    let Bound { settled, notes } = progress.bound();
    let least = least.get_or_insert(progress.bound());
    (least.settled, least.notes) = (least.settled.min(settled), least.notes.min(notes));
    let encoded = progress.encode(usize::MAX);
    prop_assert_eq!((encoded.dropped_notes, encoded.told_below), (0, None), "all fits without a limit");
    let needed = bytes(&encoded);
    prop_assert!(needed <= least.settled + least.notes, "{} bytes where {:?} was the bound", needed, least);
    let mut bare = progress.clone();
    bare.notes = Notes::default();
    let needed = bytes(&bare.encode(usize::MAX));
    prop_assert!(needed <= least.settled, "{} bytes without notes where {:?} was the bound", needed, least);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn settling_never_needs_more_than_the_bound_said(base in 0..600u64, steps in prop::collection::vec(step(), 1..25)) {
        let mut progress = Progress::new(base);
        let mut least = None;
        for step in &steps {
            match *step {
                Step::Read { hole, count } => {
                    let from = progress.next() + hole;
                    read(&mut progress, from, from + count);
                    least = None;
                }
                Step::PassOver { hole } => {
                    progress.skip_to(progress.next() + hole);
                    least = None;
                }
                Step::Note { share, note } => {
                    let held: Vec<u64> = progress.held_in(0, u64::MAX).collect();
                    for offset in held.into_iter().filter(|offset| offset * 7_919 % 1_000 < share) {
                        progress.note(offset, Note { first_ms: note.first_ms.saturating_add(offset % 977), ..note });
                    }
                    least = None;
                }
                _ => {
                    let settles = settles(&progress, step);
                    let looks = settles.len().div_ceil(6).max(1);
                    for (at, offset) in settles.into_iter().enumerate() {
                        prop_assert!(progress.settle(offset));
                        if at % looks == 0 {
                            check(&progress, &mut least)?;
                        }
                    }
                }
            }
            check(&progress, &mut least)?;
        }
        progress.held_in(0, u64::MAX).collect::<Vec<_>>().into_iter().for_each(|offset| {
            progress.settle(offset);
        });
        prop_assert_eq!(progress.bound(), Bound::default());
        prop_assert_eq!(progress.chunks_bound, 0, "what was counted for chunks is taken back");
    }
}
