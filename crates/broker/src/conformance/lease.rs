//! Lines 5 to 7: leases, and how they end.

use super::Fixture;
use super::bench::{AMPLE, Bench};
use super::samples::{record, records};
use super::watch::{numbers, sorted};
use crate::{Credit, Lease, Note, Settle};

/// Line 7: leases are settled in any order, and each settle is remembered for its own record.
pub async fn settles_come_in_any_order<F: Fixture>(fixture: F) {
    let (bench, subscription, mut source) = Bench::open_with(fixture, records(1, 30, 30), AMPLE).await;
    let mut held = source.hold(30).await;
    // Back to front, and the odd ones only: every other record stays unsettled.
    held.sort_by_key(|h| std::cmp::Reverse(h.number()));
    for one in held.iter().filter(|h| h.number() % 2 == 1) {
        source.settle(one.lease(), Settle::Done);
    }
    source.close().await.expect("a source closes on a broker that is well");
    let mut source = bench.open(&subscription, AMPLE).await;
    let again = source.hold(15).await;
    let even: Vec<u64> = (1..=30).filter(|n| n % 2 == 0).collect();
    assert_eq!(sorted(&again), even, "line 7: a settle ends its own lease and no other");
    source.expect_quiet("line 8: what was done and flushed never comes again").await;
}

/// Line 7: a release brings the record again, and behind it the held tail of its key, in order.
pub async fn a_release_brings_the_tail_of_its_key_again<F: Fixture>(fixture: F) {
    let length: u64 = if fixture.pipelines_keys() { 6 } else { 1 };
    let (_bench, _, mut source) = Bench::open_with(fixture, records(1, length, 1), AMPLE).await;
    let held = source.hold(length as usize).await;
    let head = held[held.len() / 3].clone();
    let stale = source.source().stale_settles();
    source.settle(head.lease(), Settle::Release);
    let dead: Vec<Lease> =
        held.iter().filter(|h| h.number() > head.number()).map(super::watch::Held::lease).collect();
    for lease in &dead {
        source.settle(*lease, Settle::Done);
    }
    let counted = source.source().stale_settles() - stale;
    assert_eq!(counted, dead.len() as u64, "line 7: the leases behind a released one die with it");
    source.hold(length as usize).await;
    let done = source.drain(length as usize).await;
    assert_eq!(
        numbers(&done),
        (1..=length).collect::<Vec<_>>(),
        "line 7: a released delivery's key comes again in order"
    );
    source.expect_quiet("line 7: it comes again once").await;
}

/// Line 7: other keys, records without a key, and what stood before in the same key keep their leases.
pub async fn a_release_of_one_key_leaves_the_others_alone<F: Fixture>(fixture: F) {
    let batch = vec![record(Some("a"), 1), record(Some("b"), 2), record(None, 3), record(None, 4)];
    let (_bench, _, mut source) = Bench::open_with(fixture, batch, AMPLE).await;
    let held = source.hold(4).await;
    let stale = source.source().stale_settles();
    let released = |number: u64| number == 1 || number == 3;
    for one in held.iter().filter(|h| released(h.number())) {
        source.settle(one.lease(), Settle::Release);
    }
    for one in held.iter().filter(|h| !released(h.number())) {
        source.settle(one.lease(), Settle::Done);
    }
    assert_eq!(
        source.source().stale_settles(),
        stale,
        "line 7: a release of one key leaves other leases alive"
    );
    let again = source.hold(2).await;
    assert_eq!(sorted(&again), [1, 3], "line 7: what was released comes again");
}

/// Line 6: a settle or note of a dead lease, or of one that never was, is ignored and counted.
pub async fn stale_settles_are_ignored_and_counted<F: Fixture>(fixture: F) {
    let (_bench, _, mut source) = Bench::open_with(fixture, records(1, 2, 2), AMPLE).await;
    let held = source.hold(2).await;
    let before = source.source().stale_settles();
    source.settle(held[0].lease(), Settle::Done);
    source.settle(held[0].lease(), Settle::Done);
    source.settle(held[0].lease(), Settle::Release);
    source.note(held[0].lease(), Note { attempts: 1, first_ms: 1 });
    source.settle(Lease { slot: 1_000_000, generation: 0 }, Settle::Done);
    assert_eq!(source.source().stale_settles() - before, 4, "line 6: a settle of a dead lease is counted");
    source.settle(held[1].lease(), Settle::Done);
    assert_eq!(source.source().stale_settles() - before, 4, "line 6: a settle of a live lease is not");
    source.expect_quiet("line 6: a release of a dead lease is ignored").await;
}

/// Line 6: a stale settle is never applied to the lease that its slot holds by now.
pub async fn a_stale_settle_is_never_applied_to_another_lease<F: Fixture>(fixture: F) {
    // A credit of one: the second record has to take the first one's slot.
    let (mut bench, subscription, mut source) =
        Bench::open_with(fixture, records(1, 2, 2), Credit { events: 1, ..AMPLE }).await;
    let first = source.hold(1).await.remove(0);
    source.settle(first.lease(), Settle::Done);
    let second = source.hold(1).await.remove(0);
    assert_eq!(second.lease().slot, first.lease().slot, "slots are dense: one credit is one slot");
    let before = source.source().stale_settles();
    source.settle(first.lease(), Settle::Done);
    source.note(first.lease(), Note { attempts: 7, first_ms: 7 });
    assert_eq!(source.source().stale_settles() - before, 2, "line 6: settles of a dead lease are counted");
    source.flush().await;
    drop(source);
    bench.restart().await;
    let mut source = bench.open(&subscription, AMPLE).await;
    let again = source.hold(1).await;
    assert_eq!(numbers(&again), [second.number()], "line 6: the second record was never settled");
    assert_eq!(again[0].delivery.note, Note::default(), "line 6: nor was the note its own");
}

/// [`Lease`]: slots stay below the largest credit, and no use of one is taken for the last.
pub async fn slots_are_dense_and_generations_differ<F: Fixture>(fixture: F) {
    // What is promised of slots and generations, the watch over the source asserts at every hand-out.
    let (_bench, _, mut source) =
        Bench::open_with(fixture, records(1, 60, 60), Credit { events: 4, ..AMPLE }).await;
    let done = source.take_some(20).await.len();
    source.set_credit(Credit { events: 9, ..AMPLE });
    let mut released = 0;
    while released < 10 {
        let held = source.hold(2).await;
        source.settle(held[1].lease(), Settle::Release);
        released += 1;
    }
    source.drain(60 - done).await;
    source.expect_quiet("line 4: all of it was done").await;
}

/// Line 8: a note stays with its record when that is given back.
pub async fn notes_survive_a_release<F: Fixture>(fixture: F) {
    let (_bench, _, mut source) = Bench::open_with(fixture, records(1, 2, 2), AMPLE).await;
    let held = source.hold(2).await;
    let note = Note { attempts: 3, first_ms: 1_700_000_000_123 };
    assert_eq!(held[0].delivery.note, Note::default(), "a record that was never noted has no note");
    source.note(held[0].lease(), note);
    source.settle(held[0].lease(), Settle::Release);
    let noted = held[0].number();
    for one in source.hold(2).await {
        let expected = if one.number() == noted { note } else { Note::default() };
        assert_eq!(one.delivery.note, expected, "line 8: a note survives the release of its own record");
    }
}
