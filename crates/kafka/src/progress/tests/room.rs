//! What is left out where room is short.

use proptest::prelude::*;

use super::*;

#[test]
fn the_least_tried_notes_go_first() {
    let mut progress = Progress::new(0);
    read(&mut progress, 0, 1_000);
    progress.settle(500);
    for offset in (0..1_000).filter(|offset| *offset != 500) {
        progress.note(offset, noted(1 + (offset % 20) as u32, 1_764_000_000_000 + offset * 997));
    }
    let encoded = progress.encode(1_000);
    assert!(encoded.text.len() <= 1_000 && encoded.text.len() > 980, "{}", encoded.text.len());
    assert!(encoded.dropped_notes > 500 && encoded.told_below.is_none());
    let (again, reason) = Progress::restore(0, &encoded.text);
    assert_eq!(reason, None);
    assert!(again.is_settled(500));
    assert_eq!(again.ahead.notes.len(), 999 - encoded.dropped_notes);
    let least = again.ahead.notes.values().map(|note| note.attempts).min();
    let lost = (0..1_000)
        .filter(|offset| again.note_of(*offset).is_none())
        .filter_map(|offset| progress.note_of(offset));
    assert!(lost.map(|note| note.attempts).max() <= least, "a note with more attempts was dropped");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_told_is_true_and_fits(
        base in 0..600u64,
        reads in 1..2_000u64,
        settles in 0..2_000usize,
        notes in 0..60usize,
        seed in 1..u64::MAX,
        chars in 0..500usize,
    ) {
        let mut progress = Progress::new(base);
        read(&mut progress, base, base + reads);
        let order = shuffled(base, base + reads, seed);
        order.iter().rev().take(notes).for_each(|offset| {
            assert!(progress.note(*offset, noted(1 + (offset % 5) as u32, offset * 1_000)));
        });
        order.iter().take(settles).for_each(|offset| assert!(progress.settle(*offset)));
        let encoded = progress.encode(chars);
        prop_assert!(encoded.text.len() <= chars);
        let (again, reason) = Progress::restore(progress.base(), &encoded.text);
        prop_assert_eq!(reason, None);
        let told_below = encoded.told_below.unwrap_or(u64::MAX);
        for offset in progress.base()..base + reads + 300 {
            let expected = offset < told_below && offset < progress.next() && progress.is_settled(offset);
            prop_assert_eq!(again.is_settled(offset), expected, "offset {} told below {}", offset, told_below);
            prop_assert!(again.note_of(offset).is_none() || again.note_of(offset) == progress.note_of(offset));
        }
        let had = order.iter().filter(|offset| progress.note_of(**offset).is_some()).count();
        prop_assert_eq!(again.ahead.notes.len(), had - encoded.dropped_notes);
        let all = progress.encode(usize::MAX);
        prop_assert_eq!((all.dropped_notes, all.told_below), (0, None));
        let whole = encoded.dropped_notes == 0 && encoded.told_below.is_none();
        prop_assert!(whole || all.text.len() > chars, "{} characters would have fitted", all.text.len());
    }
}
