//! Logs as others leave them: transactions, foreign records, retention, topics made anew.

use std::collections::BTreeSet;
use std::time::Duration;

use broker::{Body, Credit, Driver, Payload, Position, Settle};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};

use crate::common::{Cluster, PATIENCE};
use crate::reader::{AMPLE, Reader, foreign, publish, subscription, unique};

fn admin() -> AdminClient<DefaultClientContext> {
    foreign().create().expect("a client can be made")
}

/// Retention takes everything below these offsets.
async fn delete_below(topic: &str, offsets: &[(i32, i64)]) {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in offsets {
        list.add_partition_offset(topic, *partition, Offset::Offset(*offset)).expect("the offset is one");
    }
    admin().delete_records(&list, &AdminOptions::new()).await.expect("records can be deleted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_and_their_markers_cost_nothing() {
    let driver = Cluster::new(&[]).connect();
    let topic = unique("topic");
    let subscription = subscription(&topic);
    driver.ensure(&subscription).await.expect("a subscription can be made sure of");
    let writes = topic.clone();
    let written = tokio::task::spawn_blocking(move || {
        let producer: ThreadedProducer<DefaultProducerContext> =
            foreign().set("transactional.id", &writes).create().expect("a producer can be made");
        producer.init_transactions(PATIENCE).expect("transactions can be begun");
        for round in 0..6 {
            producer.begin_transaction().expect("a transaction begins");
            for n in 0..10 {
                let (key, value) = (format!("key-{n}"), format!("{round}"));
                producer.send(BaseRecord::to(&writes).key(&key).payload(&value)).expect("there is room");
            }
            // The last of them is an aborted one: nothing but its marker stands at the end.
            let ended = if round % 2 == 0 {
                producer.commit_transaction(PATIENCE)
            } else {
                producer.abort_transaction(PATIENCE)
            };
            ended.expect("a transaction ends");
        }
    });
    written.await.expect("the producer is done");
    let mut reader = Reader::open(&*driver, &subscription, AMPLE).await;
    reader.hold(30).await;
    reader.settle_down().await;
    assert_eq!(reader.held.len(), 30, "what was aborted is not delivered");
    reader.until("all has been handed out", |reader| reader.caught_up).await;
    reader.finish();
    reader.source.flush().await.expect("what is settled is committed");
    reader.until("markers are no lag", |reader| reader.source.lag().records == 0).await;
    assert_eq!(reader.source.lag().oldest, None, "nothing is left to be old");
    assert!(reader.gaps.is_empty(), "markers are no gap: {:?}", reader.gaps);
    reader.source.close().await.expect("a source closes on a broker that is well");
    let mut reader = Reader::open(&*driver, &subscription, AMPLE).await;
    reader.until("all has been handed out", |reader| reader.caught_up).await;
    assert!(reader.held.is_empty() && reader.gaps.is_empty(), "nothing comes again: {:?}", reader.gaps);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_foreign_record_stops_its_partition() {
    let driver = Cluster::new(&[]).connect();
    let topic = unique("topic");
    let subscription = subscription(&topic);
    driver.ensure(&subscription).await.expect("a subscription can be made sure of");
    let producer: BaseProducer = foreign().create().expect("a producer can be made");
    let header = |key, value: Option<&'static [u8]>| OwnedHeaders::new().insert(Header { key, value });
    type Foreign<'a> = (Option<&'a [u8]>, Option<&'a [u8]>, Option<OwnedHeaders>);
    let records: Vec<Foreign<'_>> = vec![
        (None, None, None),
        (Some(b"\xff\xfe"), Some(b"\xff"), None),
        (None, None, Some(header("ce_id", None))),
        (None, Some(b"x"), Some(header("ce_specversion", Some(b"\xff\xfe")))),
        (None, Some(b"no id"), Some(header("ce_specversion", Some(b"1.0")))),
        (None, Some(b"{"), Some(header("content-type", Some(b"application/cloudevents+json")))),
        (None, None, Some(header("traceparent", Some(b"\x00\xff")))),
        (None, Some(b""), Some(header("", Some(b"")))),
    ];
    let count = records.len();
    for (key, value, headers) in records {
        let mut record = BaseRecord::<[u8], [u8]>::to(&topic).partition(0);
        (record.key, record.payload, record.headers) = (key, value, headers);
        producer.send(record).map_err(|(error, _)| error).expect("there is room");
    }
    tokio::task::spawn_blocking(move || producer.flush(PATIENCE))
        .await
        .expect("the producer is done")
        .expect("the broker takes them");
    let mut reader = Reader::open(&*driver, &subscription, AMPLE).await;
    reader.hold(count).await;
    let foreign = reader.held.values().filter(|delivery| match &delivery.payload {
        Payload::Here(record) => matches!(record.body, Body::Foreign { .. }),
        Payload::Stored => false,
    });
    assert!(foreign.count() >= 2, "what has the marks of an event and is none is told so");
    reader.finish();
    reader.source.flush().await.expect("what is settled is committed");
    publish(&*driver, &topic, 1..=8, 8).await;
    reader.hold(8).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_retention_took_while_nobody_read_is_a_gap_with_its_count() {
    let driver = Cluster::new(&[]).connect();
    let topic = unique("topic");
    let subscription = subscription(&topic);
    driver.ensure(&subscription).await.expect("a subscription can be made sure of");
    // One key: ten records of one partition.
    let positions = publish(&*driver, &topic, 1..=10, 1).await;
    let Position::Pair(partition, first) = positions[0] else {
        panic!("a position is a pair: {positions:?}")
    };
    let mut reader = Reader::open(&*driver, &subscription, AMPLE).await;
    reader.hold(10).await;
    for delivery in
        reader.held.values().filter(|delivery| [2, 4, 9].contains(&crate::reader::number(delivery)))
    {
        reader.source.settle(delivery.lease, Settle::Done);
    }
    reader.source.close().await.expect("a source closes on a broker that is well");
    // The first six: 1, 3, 5 and 6 are not settled.
    delete_below(&topic, &[(partition.cast_signed(), first.cast_signed() + 6)]).await;
    let mut reader = Reader::open(&*driver, &subscription, AMPLE).await;
    reader.hold(3).await;
    assert_eq!(reader.numbers(), [7, 8, 10], "what is left and was not settled comes");
    let lost: Vec<_> = reader.gaps.iter().map(|gap| gap.records).collect();
    assert_eq!(lost, [Some(4)], "what was lost is told once: {:?}", reader.gaps);
    reader.source.close().await.expect("a source closes on a broker that is well");
    let mut reader = Reader::open(&*driver, &subscription, AMPLE).await;
    reader.hold(3).await;
    assert!(reader.gaps.is_empty(), "and never again: {:?}", reader.gaps);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_retention_took_before_it_was_read_is_a_gap_with_its_count() {
    const RECORDS: u64 = 5000;
    let driver = Cluster::new(&[]).connect();
    let topic = unique("topic");
    let subscription = subscription(&topic);
    driver.ensure(&subscription).await.expect("a subscription can be made sure of");
    let positions = publish(&*driver, &topic, 1..=RECORDS, 1).await;
    let Position::Pair(partition, last) = positions[positions.len() - 1] else {
        panic!("a position is a pair")
    };
    // Nobody takes anything: reading stops when the bounds are reached, and what librdkafka had fetched is let go.
    let mut reader = Reader::open(&*driver, &subscription, Credit { events: 1, ..AMPLE }).await;
    reader.hold(1).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    delete_below(&topic, &[(partition.cast_signed(), last.cast_signed())]).await;
    reader.source.set_credit(AMPLE);
    reader.until("the last one comes", |reader| reader.numbers().contains(&RECORDS)).await;
    reader.until("what was lost is told", |reader| !reader.gaps.is_empty()).await;
    let lost: u64 = reader.gaps.iter().filter_map(|gap| gap.records).sum();
    assert_eq!(
        reader.held.len() as u64 + lost,
        RECORDS,
        "every record came or was told lost: {:?}",
        reader.gaps
    );
    assert!(lost > RECORDS / 2, "most were lost: {lost}");
}

/// Deletes a topic and makes it anew, with what the subscription begins with.
async fn make_anew(driver: &dyn Driver, subscription: &broker::Subscription) {
    let topic = subscription.topic.as_str();
    admin().delete_topics(&[topic], &AdminOptions::new()).await.expect("the topic can be deleted");
    tokio::time::timeout(PATIENCE, async {
        while driver.ensure(subscription).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await
    .expect("the topic can be made anew");
}

/// What is settled out of order reaches beyond the new log's end, though the committed offset does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_settled_behind_a_stuck_record_says_nothing_of_another_log() {
    let driver = Cluster::new(&[]).connect();
    let topic = unique("topic");
    let subscription = subscription(&topic);
    driver.ensure(&subscription).await.expect("a subscription can be made sure of");
    publish(&*driver, &topic, 1..=40, 1).await;
    let mut reader = Reader::open(&*driver, &subscription, AMPLE).await;
    reader.hold(40).await;
    reader.held.retain(|_, delivery| crate::reader::number(delivery) > 1);
    reader.finish();
    reader.source.close().await.expect("a source closes on a broker that is well");
    // The broker forgets a deleted topic's commits; where a log was truncated they stay.
    let (name, of) = (subscription.name.clone(), topic.clone());
    let (group, commits) = tokio::task::spawn_blocking(move || {
        let group: BaseConsumer = foreign().set("group.id", &name).create().expect("a consumer can be made");
        let mut list = TopicPartitionList::new();
        list.add_partition_range(&of, 0, 3);
        let commits = group.committed_offsets(list, PATIENCE).expect("the group has commits");
        (group, commits)
    })
    .await
    .expect("the commits are read");
    make_anew(&*driver, &subscription).await;
    let other = Cluster::new(&[]).connect();
    publish(&*other, &topic, 101..=108, 1).await;
    tokio::task::spawn_blocking(move || group.commit(&commits, CommitMode::Sync))
        .await
        .expect("the commits are written")
        .expect("nobody reads the group");
    let mut reader = Reader::open(&*other, &subscription, AMPLE).await;
    reader.hold(8).await;
    assert_eq!(reader.numbers(), (101..=108).collect::<Vec<_>>(), "all of the new log comes");
    assert_eq!(reader.gaps.len(), 1, "and that the old one is gone is told: {:?}", reader.gaps);
    assert_eq!(reader.gaps[0].records, None, "how much of it was not settled nobody knows");
}

/// The same name, another log: what comes is not taken for what was settled of the old one.
async fn made_anew(while_open: bool) {
    let driver = Cluster::new(&[]).connect();
    let topic = unique("topic");
    let subscription = subscription(&topic);
    driver.ensure(&subscription).await.expect("a subscription can be made sure of");
    publish(&*driver, &topic, 1..=40, 40).await;
    let mut reader = Reader::open(&*driver, &subscription, AMPLE).await;
    reader.hold(40).await;
    reader.finish();
    reader.source.flush().await.expect("what is settled is committed");
    let reader = if while_open {
        Some(reader)
    } else {
        reader.source.close().await.expect("a source closes on a broker that is well");
        None
    };
    make_anew(&*driver, &subscription).await;
    // A new process, which knows nothing of the old topic.
    let other = Cluster::new(&[]).connect();
    publish(&*other, &topic, 101..=108, 8).await;
    let mut reader = match reader {
        Some(reader) => reader,
        None => Reader::open(&*other, &subscription, AMPLE).await,
    };
    reader.hold(8).await;
    let numbers: BTreeSet<u64> = reader.numbers().into_iter().collect();
    assert_eq!(numbers, (101..=108).collect(), "the new log is read from its beginning");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_was_made_anew_is_read_from_its_beginning() {
    made_anew(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_made_anew_meanwhile_is_read_from_its_beginning() {
    made_anew(true).await;
}
