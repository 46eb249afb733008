//! Line 8: what is remembered over the death of a process.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Fixture;
use super::bench::{AMPLE, Bench};
use super::samples::records;
use super::watch::{numbers, sorted};
use crate::{Note, Settle};

/// Line 8: what was done and flushed never comes again, wherever it stood; the rest does.
pub async fn done_never_comes_again_after_a_flush<F: Fixture>(fixture: F) {
    // A key each, so that all of them are out at once on any broker.
    let (mut bench, subscription, mut source) = Bench::open_with(fixture, records(1, 20, 20), AMPLE).await;
    let held = source.hold(20).await;
    let done: BTreeSet<u64> = [2, 3, 5, 8, 13, 19, 20].into();
    for one in held.iter().filter(|h| done.contains(&h.number())) {
        source.settle(one.lease(), Settle::Done);
    }
    source.flush().await;
    drop(source);
    bench.restart().await;
    let mut source = bench.open(&subscription, AMPLE).await;
    let again = source.hold(20 - done.len()).await;
    let expected: Vec<u64> = (1..=20).filter(|n| !done.contains(n)).collect();
    assert_eq!(sorted(&again), expected, "line 8: after a crash only unflushed work comes again");
    source.expect_quiet("line 8: what was done and flushed never comes again").await;
}

/// Line 8: a settle needs no flush to be durable, only time.
pub async fn a_settle_is_durable_by_itself<F: Fixture>(fixture: F) {
    let (mut bench, subscription, mut source) = Bench::open_with(fixture, records(1, 6, 6), AMPLE).await;
    let held = source.hold(6).await;
    for one in held.iter().filter(|h| h.number() % 2 == 0) {
        source.settle(one.lease(), Settle::Done);
    }
    // The contract's 100 ms, and a tenfold of it for a busy machine: time is here what is promised, not a signal.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    drop(source);
    bench.restart().await;
    let mut source = bench.open(&subscription, AMPLE).await;
    let again = source.hold(3).await;
    assert_eq!(sorted(&again), [1, 3, 5], "line 8: settles are durable within 100 ms, without a flush");
}

/// Lines 4 and 8: whatever a process held when it died comes again, each key in order.
pub async fn unflushed_work_comes_again_after_a_kill<F: Fixture>(fixture: F) {
    let (mut bench, subscription, mut source) = Bench::open_with(fixture, records(1, 12, 3), AMPLE).await;
    let all_at_once = if bench.fixture.pipelines_keys() { 12 } else { 3 };
    source.hold(all_at_once).await;
    drop(source);
    bench.restart().await;
    let mut source = bench.open(&subscription, AMPLE).await;
    let done = source.drain(12).await;
    assert_eq!(sorted(&done), (1..=12).collect::<Vec<_>>(), "line 4: what was not settled comes again");
    for key in 0..3 {
        let of_key: Vec<u64> = numbers(&done).into_iter().filter(|n| n % 3 == key).collect();
        assert!(of_key.is_sorted(), "line 2: it comes again in order: {of_key:?}");
    }
}

/// [`Source`](crate::Source): dropping one without closing it loses only what was not flushed.
pub async fn a_dropped_source_loses_nothing<F: Fixture>(fixture: F) {
    let (bench, subscription, mut source) = Bench::open_with(fixture, records(1, 8, 8), AMPLE).await;
    let held = source.hold(8).await;
    for one in held.iter().filter(|h| h.number() <= 4) {
        source.settle(one.lease(), Settle::Done);
    }
    source.flush().await;
    drop(source);
    let mut source = bench.open(&subscription, AMPLE).await;
    let again = source.hold(4).await;
    assert_eq!(sorted(&again), [5, 6, 7, 8], "lines 4 and 8: held work comes again, flushed work does not");
    source.expect_quiet("line 8: what was flushed never comes again").await;
}

/// Line 8 for notes, where [`durable_notes`](crate::Capabilities::durable_notes) says so.
pub async fn notes_survive_a_restart<F: Fixture>(fixture: F) {
    let (mut bench, subscription, mut source) = Bench::open_with(fixture, records(1, 3, 3), AMPLE).await;
    let held = source.hold(3).await;
    let note = |number: u64| Note { attempts: number as u32, first_ms: 1_700_000_000_000 + number };
    for one in &held {
        source.note(one.lease(), Note { attempts: 99, first_ms: 1 });
        source.note(one.lease(), note(one.number()));
    }
    source.flush().await;
    drop(source);
    bench.restart().await;
    let mut source = bench.open(&subscription, AMPLE).await;
    for one in source.hold(3).await {
        let expected = if bench.can.durable_notes { note(one.number()) } else { Note::default() };
        assert_eq!(
            one.delivery.note, expected,
            "line 8: the last flushed note comes with the delivery again"
        );
    }
}
