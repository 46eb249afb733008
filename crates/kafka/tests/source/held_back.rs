//! A stuck record stops its partition before the commit's metadata overflows.

use broker::{Credit, Driver, PartState, Settle};

use crate::common::Cluster;
use crate::reader::{Reader, number, publish, subscription, unique};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_stops_before_the_metadata_overflows_and_goes_on_after() {
    const RECORDS: u64 = 30_000;
    let driver = Cluster::new(&[]).connect();
    let topic = unique("topic");
    let subscription = subscription(&topic);
    driver.ensure(&subscription).await.expect("a subscription can be made sure of");
    // One key, so one partition.
    for first in (1..=RECORDS).step_by(5000) {
        publish(&*driver, &topic, first..first + 5000, 1).await;
    }
    let credit = Credit { events: 100_000, bytes: 1 << 30 };
    let mut reader = Reader::open(&*driver, &subscription, credit).await;
    let mut stuck = Vec::new();
    // Every other record is stuck, which is what takes most to tell.
    let held_back = async {
        loop {
            reader.step(std::time::Duration::from_millis(100)).await;
            for delivery in std::mem::take(&mut reader.held).into_values() {
                if number(&delivery).is_multiple_of(2) {
                    reader.source.settle(delivery.lease, Settle::Done);
                } else {
                    stuck.push(delivery);
                }
            }
            let parts = reader.source.parts();
            if let Some(part) = parts.iter().find(|part| part.state == PartState::HeldBack) {
                return part.clone();
            }
        }
    };
    let part = tokio::time::timeout(crate::common::PATIENCE, held_back).await.expect("reading stops");
    let detail = part.detail.expect("the reason is told");
    let first = stuck.iter().min_by_key(|delivery| number(delivery)).expect("some are stuck");
    assert!(
        detail.contains(&first.position.to_string()) && detail.contains("key-0"),
        "the stuck record and its key are named: {detail}"
    );
    reader.source.flush().await.expect("what is settled is committed nevertheless");
    let read = stuck.len() as u64 * 2;
    assert!(read < RECORDS, "reading stopped before all was read: {read}");
    for delivery in stuck {
        reader.source.settle(delivery.lease, Settle::Done);
    }
    let mut done = 0;
    reader.until("the rest comes", |reader| reader.held.values().any(|d| number(d) == RECORDS)).await;
    done += reader.finish().len();
    reader.source.flush().await.expect("what is settled is committed");
    assert!(done > 0);
    assert_eq!(reader.source.lag().records, 0, "nothing was left out");
    assert!(reader.gaps.is_empty() && reader.revoked.is_empty(), "nothing was lost or taken back");
}
