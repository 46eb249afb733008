//! Line 4: subscriptions, and where they begin.

use std::time::{Duration, SystemTime};

use super::Fixture;
use super::bench::{AMPLE, Bench};
use super::samples::{record, records};
use super::watch::{numbers, sorted};
use crate::{ErrorKind, Settle, Start, Subscription};

/// Line 4: from `ensure`'s return on no append is lost to the subscription, though nobody has it open.
pub async fn what_is_appended_after_ensure_is_delivered<F: Fixture>(fixture: F) {
    let mut bench = Bench::new(fixture).await;
    let topic = bench.fixture.unique("topic");
    // The topic is made with it, and `Latest` begins where `ensure` returned, not where `open` did.
    let subscription = Subscription { start: Start::Latest, ..bench.unmade(&topic) };
    bench.ensure(&subscription).await;
    bench.publish(&topic, records(1, 10, 2)).await;
    bench.restart().await;
    bench.publish(&topic, records(11, 10, 2)).await;
    let mut source = bench.open(&subscription, AMPLE).await;
    let done = source.drain(20).await;
    assert_eq!(sorted(&done), (1..=20).collect::<Vec<_>>(), "line 4: every append after ensure is delivered");
    source.expect_quiet("line 4").await;
}

/// [`Driver::ensure`](crate::Driver::ensure): an existing cursor is left where it stands, whatever start is named.
pub async fn ensure_is_idempotent<F: Fixture>(fixture: F) {
    let (bench, subscription, mut source) = Bench::open_with(fixture, records(1, 10, 10), AMPLE).await;
    for one in source.hold(10).await.iter().filter(|h| h.number() <= 6) {
        source.settle(one.lease(), Settle::Done);
    }
    source.close().await.expect("a source closes on a broker that is well");
    for start in [Start::Earliest, Start::Latest] {
        bench.ensure(&Subscription { start, ..subscription.clone() }).await;
    }
    let mut source = bench.open(&subscription, AMPLE).await;
    let rest = source.hold(4).await;
    assert_eq!(sorted(&rest), [7, 8, 9, 10], "ensure leaves an existing cursor where it stands");
    source.expect_quiet("ensure leaves an existing cursor where it stands").await;
}

/// [`Start::Earliest`].
pub async fn start_earliest_hands_out_all_that_stands<F: Fixture>(fixture: F) {
    let bench = Bench::new(fixture).await;
    let topic = bench.topic().await;
    bench.publish(&topic, records(1, 5, 2)).await;
    let subscription = bench.subscription(&topic).await;
    bench.publish(&topic, records(6, 5, 2)).await;
    let first = if bench.fixture.keeps_history() { 1 } else { 6 };
    let expected: Vec<u64> = (first..=10).collect();
    let mut source = bench.open(&subscription, AMPLE).await;
    let done = source.drain(expected.len()).await;
    assert_eq!(sorted(&done), expected, "Start::Earliest: all that the broker still has");
}

/// [`Start::Latest`].
pub async fn start_latest_hands_out_only_what_comes<F: Fixture>(fixture: F) {
    let bench = Bench::new(fixture).await;
    let topic = bench.topic().await;
    bench.publish(&topic, records(1, 5, 2)).await;
    let subscription = Subscription { start: Start::Latest, ..bench.unmade(&topic) };
    bench.ensure(&subscription).await;
    bench.publish(&topic, records(6, 5, 2)).await;
    let mut source = bench.open(&subscription, AMPLE).await;
    let done = source.drain(5).await;
    assert_eq!(sorted(&done), (6..=10).collect::<Vec<_>>(), "Start::Latest: what is appended from now on");
    source.expect_quiet("Start::Latest: nothing that stood before").await;
}

/// [`Start::At`].
pub async fn start_at_a_time_hands_out_from_there<F: Fixture>(fixture: F) {
    let bench = Bench::new(fixture).await;
    if !bench.fixture.keeps_history() {
        return;
    }
    let topic = bench.topic().await;
    bench.publish(&topic, records(1, 5, 2)).await;
    let between = a_moment_between().await;
    bench.publish(&topic, records(6, 5, 2)).await;
    let subscription = Subscription { start: Start::At(between), ..bench.unmade(&topic) };
    bench.ensure(&subscription).await;
    let mut source = bench.open(&subscription, AMPLE).await;
    let done = source.drain(5).await;
    assert_eq!(sorted(&done), (6..=10).collect::<Vec<_>>(), "Start::At: the first taken in then or later");
    source.expect_quiet("Start::At: nothing taken in earlier").await;
}

/// A time that is later than all that happened and earlier than all that will, in the milliseconds that brokers keep.
pub(super) async fn a_moment_between() -> SystemTime {
    tokio::time::sleep(Duration::from_millis(20)).await;
    let moment = SystemTime::now();
    tokio::time::sleep(Duration::from_millis(20)).await;
    moment
}

/// Line 4: each subscription has a cursor of its own.
pub async fn two_subscriptions_are_independent<F: Fixture>(fixture: F) {
    let bench = Bench::new(fixture).await;
    let topic = bench.topic().await;
    let (one, other) = (bench.subscription(&topic).await, bench.subscription(&topic).await);
    bench.publish(&topic, records(1, 10, 10)).await;
    let mut first = bench.open(&one, AMPLE).await;
    let done = first.drain(10).await;
    assert_eq!(sorted(&done), (1..=10).collect::<Vec<_>>(), "line 4: the first subscription gets everything");
    first.flush().await;
    let mut second = bench.open(&other, AMPLE).await;
    let held = second.hold(10).await;
    assert_eq!(
        sorted(&held),
        (1..=10).collect::<Vec<_>>(),
        "line 4: what one has settled the other still gets"
    );
    second.settle(held[0].lease(), Settle::Release);
    first.expect_quiet("lines 4 and 7: a release in one subscription is no business of another").await;
}

/// [`Subscription::ordered`]: without order nothing is held back for a key, and nothing is lost.
pub async fn an_unordered_subscription_hands_out_everything<F: Fixture>(fixture: F) {
    let bench = Bench::new(fixture).await;
    let topic = bench.topic().await;
    let subscription = Subscription { ordered: false, ..bench.unmade(&topic) };
    bench.ensure(&subscription).await;
    let mut batch = records(1, 10, 1);
    batch.push(record(None, 11));
    bench.publish(&topic, batch).await;
    let mut source = bench.open(&subscription, AMPLE).await;
    let held = source.hold(11).await;
    assert_eq!(sorted(&held), (1..=11).collect::<Vec<_>>(), "line 4: all of it comes");
    let middle = held.iter().find(|h| h.number() == 5).expect("the fifth is held");
    source.settle(middle.lease(), Settle::Release);
    source.hold(11).await;
    for one in held.iter().filter(|h| h.number() != 5) {
        source.settle(one.lease(), Settle::Done);
    }
    assert_eq!(
        numbers(&source.held()),
        [5],
        "line 7: where order does not matter, a release concerns one record"
    );
}

/// [`Driver::open`](crate::Driver::open).
pub async fn a_subscription_is_open_once_in_a_process<F: Fixture>(fixture: F) {
    let bench = Bench::new(fixture).await;
    let topic = bench.topic().await;
    let subscription = bench.subscription(&topic).await;
    let source = bench.open(&subscription, AMPLE).await;
    let again = bench.driver().open(&subscription, AMPLE).await;
    let kind = again.err().map(|e| e.kind);
    assert_eq!(kind, Some(ErrorKind::Conflict), "open: `Conflict` where this process has it open already");
    drop(source);
}

/// [`ErrorKind::NotFound`].
pub async fn what_does_not_exist_is_not_found<F: Fixture>(fixture: F) {
    let bench = Bench::new(fixture).await;
    let topic = bench.topic().await;
    let subscription = bench.unmade(&topic);
    let opened = bench.driver().open(&subscription, AMPLE).await;
    let kind = opened.err().map(|e| e.kind);
    assert_eq!(
        kind,
        Some(ErrorKind::NotFound),
        "open: a subscription that was never made sure of is not found"
    );
    if bench.can.list {
        let deleted = bench.driver().delete(&subscription.name).await;
        let kind = deleted.err().map(|e| e.kind);
        assert_eq!(kind, Some(ErrorKind::NotFound), "delete: what does not exist is not found");
    }
}
