//! A disk that is really full: `FULL_DISK=/mnt/small cargo test -p postrider-embedded --test full -- --ignored`, on a
//! file system of some ten megabytes.

use std::future::poll_fn;
use std::time::{Duration, Instant};

use broker::{
    Batch, Body, Credit, Driver, Hop, Input, Outcome, Record, RefusalKind, Settle, Start, Subscription,
};
use bytes::Bytes;
use postrider_embedded::{Config, Embedded};

async fn publish(broker: &Embedded) -> Outcome {
    let body = Body::Foreign { bytes: Bytes::from(vec![1; 30_000]), reason: String::new() };
    let records = vec![Record { key: None, body, hop: Hop::default(), letter: None }];
    let deadline = Instant::now() + Duration::from_secs(60);
    broker.publish(Batch { topic: "t".into(), records, deadline }).await.remove(0)
}

#[tokio::test]
#[ignore = "needs a small file system of its own"]
async fn a_full_disk_refuses_drains_and_takes_more() {
    let disk = std::env::var_os("FULL_DISK").unwrap();
    let directory = tempfile::tempdir_in(disk).unwrap();
    let config = || Config { reserve: 1 << 20, segment_bytes: 1 << 20, ..Config::new(directory.path()) };
    let broker = Embedded::open(config()).unwrap();
    let wanted = Subscription {
        name: "s".into(),
        topic: "t".into(),
        start: Start::Earliest,
        ordered: true,
        until: None,
        keeps_unsettled: false,
    };
    broker.ensure(&wanted).await.unwrap();
    let mut source = broker.open(&wanted, Credit { events: 10_000, bytes: 0 }).await.unwrap();
    let mut rounds = 0;
    let mut durable = 0;
    while rounds < 5 {
        match publish(&broker).await {
            Outcome::Durable(_) => durable += 1,
            Outcome::Unknown(why) => panic!("{why}"),
            Outcome::Refused(refusal) => {
                assert_eq!(refusal.kind, RefusalKind::Full, "{refusal:?}");
                rounds += 1;
                let mut found = Vec::new();
                while source.lag().records > 0 {
                    poll_fn(|cx| source.poll_next(cx, &mut found)).await.unwrap();
                    for input in found.drain(..) {
                        if let Input::Delivery(delivery) = input {
                            source.load(delivery.lease).await.unwrap();
                            source.settle(delivery.lease, Settle::Done);
                            durable -= 1;
                        }
                    }
                }
                assert_eq!(durable, 0, "all that was durable was delivered, and nothing else");
                source.flush().await.unwrap();
                // What is freed becomes room at the next look of the log, a second later at the most.
                let begun = Instant::now();
                while !publish(&broker).await.is_durable() {
                    assert!(begun.elapsed() < Duration::from_secs(30), "it never takes more");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                durable += 1;
            }
        }
    }
    broker.close().await;
    drop((source, broker));
    assert_eq!(Embedded::open(config()).unwrap().damage(), []);
}
