//! Two processes on one group: partitions move, and nothing that was settled comes again.

use std::collections::BTreeSet;
use std::time::Duration;

use broker::{Driver, Note, Settle};

use crate::common::{Cluster, PATIENCE};
use crate::reader::{AMPLE, Reader, number, publish, subscription, unique};

async fn moves_in_good_order(properties: &[(&str, &str)]) {
    let cluster = Cluster::new(properties);
    let (one, other) = (cluster.connect(), cluster.connect());
    let topic = unique("topic");
    let subscription = subscription(&topic);
    one.ensure(&subscription).await.expect("a subscription can be made sure of");
    publish(&*one, &topic, 1..=200, 40).await;
    let mut first = Reader::open(&*one, &subscription, AMPLE).await;
    first.hold(200).await;
    // Every third is done, all over the partitions; the rest has been tried once.
    let held: Vec<_> = first.held.values().cloned().collect();
    let mut done = BTreeSet::new();
    for delivery in held {
        if number(&delivery).is_multiple_of(3) {
            first.source.settle(delivery.lease, Settle::Done);
            first.held.remove(&delivery.lease.slot);
            done.insert(number(&delivery));
        } else {
            first.source.note(delivery.lease, Note { attempts: 1, first_ms: 1_700_000_000_000 });
        }
    }
    let mut second = Reader::open(&*other, &subscription, AMPLE).await;
    // The first one is polled until half of the partitions have left it; what it is asked for it keeps.
    let mut before: Vec<_> = first.held.values().cloned().collect();
    first.until("partitions are to leave", |reader| !reader.revoked.is_empty()).await;
    first.settle_down().await;
    before.retain(|delivery| first.revoked.contains(&delivery.lease));
    assert!(!before.is_empty(), "what was held of the partitions that left is revoked");
    assert!(
        before.iter().all(|delivery| first.recalled.contains(&delivery.lease)),
        "and was asked back before"
    );
    let stale = first.source.stale_settles();
    for delivery in &before {
        first.source.settle(delivery.lease, Settle::Done);
    }
    assert_eq!(first.source.stale_settles() - stale, before.len() as u64, "late settles are fenced");
    // Everything is held by exactly one of them, and nothing of what was done by any.
    second.hold(before.len()).await;
    second.settle_down().await;
    let (here, there): (BTreeSet<u64>, BTreeSet<u64>) =
        (first.numbers().into_iter().collect(), second.numbers().into_iter().collect());
    assert!(here.is_disjoint(&there), "no record is held twice: {here:?} and {there:?}");
    let expected: BTreeSet<u64> = (1..=200).filter(|n| !done.contains(n)).collect();
    assert_eq!(&here | &there, expected, "what was not done is held, and nothing else");
    assert_eq!(there, before.iter().map(number).collect(), "what was revoked moved");
    let noted = |delivery: &broker::Delivery| delivery.note.attempts == 1 && delivery.note.first_ms > 0;
    assert!(second.held.values().all(noted), "attempts survive the move");
    assert_eq!(first.gaps.len() + second.gaps.len(), 0, "nothing was lost");
    // What is settled during a recall is committed before the next owner begins.
    let finished: BTreeSet<u64> = second.finish().into_iter().collect();
    assert_eq!(finished, there);
    second.source.close().await.expect("a source closes on a broker that is well");
    tokio::time::sleep(Duration::from_millis(100)).await;
    first.until("the partitions are to come back", |reader| reader.source.parts().len() == 4).await;
    first.settle_down().await;
    assert_eq!(first.numbers(), here.into_iter().collect::<Vec<_>>(), "and nothing of them comes again");
    publish(&*one, &topic, 1001..=1040, 40).await;
    first.until("new records come from all partitions", |reader| reader.held.len() >= before.len()).await;
    first.until("all of them", |reader| reader.numbers().iter().filter(|n| **n > 1000).count() == 40).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_move_in_good_order() {
    moves_in_good_order(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_move_in_good_order_with_kip_848() {
    moves_in_good_order(&[("group.protocol", "consumer")]).await;
}

/// What is settled after the recall, within its time, is not redelivered to the next owner.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_settled_while_it_is_recalled_does_not_come_again() {
    let cluster = Cluster::new(&[]);
    let (one, other) = (cluster.connect(), cluster.connect());
    let topic = unique("topic");
    let subscription = subscription(&topic);
    one.ensure(&subscription).await.expect("a subscription can be made sure of");
    publish(&*one, &topic, 1..=40, 40).await;
    let mut first = Reader::open(&*one, &subscription, AMPLE).await;
    first.hold(40).await;
    let mut second = Reader::open(&*other, &subscription, AMPLE).await;
    first.until("partitions are to be recalled", |reader| !reader.recalled.is_empty()).await;
    for lease in std::mem::take(&mut first.recalled) {
        first.source.settle(lease, Settle::Done);
        first.held.remove(&lease.slot);
    }
    let left = first.held.len();
    tokio::time::timeout(PATIENCE, async {
        while second.source.parts().is_empty() {
            second.step(Duration::from_millis(50)).await;
            first.step(Duration::from_millis(50)).await;
        }
    })
    .await
    .expect("the second gets its partitions");
    second.settle_down().await;
    first.settle_down().await;
    assert_eq!(second.numbers(), Vec::<u64>::new(), "what was settled in time is done");
    assert_eq!((first.held.len(), first.revoked.len()), (left, 0), "nothing had to be revoked");
    assert_eq!(first.source.stale_settles(), 0, "the leases lived until then");
}
