//! What is promised of progress, against a naive model and in figures.

mod bound;
mod damage;
mod model;
mod room;
mod sizes;

use super::*;

fn noted(attempts: u32, first_ms: u64) -> Note {
    Note { attempts, first_ms }
}

/// Reads `from..to`.
fn read(progress: &mut Progress, from: u64, to: u64) {
    for offset in from..to {
        assert_eq!(progress.receive(offset).0, Received::New, "offset {offset} had been read");
    }
}

/// The same order of numbers at every run.
fn shuffled(from: u64, to: u64, mut seed: u64) -> Vec<u64> {
    let mut numbers: Vec<u64> = (from..to).collect();
    for at in (1..numbers.len()).rev() {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        numbers.swap(at, (seed % (at as u64 + 1)) as usize);
    }
    numbers
}

/// How many bytes the text stands for.
fn bytes(encoded: &Encoded) -> usize {
    codec::bytes_in(encoded.text.len())
}

#[test]
fn a_head_that_is_stuck_holds_the_base_and_nothing_else() {
    let mut progress = Progress::new(1_000);
    read(&mut progress, 1_000, 1_010);
    (1_001..1_010).for_each(|offset| assert!(progress.settle(offset)));
    assert_eq!((progress.base(), progress.next(), progress.unsettled()), (1_000, 1_010, 1));
    assert!(progress.settle(1_000));
    assert_eq!((progress.base(), progress.next(), progress.unsettled()), (1_010, 1_010, 0));
    assert_eq!(progress.encode(4096), Encoded::default(), "where all is settled, the offset says it");
}

#[test]
fn what_is_fetched_twice_is_told_apart_from_what_is_settled() {
    let mut progress = Progress::new(5);
    read(&mut progress, 5, 8);
    progress.settle(6);
    assert_eq!(progress.receive(4).0, Received::Settled);
    assert_eq!(progress.receive(5).0, Received::Known);
    assert_eq!(progress.receive(6).0, Received::Settled);
    assert!(!progress.is_settled(5), "a second fetch settles nothing");
}

#[test]
fn holes_cost_nothing_and_move_the_base() {
    let mut progress = Progress::new(0);
    assert_eq!(progress.receive(1_000_000), (Received::New, Passed { awaited: 0, unknown: 1_000_000 }));
    assert_eq!(progress.base(), 1_000_000);
    progress.settle(1_000_000);
    let revision = progress.revision();
    assert_eq!(progress.skip_to(1_000_002), Passed { awaited: 0, unknown: 1 });
    assert_eq!(
        progress.base(),
        1_000_002,
        "what ends the log, such as a transaction's marker, is passed over"
    );
    assert!(progress.revision() > revision, "the base has moved: there is something to commit");
}

/// Read up to 20, settled but for 10, 13 and 17, of which 13 was tried; committed, and restored.
fn restored() -> Progress {
    let mut progress = Progress::new(10);
    read(&mut progress, 10, 20);
    for offset in [11, 12, 14, 15, 16, 18, 19] {
        progress.settle(offset);
    }
    assert!(progress.note(13, noted(4, 1_700_000_000_123)));
    let (restored, reason) = Progress::restore(progress.base(), &progress.encode(4096).text);
    assert_eq!(reason, None);
    restored
}

#[test]
fn what_was_settled_is_not_delivered_again_and_attempts_are_remembered() {
    let mut progress = restored();
    assert_eq!((progress.base(), progress.next(), progress.unsettled()), (10, 10, 0));
    assert_eq!(progress.lag(25), 3 + 5);
    let awaited: Vec<u64> = (10..20).filter(|offset| !progress.is_settled(*offset)).collect();
    assert_eq!(awaited, [10, 13, 17]);
    assert_eq!(progress.note_of(13), Some(noted(4, 1_700_000_000_123)));
    let new: Vec<u64> = (10..22).filter(|offset| progress.receive(*offset).0 == Received::New).collect();
    assert_eq!(new, [10, 13, 17, 20, 21]);
    assert_eq!(progress.note_of(13), Some(noted(4, 1_700_000_000_123)));
    progress.settle(13);
    assert_eq!(progress.note_of(13), None);
}

#[test]
fn what_was_awaited_and_is_gone_is_told_once() {
    let mut progress = restored();
    assert_eq!(progress.receive(10), (Received::New, Passed::default()));
    assert_eq!(progress.receive(17), (Received::New, Passed { awaited: 1, unknown: 0 }));
    assert_eq!(progress.note_of(13), None, "the note of a record that is gone");
    assert!(progress.is_settled(13));
    assert_eq!(progress.receive(25), (Received::New, Passed { awaited: 0, unknown: 5 }));
}

#[test]
fn retention_takes_what_was_not_read_and_leaves_what_is_held() {
    let mut progress = restored();
    assert_eq!(progress.receive(10).0, Received::New);
    assert_eq!(progress.lose_below(22), 2 + 2, "13, 17, and 20 and 21, of which nothing was known");
    assert_eq!(progress.lose_below(22), 0);
    assert_eq!((progress.base(), progress.next()), (10, 22));
    assert_eq!(progress.held_in(0, 22).collect::<Vec<_>>(), [10], "it is held, and still delivered");
    assert_eq!(progress.receive(21).0, Received::Settled);
}

#[test]
fn a_purge_settles_what_is_held_and_what_is_to_come() {
    let mut progress = Progress::new(0);
    read(&mut progress, 0, 10);
    progress.settle_range(4, 300);
    assert_eq!((progress.base(), progress.next(), progress.unsettled()), (0, 300, 4));
    progress.settle_range(400, 500);
    let (mut again, _) = Progress::restore(0, &progress.encode(4096).text);
    assert!(again.is_settled(450) && !again.is_settled(399) && !again.is_settled(3));
    assert_eq!(again.receive(450), (Received::Settled, Passed { awaited: 4 + 100, unknown: 0 }));
}

#[test]
fn a_revision_says_that_there_is_something_to_commit() {
    let mut progress = Progress::new(0);
    read(&mut progress, 0, 3);
    assert_eq!(progress.revision(), 0, "what was read and not settled need not be committed");
    progress.settle(1);
    assert_eq!(progress.revision(), 1);
    progress.settle(1);
    assert_eq!(progress.revision(), 1);
    assert!(progress.note(2, noted(1, 5)) && progress.note(2, noted(1, 5)));
    assert_eq!(progress.revision(), 2, "a note that says the same again");
    assert!(progress.note(2, Note::default()));
    assert_eq!((progress.revision(), progress.note_of(2)), (3, None));
    assert!(!progress.note(1, noted(1, 5)), "a settled offset has no notes");
}
