//! Lines 1 to 3: what becomes of what is published.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::Fixture;
use super::bench::{AMPLE, Bench, durable};
use super::samples::{record, records, sized};
use super::watch::{numbers, sorted};
use crate::{Batch, Outcome, RefusalKind};

/// Line 1: one outcome a record, in the order of the records; the position it names is the record's in every delivery.
pub async fn each_record_has_one_outcome_in_order<F: Fixture>(fixture: F) {
    let bench = Bench::new(fixture).await;
    let topic = bench.topic().await;
    let subscription = bench.subscription(&topic).await;
    let positions = bench.publish(&topic, records(1, 50, 7)).await;
    for (i, position) in positions.iter().enumerate() {
        assert!(!positions[..i].contains(position), "line 5: {position} names two records");
    }
    let mut source = bench.open(&subscription, AMPLE).await;
    let done = source.drain(50).await;
    for held in &done {
        let index = held.number() as usize - 1;
        assert_eq!(held.position(), &positions[index], "lines 1 and 5: a record's position is its outcome's");
    }
    assert_eq!(
        sorted(&done),
        (1..=50).collect::<Vec<_>>(),
        "line 4: what was appended is delivered, each once"
    );
    for key in 0..7 {
        let of_key: Vec<u64> = numbers(&done).into_iter().filter(|n| n % 7 == key).collect();
        assert!(of_key.is_sorted(), "line 2: the records of a key come in append order: {of_key:?}");
    }
}

/// Line 1, at its edge.
pub async fn an_empty_batch_has_no_outcomes<F: Fixture>(fixture: F) {
    let bench = Bench::new(fixture).await;
    let topic = bench.topic().await;
    assert_eq!(bench.outcomes(bench.batch(&topic, Vec::new())).await, Vec::new());
}

/// Line 2: the order within a key is that of the calls, however many of them are open at once.
pub async fn a_key_keeps_its_order_over_concurrent_calls<F: Fixture>(fixture: F) {
    let bench = Bench::new(fixture).await;
    let topic = bench.topic().await;
    let subscription = bench.subscription(&topic).await;
    let receipts: Vec<_> = (0..40)
        .map(|call| bench.driver().publish(bench.batch(&topic, records(call * 5 + 1, 5, 3))))
        .collect();
    for receipt in receipts {
        durable(bench.within("line 1: every call is answered", receipt).await);
    }
    let mut source = bench.open(&subscription, AMPLE).await;
    let done = source.drain(200).await;
    for key in 0..3 {
        let of_key: Vec<u64> = numbers(&done).into_iter().filter(|n| n % 3 == key).collect();
        let sent: Vec<u64> = (1..=200).filter(|n| n % 3 == key).collect();
        assert_eq!(of_key, sent, "line 2: per key, records append in call order");
    }
}

/// Line 3.
pub async fn a_dropped_receipt_cancels_nothing<F: Fixture>(fixture: F) {
    let bench = Bench::new(fixture).await;
    let topic = bench.topic().await;
    let subscription = bench.subscription(&topic).await;
    drop(bench.driver().publish(bench.batch(&topic, records(1, 10, 2))));
    let mut source = bench.open(&subscription, AMPLE).await;
    let done = source.drain(10).await;
    assert_eq!(sorted(&done), (1..=10).collect::<Vec<_>>(), "line 3: dropping a receipt cancels nothing");
}

/// Line 1: past its deadline a record may be durable, refused or unknown, but it is what it is said to be.
pub async fn a_deadline_in_the_past_is_never_a_lie<F: Fixture>(fixture: F) {
    let bench = Bench::new(fixture).await;
    let topic = bench.topic().await;
    let subscription = bench.subscription(&topic).await;
    let past = Instant::now().checked_sub(Duration::from_secs(1)).unwrap_or_else(Instant::now);
    let batch = Batch { topic: topic.as_str().into(), records: records(1, 20, 2), deadline: past };
    let outcomes = bench.outcomes(batch).await;
    // The same keys' next records append after whatever of the first call appends at all.
    bench.publish(&topic, vec![record(Some("key-0"), 100), record(Some("key-1"), 101)]).await;
    let mut source = bench.open(&subscription, AMPLE).await;
    let mut seen = BTreeSet::new();
    while !(seen.contains(&100) && seen.contains(&101)) {
        seen.extend(numbers(&source.take_some(1).await));
    }
    for (number, outcome) in (1..).zip(&outcomes) {
        match outcome {
            Outcome::Durable(_) => {
                assert!(seen.contains(&number), "line 1: {number} is durable, but never came");
            }
            Outcome::Refused(why) => {
                assert!(!seen.contains(&number), "line 1: {number} came, though {why:?}");
            }
            Outcome::Unknown(_) => {}
        }
    }
}

/// Lines 1 and 2: what is too large is refused and never written; nothing later of its key in that call is reported
/// durable; other keys are not concerned.
pub async fn an_oversized_record_is_refused_and_its_key_with_it<F: Fixture>(fixture: F) {
    let bench = Bench::new(fixture).await;
    let topic = bench.topic().await;
    let subscription = bench.subscription(&topic).await;
    let batch = vec![
        record(Some("a"), 1),
        sized(Some("b"), 2, bench.can.record_bytes_max + 1),
        record(Some("b"), 3),
        record(Some("a"), 4),
    ];
    let outcomes = bench.outcomes(bench.batch(&topic, batch)).await;
    assert!(
        matches!(&outcomes[1], Outcome::Refused(r) if r.kind == RefusalKind::TooLarge),
        "line 1: what exceeds record_bytes_max is refused as TooLarge, not {:?}",
        outcomes[1]
    );
    assert!(!outcomes[2].is_durable(), "line 2: after a key's failure its later records are never durable");
    assert!(outcomes[0].is_durable() && outcomes[3].is_durable(), "line 2: other keys go on: {outcomes:?}");
    // A later call of the key is not concerned, and stands after whatever of the first call was written.
    bench.publish(&topic, vec![record(Some("b"), 5)]).await;
    let mut source = bench.open(&subscription, AMPLE).await;
    let mut seen = BTreeSet::new();
    while !(seen.contains(&1) && seen.contains(&4) && seen.contains(&5)) {
        seen.extend(numbers(&source.take_some(1).await));
    }
    assert!(!seen.contains(&2), "line 1: a refused record is never written");
    if matches!(outcomes[2], Outcome::Refused(_)) {
        assert!(!seen.contains(&3), "line 1: a refused record is never written");
    }
}

/// [`RefusalKind::UnknownTopic`]: a topic that does not exist is made, or the record is refused for it.
pub async fn an_unknown_topic_is_refused_or_created<F: Fixture>(fixture: F) {
    let bench = Bench::new(fixture).await;
    let topic = bench.fixture.unique("nowhere");
    let outcomes = bench.outcomes(bench.batch(&topic, records(1, 2, 0))).await;
    for outcome in outcomes {
        match outcome {
            Outcome::Durable(_) => {}
            Outcome::Refused(refusal) => {
                let kind = refusal.kind;
                assert_eq!(kind, RefusalKind::UnknownTopic, "line 1: the reason of a refusal is told");
            }
            Outcome::Unknown(why) => panic!("line 1: it is known that nothing was written: {why}"),
        }
    }
}

/// Line 1: `Durable` outlives the process that published, from the moment it is answered.
pub async fn what_is_durable_survives_a_kill<F: Fixture>(fixture: F) {
    let mut bench = Bench::new(fixture).await;
    let topic = bench.topic().await;
    let subscription = bench.subscription(&topic).await;
    bench.publish(&topic, records(1, 20, 4)).await;
    bench.restart().await;
    let mut source = bench.open(&subscription, AMPLE).await;
    let done = source.drain(20).await;
    assert_eq!(sorted(&done), (1..=20).collect::<Vec<_>>(), "line 1: what is durable survives a kill");
}
