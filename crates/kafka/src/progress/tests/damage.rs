//! Metadata that is not ours, or no longer what it was.

use proptest::prelude::*;

use super::*;

fn sample() -> (u64, String) {
    let mut progress = Progress::new(700);
    read(&mut progress, 700, 2_000);
    for offset in shuffled(701, 2_000, 3).into_iter().take(300).chain(1_400..1_700) {
        progress.settle(offset);
    }
    for offset in [702, 900, 1_300] {
        progress.note(offset, noted(3, 1_764_000_000_000 + offset));
    }
    (progress.base(), progress.encode(4096).text)
}

fn is_refused(base: u64, text: &str) -> bool {
    let (progress, reason) = Progress::restore(base, text);
    if reason.is_some() {
        assert_eq!((progress.base(), progress.next(), progress.ahead.is_empty()), (base, base, true));
    }
    reason.is_some()
}

#[test]
fn each_refusal_has_its_reason() {
    let (base, text) = sample();
    let reason = |base: u64, text: &str| Progress::restore(base, text).1.unwrap_or_default();
    assert_eq!(reason(base, &text), "");
    assert_eq!(reason(base, ""), "");
    assert_eq!(reason(base, "consumer-7 on host"), "the commit's metadata is not from here: it is no base64");
    assert_eq!(reason(base, "AQ"), "the commit's metadata is not from here: it is too short");
    assert_eq!(
        reason(base, "____________"),
        "the commit's metadata is not from here: its version is 255, and 1 is understood"
    );
    assert!(reason(base + 1, &text).contains("written for another offset than 701"));
    assert!(reason(base, &"A".repeat(70_000)).ends_with("it has 70000 characters"));
    assert_eq!(reason(5, &codec::seal(5, 3, &[0xff], &[])), "the commit's metadata contradicts itself");
}

#[test]
fn every_truncation_and_every_other_character_is_found() {
    let (base, text) = sample();
    assert!(!is_refused(base, &text));
    (1..text.len()).for_each(|end| assert!(is_refused(base, &text[..end]), "cut at {end}"));
    for at in 0..text.len() {
        for other in "AB7_-+é ".chars().filter(|other| !text[at..].starts_with(*other)) {
            let damaged = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            assert!(is_refused(base, &damaged), "{other} at {at}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics(base in any::<u64>(), text in any::<String>()) {
        is_refused(base, &text);
    }

    #[test]
    fn no_base64_panics(base in any::<u64>(), text in "[A-Za-z0-9_-]{0,80}") {
        is_refused(base, &text);
    }

    /// As if somebody else knew how to seal.
    #[test]
    fn no_sealed_nonsense_panics(
        base in prop_oneof![Just(0), 0..1_000u64, any::<u64>(), codec::OFFSET_MAX - 600..=codec::OFFSET_MAX],
        span in prop_oneof![Just(0), 0..1_000u64, any::<u64>()],
        pieces in prop::collection::vec(prop_oneof![any::<u8>(), 0..16u8], 0..60),
        end in 0..1_000u64,
    ) {
        let (mut progress, reason) = Progress::restore(base, &codec::seal(base, span, &pieces, &[]));
        if reason.is_none() {
            // What was understood can be told again, and means the same.
            let encoded = progress.encode(1 << 16);
            let (again, reason) = Progress::restore(progress.base(), &encoded.text);
            prop_assert_eq!(reason, None);
            let settled: Vec<_> = again.ahead.settled().collect();
            prop_assert_eq!(progress.ahead.settled().collect::<Vec<_>>(), settled);
            prop_assert_eq!(&progress.ahead.notes, &again.ahead.notes);
            progress.lag(u64::MAX);
            progress.receive(progress.next().saturating_add(end).min(codec::OFFSET_MAX));
            progress.bound();
        }
    }
}
