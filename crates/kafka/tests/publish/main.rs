//! Publishing to a real Kafka.

mod support;

use std::time::{Duration, Instant};

use broker::{Driver, Health, Outcome, RefusalKind};
use support::{batch, kafka, record, sized, topic};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_keeps_its_order_over_concurrent_calls() {
    let (kafka, topic) = (kafka(), topic(&[]));
    let receipts: Vec<_> = (0..200)
        .map(|call| kafka.publish(batch(&topic, (0..5).map(|n| record("k", call * 5 + n)))))
        .collect();
    let mut last = None;
    for receipt in receipts {
        for outcome in receipt.await {
            let offset = support::durable(&outcome);
            assert!(last < Some(offset), "line 2: {offset:?} after {last:?}");
            last = Some(offset);
        }
    }
    kafka.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_topic_does_not_take_is_refused_with_both_sizes() {
    let (kafka, topic) = (kafka(), topic(&[("max.message.bytes", "50000")]));
    kafka.ensure_topic(&topic).await.expect("it exists");
    let records = [sized("a", 1, 100), sized("b", 2, 60_000), sized("b", 3, 100), sized("a", 4, 100)];
    let outcomes = kafka.publish(batch(&topic, records)).await;
    assert!(outcomes[0].is_durable() && outcomes[3].is_durable(), "other keys go on: {outcomes:?}");
    let Outcome::Refused(refusal) = &outcomes[1] else { panic!("{:?}", outcomes[1]) };
    assert_eq!(refusal.kind, RefusalKind::TooLarge);
    assert!(
        refusal.message.starts_with("60,") && refusal.message.contains("takes 50,000"),
        "{}",
        refusal.message
    );
    let Outcome::Refused(refusal) = &outcomes[2] else { panic!("{:?}", outcomes[2]) };
    assert_eq!(refusal.kind, RefusalKind::AfterFailure);
    // Together they are far more than one batch may have: none of them is refused for it.
    let outcomes = kafka.publish(batch(&topic, (0..100).map(|n| sized("a", n, 10_000)))).await;
    assert!(outcomes.iter().all(Outcome::is_durable), "{outcomes:?}");
    kafka.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_topic_is_refused_within_seconds() {
    let kafka = kafka();
    let outcomes = kafka.publish(batch(&support::unique("nowhere"), [record("k", 1)])).await;
    let Outcome::Refused(refusal) = &outcomes[0] else { panic!("{outcomes:?}") };
    assert_eq!(refusal.kind, RefusalKind::UnknownTopic);
    kafka.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_created_or_their_lack_is_told() {
    let name = support::unique("made");
    let without = support::without_creation();
    let error = without.ensure_topic(&name).await.expect_err("it is not to be created");
    assert_eq!(error.kind, broker::ErrorKind::NotFound);
    assert!(error.message.contains(&*name) && error.message.contains("create_topics"), "{error}");
    let kafka = kafka();
    let (one, other) = tokio::join!(kafka.ensure_topic(&name), kafka.ensure_topic(&name));
    one.and(other).expect("whoever is first");
    without.ensure_topic(&name).await.expect("it exists now");
    let outcomes = kafka.publish(batch(&name, [record("k", 1)])).await;
    support::durable(&outcomes[0]);
    kafka.close().await;
    without.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_is_taken_in_is_refused_at_once() {
    let (kafka, topic) = (kafka(), topic(&[]));
    let calls: Vec<_> =
        (0..6).map(|_| kafka.publish(batch(&topic, (0..10_000).map(|n| record("k", n))))).collect();
    let mut refused = 0;
    for call in calls {
        let outcomes = call.await;
        match &outcomes[0] {
            Outcome::Refused(refusal) => {
                assert_eq!(refusal.kind, RefusalKind::Overloaded);
                assert!(refusal.retry_after.is_some(), "when to try again is told");
                refused += 1;
            }
            _ => assert!(outcomes.iter().all(Outcome::is_durable), "what was taken in is answered"),
        }
    }
    assert!(refused < 6, "some are taken in");
    let outcomes = kafka.publish(batch(&topic, [record("k", 1)])).await;
    support::durable(&outcomes[0]);
    kafka.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_cannot_be_reached_refuses_with_the_reason() {
    let kafka = support::unreachable();
    let topic: std::sync::Arc<str> = "orders".into();
    let health = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            if let Health::Down { reason, .. } = kafka.health() {
                return reason;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let reason = health.await.expect("it is noticed");
    assert!(reason.contains("Connection refused"), "{reason}");
    let outcomes = kafka.publish(batch(&topic, [record("k", 1)])).await;
    let Outcome::Refused(refusal) = &outcomes[0] else { panic!("{outcomes:?}") };
    assert_eq!((refusal.kind, refusal.message.as_str()), (RefusalKind::Unavailable, reason.as_str()));
    assert!(refusal.retry_after.is_some());
    kafka.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_answers_and_refuses() {
    let (kafka, topic) = (kafka(), topic(&[]));
    let taken = kafka.publish(batch(&topic, (0..100).map(|n| record("k", n))));
    kafka.close().await;
    assert!(taken.await.iter().all(Outcome::is_durable), "what was taken in is answered");
    let late = kafka.publish(batch(&topic, [record("k", 1)])).await;
    assert!(matches!(&late[0], Outcome::Refused(r) if r.kind == RefusalKind::Unavailable), "{late:?}");
    kafka.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_topics_are_taken() {
    let kafka = kafka();
    let topics: Vec<_> = (0..150).map(|_| support::topic(&[])).collect();
    let receipts: Vec<_> = topics
        .iter()
        .flat_map(|topic| (0..2).map(|n| kafka.publish(batch(topic, [record("k", n)]))).collect::<Vec<_>>())
        .collect();
    for receipt in receipts {
        support::durable(&receipt.await[0]);
    }
    kafka.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_that_has_passed_is_told_truly() {
    let (kafka, topic) = (kafka(), topic(&[]));
    let mut late = batch(&topic, [record("k", 1)]);
    late.deadline = Instant::now();
    let outcomes = kafka.publish(late).await;
    assert!(matches!(outcomes[0], Outcome::Refused(_)), "nothing was handed over: {outcomes:?}");
    kafka.close().await;
}
