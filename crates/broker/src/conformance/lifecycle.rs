//! How a driver and its sources begin and end.

use super::Fixture;
use super::bench::{AMPLE, Bench, durable};
use super::samples::records;
use super::watch::{numbers, sorted};
use crate::{ErrorKind, Health, Outcome, Selection, Settle, Start};

/// [`Driver::health`](crate::Driver::health).
pub async fn a_reachable_broker_is_healthy<F: Fixture>(fixture: F) {
    let bench = Bench::new(fixture).await;
    let topic = bench.topic().await;
    bench.publish(&topic, records(1, 1, 0)).await;
    assert_eq!(bench.driver().health(), Health::Up, "a broker that has just taken a record in is up");
}

/// [`Driver::close`](crate::Driver::close) answers what was taken in, and loses none of it.
pub async fn close_answers_what_was_taken_in<F: Fixture>(fixture: F) {
    let mut bench = Bench::new(fixture).await;
    let topic = bench.topic().await;
    let subscription = bench.subscription(&topic).await;
    let receipt = bench.driver().publish(bench.batch(&topic, records(1, 20, 3)));
    bench.within("close returns", bench.driver().close()).await;
    let positions = durable(bench.within("close answers what was taken in", receipt).await);
    assert_eq!(positions.len(), 20, "line 1: one outcome a record");
    bench.restart().await;
    let mut source = bench.open(&subscription, AMPLE).await;
    assert_eq!(source.drain(20).await.len(), 20, "line 1: what was durable at the close is there after it");
}

/// [`Driver::close`](crate::Driver::close): later calls answer `Closed`, and later records are refused.
pub async fn a_closed_driver_answers_closed<F: Fixture>(fixture: F) {
    let bench = Bench::new(fixture).await;
    let topic = bench.topic().await;
    let subscription = bench.subscription(&topic).await;
    bench.within("close returns", bench.driver().close()).await;
    for outcome in bench.outcomes(bench.batch(&topic, records(1, 3, 0))).await {
        assert!(matches!(outcome, Outcome::Refused(_)), "a closed driver writes nothing: {outcome:?}");
    }
    let driver = bench.driver();
    let mut answers = vec![
        ("ensure_topic", driver.ensure_topic(&topic).await.err()),
        ("ensure", driver.ensure(&subscription).await.err()),
        ("open", driver.open(&subscription, AMPLE).await.err()),
    ];
    if bench.can.browse {
        answers.push(("browse", driver.browse(&topic, Selection::default()).await.err()));
    }
    if bench.can.seek {
        answers.push(("seek", driver.seek(&subscription.name, Start::Latest).await.err()));
    }
    if bench.can.list {
        answers.push(("subscriptions", driver.subscriptions().await.err()));
    }
    for (call, error) in answers {
        let kind = error.map(|e| e.kind);
        assert_eq!(kind, Some(ErrorKind::Closed), "a closed driver answers `Closed`, to {call} as well");
    }
    bench.within("a second close returns", driver.close()).await;
}

/// [`Source::close`](crate::Source::close) releases, flushes, and hands over to whoever opens next.
pub async fn a_closed_source_hands_over<F: Fixture>(fixture: F) {
    let (bench, subscription, mut source) = Bench::open_with(fixture, records(1, 9, 9), AMPLE).await;
    for one in source.hold(9).await.iter().filter(|h| h.number() <= 3) {
        source.settle(one.lease(), Settle::Done);
    }
    source.close().await.expect("a source closes on a broker that is well");
    let mut source = bench.open(&subscription, AMPLE).await;
    let again = source.hold(6).await;
    assert_eq!(
        sorted(&again),
        (4..=9).collect::<Vec<_>>(),
        "close flushes what was settled and releases the rest"
    );
    source.expect_quiet("close flushes what was settled").await;
    bench.publish(&subscription.topic, records(10, 1, 9)).await;
    let held = source.hold(7).await;
    assert!(numbers(&held).contains(&10), "line 4: the next opening goes on with what is appended");
}

/// [`Source::flush`](crate::Source::flush).
pub async fn a_flush_of_nothing_returns<F: Fixture>(fixture: F) {
    let bench = Bench::new(fixture).await;
    let topic = bench.topic().await;
    let subscription = bench.subscription(&topic).await;
    let mut source = bench.open(&subscription, AMPLE).await;
    source.flush().await;
    bench.publish(&topic, records(1, 1, 1)).await;
    source.drain(1).await;
    source.flush().await;
    source.flush().await;
    source.close().await.expect("a source closes on a broker that is well");
}
