//! What operators ask of a broker, where its capabilities allow it.

use super::Fixture;
use super::bench::{AMPLE, Bench, unsupported};
use super::samples::{number, records};
use super::subscribe::a_moment_between;
use super::watch::{Held, numbers, sorted};
use crate::{Browse, Browsed, ErrorKind, Lease, Position, Selection, Settle, Start, Subscription};

async fn read_all(browse: &mut dyn Browse, portion: usize) -> Vec<Browsed> {
    let mut found: Vec<Browsed> = Vec::new();
    loop {
        let next = browse.next(portion).await.expect("a topic that can be browsed can be read to its end");
        assert!(next.len() <= portion, "browse: at most as many records as asked");
        if next.is_empty() {
            return found;
        }
        found.extend(next);
    }
}

fn browsed_numbers(found: &[Browsed]) -> Vec<u64> {
    let mut numbers: Vec<u64> = found.iter().map(|(_, _, record)| number(record)).collect();
    numbers.sort_unstable();
    numbers
}

/// [`Driver::browse`](crate::Driver::browse): all of a topic, without a subscription, settled or not.
pub async fn browse_reads_without_a_subscription<F: Fixture>(fixture: F) {
    let bench = Bench::new(fixture).await;
    let topic = bench.topic().await;
    let positions = bench.publish(&topic, records(1, 25, 3)).await;
    let browsed = bench.driver().browse(&topic, Selection::default()).await;
    if !bench.can.browse {
        return unsupported("browse", browsed);
    }
    let mut browse = browsed.expect("a topic can be browsed");
    let found = read_all(&mut *browse, 10).await;
    assert_eq!(browsed_numbers(&found), (1..=25).collect::<Vec<_>>(), "browse: every record, each once");
    for (position, _, record) in &found {
        assert_eq!(position, &positions[number(record) as usize - 1], "browse: positions are the outcomes'");
    }
    for key in 0..3 {
        let of_key: Vec<u64> = found.iter().map(|(_, _, r)| number(r)).filter(|n| n % 3 == key).collect();
        assert!(of_key.is_sorted(), "browse: the records of a key in append order: {of_key:?}");
    }
    bench.publish(&topic, records(26, 1, 1)).await;
    let later = read_all(&mut *browse, 10).await;
    assert_eq!(browsed_numbers(&later), [26], "browse: the end is the end for now");
}

/// [`Selection`].
pub async fn browse_selects<F: Fixture>(fixture: F) {
    let bench = Bench::new(fixture).await;
    let topic = bench.topic().await;
    let subscription = bench.subscription(&topic).await;
    // One key, so that they stand in one sequence on any broker.
    let mut positions = bench.publish(&topic, records(1, 5, 1)).await;
    let between = a_moment_between().await;
    positions.extend(bench.publish(&topic, records(6, 5, 1)).await);
    if !bench.can.browse {
        return unsupported("browse", bench.driver().browse(&topic, Selection::default()).await);
    }
    let mut source = bench.open(&subscription, AMPLE).await;
    source.take_some(4).await;
    source.flush().await;
    let select = async |what: Selection| {
        let mut browse = bench.driver().browse(&topic, what).await.expect("a topic can be browsed");
        browsed_numbers(&read_all(&mut *browse, 100).await)
    };
    let from = Selection { from: Some(positions[3].clone()), ..Selection::default() };
    assert_eq!(select(from).await, (4..=10).collect::<Vec<_>>(), "Selection::from is inclusive");
    let since = Selection { since: Some(between), ..Selection::default() };
    assert_eq!(select(since).await, (6..=10).collect::<Vec<_>>(), "Selection::since is a time");
    let unsettled_of = Some(subscription.name.clone());
    let unsettled = Selection { unsettled_of, ..Selection::default() };
    assert_eq!(
        select(unsettled).await,
        (5..=10).collect::<Vec<_>>(),
        "Selection::unsettled_of leaves out the settled"
    );
    let missing = bench.driver().browse(&bench.fixture.unique("nowhere"), Selection::default()).await;
    let kind = missing.err().map(|e| e.kind);
    assert_eq!(kind, Some(ErrorKind::NotFound), "browse: a topic that does not exist is not found");
}

/// [`Driver::purge`](crate::Driver::purge) of some positions: held ones are revoked, none comes again.
pub async fn purge_settles_positions<F: Fixture>(fixture: F) {
    let mut bench = Bench::new(fixture).await;
    let topic = bench.topic().await;
    let (subscription, other) = (bench.subscription(&topic).await, bench.subscription(&topic).await);
    let positions = bench.publish(&topic, records(1, 10, 10)).await;
    let chosen: Vec<Position> = [1, 4, 9].map(|i: usize| positions[i].clone()).into();
    let mut source = bench.open(&subscription, AMPLE).await;
    let held = source.hold(10).await;
    let purged = bench.driver().purge(&subscription.name, Some(&chosen)).await;
    if !bench.can.purge {
        return unsupported("purge", purged);
    }
    assert_eq!(purged.expect("a subscription can be purged"), 3, "purge tells how many it settled");
    let gone: Vec<Lease> = held.iter().filter(|h| chosen.contains(h.position())).map(Held::lease).collect();
    source.expect_revoked(&gone, "purge").await;
    assert_eq!(source.held().len(), 7, "purge: nothing else is revoked");
    drop(source);
    bench.restart().await;
    let mut source = bench.open(&subscription, AMPLE).await;
    let again = source.hold(7).await;
    assert_eq!(
        sorted(&again),
        [1, 3, 4, 6, 7, 8, 9],
        "purge settles the positions that it is given, durably"
    );
    source.expect_quiet("purge: what was purged never comes again").await;
    let mut source = bench.open(&other, AMPLE).await;
    source.hold(10).await;
    let none = bench.driver().purge(&subscription.name, Some(&chosen)).await;
    assert_eq!(none.expect("a subscription can be purged"), 0, "purge counts what was unsettled");
}

/// [`Driver::purge`](crate::Driver::purge) of all that stands.
pub async fn purge_settles_all_that_stands<F: Fixture>(fixture: F) {
    let bench = Bench::new(fixture).await;
    let topic = bench.topic().await;
    let subscription = bench.subscription(&topic).await;
    bench.publish(&topic, records(1, 10, 4)).await;
    let purged = bench.driver().purge(&subscription.name, None).await;
    if !bench.can.purge {
        return unsupported("purge", purged);
    }
    assert_eq!(purged.expect("a subscription can be purged"), 10, "purge tells how many it settled");
    bench.publish(&topic, records(11, 2, 4)).await;
    let mut source = bench.open(&subscription, AMPLE).await;
    assert_eq!(
        sorted(&source.drain(2).await),
        [11, 12],
        "purge settles what stands before, and nothing later"
    );
    source.expect_quiet("purge: what was purged never comes again").await;
}

/// [`Driver::seek`](crate::Driver::seek): back, forward, and to a time.
pub async fn seek_moves_the_cursor<F: Fixture>(fixture: F) {
    let bench = Bench::new(fixture).await;
    let topic = bench.topic().await;
    let subscription = bench.subscription(&topic).await;
    bench.publish(&topic, records(1, 5, 10)).await;
    let between = a_moment_between().await;
    bench.publish(&topic, records(6, 5, 10)).await;
    let mut source = bench.open(&subscription, AMPLE).await;
    source.take_some(7).await;
    let held: Vec<Lease> = source.hold(3).await.iter().map(Held::lease).collect();
    source.flush().await;
    let sought = bench.driver().seek(&subscription.name, Start::Earliest).await;
    if !bench.can.seek {
        return unsupported("seek", sought);
    }
    sought.expect("a cursor can be moved");
    source.expect_revoked(&held, "seek").await;
    let done = source.drain(10).await;
    assert_eq!(
        sorted(&done),
        (1..=10).collect::<Vec<_>>(),
        "seek: what stands after the place is unsettled again"
    );
    source.close().await.expect("a source closes on a broker that is well");
    bench.driver().seek(&subscription.name, Start::At(between)).await.expect("a cursor can be moved");
    let mut source = bench.open(&subscription, AMPLE).await;
    assert_eq!(
        sorted(&source.drain(5).await),
        [6, 7, 8, 9, 10],
        "seek: to the first taken in at that time or later"
    );
    bench.driver().seek(&subscription.name, Start::Earliest).await.expect("a cursor can be moved");
    bench.driver().seek(&subscription.name, Start::Latest).await.expect("a cursor can be moved");
    bench.publish(&topic, records(11, 1, 10)).await;
    loop {
        let came = source.hold(1).await.remove(0);
        source.settle(came.lease(), Settle::Done);
        if came.number() == 11 {
            break;
        }
    }
    let left: Vec<Lease> = source.held().iter().map(Held::lease).collect();
    source.expect_revoked(&left, "seek: what stands before the place is settled, held or not").await;
    source.expect_quiet("seek: what stands before the place is settled").await;
}

/// [`Driver::subscriptions`](crate::Driver::subscriptions) and [`Driver::delete`](crate::Driver::delete).
pub async fn subscriptions_are_listed_and_deleted<F: Fixture>(fixture: F) {
    let bench = Bench::new(fixture).await;
    let topic = bench.topic().await;
    let (open, idle) = (bench.subscription(&topic).await, bench.subscription(&topic).await);
    let source = bench.open(&open, AMPLE).await;
    let listed = bench.driver().subscriptions().await;
    if !bench.can.list {
        unsupported("list", listed);
        return unsupported("delete", bench.driver().delete(&idle.name).await);
    }
    let listed = listed.expect("subscriptions can be listed");
    let find = |name: &str| listed.iter().find(|i| i.name == name).cloned();
    let (first, second) =
        (find(&open.name).expect("an open one is listed"), find(&idle.name).expect("an idle one is, too"));
    assert_eq!(
        (first.topic.as_str(), first.open),
        (topic.as_str(), true),
        "a listed subscription tells its topic, and that it is open"
    );
    assert_eq!((second.topic.as_str(), second.open), (topic.as_str(), false), "…, and that it is not");
    assert!(bench.driver().delete(&open.name).await.is_err(), "a subscription that is open is not deleted");
    bench.driver().delete(&idle.name).await.expect("one that is not open is");
    let listed = bench.driver().subscriptions().await.expect("subscriptions can be listed");
    assert!(listed.iter().all(|i| i.name != idle.name), "a deleted subscription is gone");
    assert!(bench.driver().open(&idle, AMPLE).await.is_err(), "a deleted subscription cannot be opened");
    drop(source);
}

/// [`Driver::end`](crate::Driver::end) and [`Subscription::until`]: a redrive reads up to where its topic ended.
pub async fn nothing_comes_after_until<F: Fixture>(fixture: F) {
    let bench = Bench::new(fixture).await;
    let topic = bench.topic().await;
    match bench.driver().end(&topic).await {
        Ok(end) if bench.can.browse => assert_eq!(end, None, "end: `None` where the topic is empty"),
        // Whoever cannot look at a topic cannot tell that it is empty.
        Ok(_) => {}
        Err(error) => {
            // A broker that cannot tell where a topic ends cannot bound a redrive either.
            let kind = error.kind;
            assert_eq!(kind, ErrorKind::Unsupported, "end: {error}");
            return;
        }
    }
    let subscription = bench.subscription(&topic).await;
    bench.publish(&topic, records(1, 6, 1)).await;
    let until = bench.driver().end(&topic).await.expect("the end can be told");
    assert!(until.is_some(), "end: where the topic ends, once it is not empty");
    // Where the end is a time, what comes after it comes later.
    a_moment_between().await;
    bench.publish(&topic, records(7, 6, 1)).await;
    let bounded = Subscription { until, ..subscription };
    let mut source = bench.open(&bounded, AMPLE).await;
    let done = source.drain(6).await;
    assert_eq!(
        numbers(&done),
        (1..=6).collect::<Vec<_>>(),
        "until: all that was appended before it is handed out"
    );
    source.expect_quiet("until: nothing that was appended after it is").await;
    if bench.can.caught_up {
        source.expect_caught_up().await;
    }
}

/// [`Input::CaughtUp`](crate::Input::CaughtUp).
pub async fn caught_up_is_said_once<F: Fixture>(fixture: F) {
    let (bench, subscription, mut source) =
        Bench::open_with(fixture, records(1, 5, 5), crate::Credit { events: 2, ..AMPLE }).await;
    if !bench.can.caught_up {
        // That it is never said, the watch over the source asserts.
        source.drain(5).await;
        return source.settle_down().await;
    }
    source.hold(2).await;
    source.settle_down().await;
    assert!(!source.is_caught_up(), "CaughtUp: only once everything of the opening has been handed out");
    source.drain(5).await;
    source.expect_caught_up().await;
    bench.publish(&subscription.topic, records(6, 2, 2)).await;
    source.drain(2).await;
    source.settle_down().await;
    let empty = bench.topic().await;
    let nothing = bench.subscription(&empty).await;
    bench.open(&nothing, AMPLE).await.expect_caught_up().await;
}

/// [`Source::lag`](crate::Source::lag).
pub async fn lag_counts_what_is_unsettled<F: Fixture>(fixture: F) {
    let (bench, _, mut source) = Bench::open_with(fixture, records(1, 10, 10), AMPLE).await;
    let held = source.hold(10).await;
    let lag = source.source().lag();
    if !bench.can.exact_lag {
        return;
    }
    assert_eq!(lag.records, 10, "lag: what is held is not settled");
    assert!(lag.oldest.is_some(), "lag: the age of the oldest is told where it is exact");
    for one in &held[..9] {
        source.settle(one.lease(), Settle::Done);
    }
    source.flush().await;
    assert_eq!(source.source().lag().records, 1, "lag: what is done is settled, wherever it stands");
    source.drain(1).await;
    source.flush().await;
    let lag = source.source().lag();
    assert_eq!((lag.records, lag.oldest), (0, None), "lag: nothing is unsettled, so nothing is old");
}
