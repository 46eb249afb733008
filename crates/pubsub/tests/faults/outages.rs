//! Outages: what is told of them, what they end, and what they may cost.

use std::time::{Duration, Instant};

use broker::{Driver, Health, RefusalKind, Settle};
use brokers::pubsub::{Code, Fault};

use super::common::PATIENCE;
use super::{Ground, refusal};

impl Ground {
    /// Nothing reaches the server any more, and nothing comes of it.
    fn go_away(&self) {
        self.set(Fault::refuse("*", Code::Unavailable));
        self.set(Fault::end_streams(Code::Unavailable));
    }

    async fn come_back(&self) {
        self.reset();
        self.until("its end is told", |health| *health == Health::Up).await;
    }

    async fn until(&self, what: &str, is: impl Fn(&Health) -> bool) {
        let began = Instant::now();
        while !is(&self.driver.health()) {
            assert!(began.elapsed() < PATIENCE, "{what}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_told_ends_the_leases_and_loses_nothing() {
    let ground = Ground::new().await;
    ground.publish("a", &[1]).await;
    let mut reader = ground.open().await;
    reader.next(PATIENCE).await.expect("it comes");
    ground.go_away();
    let began = Instant::now();
    let mut last = ground.publish_within("b", &[2], Duration::from_secs(4)).await;
    while !matches!(ground.driver.health(), Health::Down { .. }) {
        assert!(began.elapsed() < PATIENCE, "the outage is told");
        last = ground.publish_within("b", &[2], Duration::from_secs(4)).await;
    }
    assert!(!last[0].is_durable());
    let outcomes = ground.publish_within("b", &[3], PATIENCE).await;
    assert_eq!(
        refusal(&outcomes).kind,
        RefusalKind::Unavailable,
        "nobody waits for what is known to be away"
    );
    while reader.revoked == 0 {
        assert!(began.elapsed() < 2 * PATIENCE, "what is held is another's by now");
        reader.next(Duration::from_secs(1)).await;
    }
    ground.come_back().await;
    ground.publish("c", &[4]).await;
    let mut came = reader.drain(2).await;
    came.sort_unstable();
    came.dedup();
    assert!(came.contains(&1) && came.contains(&4) && !came.contains(&3), "nothing is lost: {came:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_acknowledgement_costs_a_duplicate_and_no_event() {
    let ground = Ground::new().await;
    ground.publish("a", &[1]).await;
    let mut reader = ground.open().await;
    ground.set(Fault::drop("Acknowledge").times(1));
    assert_eq!(reader.drain(1).await, [1]);
    ground.reset();
    ground.publish("a", &[2]).await;
    let came = reader.drain(1).await;
    assert!(came.ends_with(&[2]) && came.iter().all(|number| [1, 2].contains(number)), "{came:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_settled_in_an_outage_does_not_come_again() {
    let ground = Ground::new().await;
    let keys = ["a", "b", "c", "d", "e"];
    for (number, key) in (1..).zip(keys) {
        ground.publish(key, &[number]).await;
    }
    let mut reader = ground.open().await;
    while reader.held.len() < keys.len() {
        reader.next(PATIENCE).await.expect("all come");
    }
    ground.go_away();
    let acknowledgements = ground.proxy.calls("Acknowledge").expect("the proxy tells");
    // Before anybody knows of the outage.
    for (lease, number) in std::mem::take(&mut reader.held).into_values() {
        if number < 5 {
            reader.source.settle(lease, Settle::Done);
        } else {
            reader.held.insert(lease.slot, (lease, number));
        }
    }
    ground.until("the outage is told", |health| matches!(health, Health::Down { .. })).await;
    assert!(ground.proxy.calls("Acknowledge").expect("the proxy tells") > acknowledgements, "they were lost");
    ground.come_back().await;
    // The server hands out a key's next message only when it knows the one before it to be settled.
    for (number, key) in (6..).zip(keys) {
        ground.publish(key, &[number]).await;
    }
    let mut came = Vec::new();
    while !(6..=10).all(|number| came.contains(&number)) {
        came.extend(reader.next(PATIENCE).await.expect("every key goes on"));
        for (lease, _) in std::mem::take(&mut reader.held).into_values() {
            reader.source.settle(lease, Settle::Done);
        }
    }
    assert!(!came.iter().any(|number| *number < 5), "what was settled came again: {came:?}");
    reader.source.flush().await.expect("a flush succeeds");
}
