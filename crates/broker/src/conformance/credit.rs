//! Line 9: credit. What is outstanding is held against it by the watch over the source, at every hand-out.

use super::Fixture;
use super::bench::{AMPLE, Bench};
use super::samples::{records, sized};
use super::watch::sorted;
use crate::{Credit, Settle};

/// Line 9, in events.
pub async fn credit_in_events_is_never_exceeded<F: Fixture>(fixture: F) {
    let (_bench, _, mut source) =
        Bench::open_with(fixture, records(1, 30, 30), Credit { events: 3, ..AMPLE }).await;
    source.hold(3).await;
    source.expect_quiet("line 9: at most the granted events are outstanding").await;
    let one = source.held().remove(0);
    source.settle(one.lease(), Settle::Done);
    source.hold(3).await;
    source.expect_quiet("line 9: one settle makes room for one hand-out").await;
    let done = source.drain(29).await;
    assert_eq!(done.len(), 29, "line 4: credit delays, it loses nothing");
    source.expect_quiet("line 4: all of it was done").await;
}

/// Line 9, in bytes of payloads that are here.
pub async fn credit_in_bytes_is_never_exceeded<F: Fixture>(fixture: F) {
    let batch = (1..=10).map(|n| sized(Some(&format!("key-{n}")), n, 10_000)).collect();
    let (bench, _, mut source) =
        Bench::open_with(fixture, batch, Credit { events: 100, bytes: 25_000 }).await;
    source.hold(1).await;
    source.settle_down().await;
    if !bench.can.stored_payloads {
        let held = source.held().len();
        assert!(held <= 2, "line 9: two of 10,000 bytes are within 25,000, and {held} are held");
    }
    let done = source.drain(10).await;
    assert_eq!(sorted(&done), (1..=10).collect::<Vec<_>>(), "line 4: credit delays, it loses nothing");
}

/// [`Credit`]: one delivery is always allowed, so that nothing is too large to be delivered.
pub async fn one_delivery_is_allowed_however_large<F: Fixture>(fixture: F) {
    let batch = (1..=3).map(|n| sized(Some(&format!("key-{n}")), n, 50_000)).collect();
    let (_bench, _, mut source) = Bench::open_with(fixture, batch, Credit { events: 10, bytes: 1 }).await;
    let done = source.drain(3).await;
    assert_eq!(sorted(&done), [1, 2, 3], "line 9: one delivery is always allowed, however large");
}

/// Line 9, at zero: the engine grants on demand, and begins with nothing.
pub async fn zero_credit_hands_out_nothing<F: Fixture>(fixture: F) {
    let (_bench, _, mut source) = Bench::open_with(fixture, records(1, 5, 5), Credit::NONE).await;
    source.expect_quiet("line 9: without credit nothing is handed out").await;
    source.set_credit(Credit { events: 2, ..AMPLE });
    source.hold(2).await;
    source.expect_quiet("line 9: at most the granted events are outstanding").await;
    source.set_credit(AMPLE);
    let held = source.hold(5).await;
    assert_eq!(sorted(&held), [1, 2, 3, 4, 5], "line 9: more credit brings what waited");
}

/// [`Source::set_credit`](crate::Source::set_credit): lowering it revokes nothing, and stops further hand-outs.
pub async fn lowered_credit_revokes_nothing<F: Fixture>(fixture: F) {
    let (_bench, _, mut source) =
        Bench::open_with(fixture, records(1, 10, 10), Credit { events: 5, ..AMPLE }).await;
    let held = source.hold(5).await;
    source.set_credit(Credit { events: 2, ..AMPLE });
    let before = source.source().stale_settles();
    for one in &held[..3] {
        source.settle(one.lease(), Settle::Done);
    }
    source.expect_quiet("line 9: two are held on a credit of two").await;
    assert_eq!(source.source().stale_settles(), before, "lowering the credit revokes nothing");
    for one in &held[3..] {
        source.settle(one.lease(), Settle::Done);
    }
    let done = source.drain(5).await;
    assert_eq!(done.len(), 5, "line 4: credit delays, it loses nothing");
}
