//! Purge and seek on a real Kafka: subscriptions that nobody reads, and those that another process reads.

#[path = "browse/ground.rs"]
mod ground;

use broker::{Credit, Driver, Error, ErrorKind, Input, Lease, Position, Selection, Settle, Source, Start};
use broker::{Delivery, Subscription};
use ground::Ground;
use postrider_kafka::Kafka;

const CREDIT: Credit = Credit { events: 1000, bytes: 10 << 20 };

async fn subscribed(ground: &Ground, topic: &str) -> Subscription {
    let name = ground.unique("operate");
    let subscription = Subscription {
        name,
        topic: topic.into(),
        start: Start::Earliest,
        ordered: true,
        until: None,
        keeps_unsettled: false,
    };
    ground.driver.ensure(&subscription).await.expect("a subscription can be made");
    subscription
}

async fn open(driver: &Kafka, subscription: &Subscription) -> Box<dyn Source> {
    driver.open(subscription, CREDIT).await.expect("a subscription can be read")
}

/// The next deliveries, so many of them.
async fn take(source: &mut dyn Source, count: usize) -> Vec<Delivery> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let mut inputs = Vec::new();
        std::future::poll_fn(|cx| source.poll_next(cx, &mut inputs)).await.expect("it goes on");
        for input in inputs {
            if let Input::Delivery(delivery) = input {
                taken.push(delivery);
            }
        }
    }
    taken
}

fn settle<'a>(source: &mut dyn Source, leases: impl IntoIterator<Item = &'a Lease>) {
    for lease in leases {
        source.settle(*lease, Settle::Done);
    }
}

/// What the subscription has not settled, as its commits tell.
async fn unsettled(driver: &Kafka, subscription: &Subscription) -> Vec<u64> {
    let what = Selection { unsettled_of: Some(subscription.name.clone()), ..Selection::default() };
    let mut browse = driver.browse(&subscription.topic, what).await.expect("it can be browsed");
    let mut found = Vec::new();
    loop {
        let page = browse.next(100).await.expect("and read");
        if page.is_empty() {
            return found;
        }
        found.extend(page.into_iter().filter_map(|(position, _, _)| match position {
            Position::Pair(_, offset) => Some(offset),
            Position::Number(_) | Position::Text(_) => None,
        }));
    }
}

fn refused<T: std::fmt::Debug>(answer: Result<T, Error>, name: &str) {
    let error = answer.expect_err("another process reads it");
    assert_eq!(error.kind, ErrorKind::Conflict, "{error}");
    assert!(error.message.contains(name) && error.message.contains("by another process"), "{error}");
    assert!(error.message.contains("postrider at 127.0.0.1"), "who reads it is told: {error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_reads_is_changed_in_its_commits() {
    let ground = Ground::new().await;
    let topic = ground.topic(1).await;
    let subscription = subscribed(&ground, &topic).await;
    for ms in 0..20 {
        ground.write(&topic, 0, 1000 + ms, b"x");
    }
    ground.flush();
    let mut source = open(&ground.driver, &subscription).await;
    let taken = take(&mut *source, 10).await;
    settle(&mut *source, taken[2..6].iter().map(|delivery| &delivery.lease));
    source.close().await.unwrap();
    let left: Vec<u64> = [0, 1].into_iter().chain(6..20).collect();
    assert_eq!(unsettled(&ground.driver, &subscription).await, left, "what is settled beyond the first");

    let chosen = [0, 3, 7, 7, 19, 25].map(|offset| Position::Pair(0, offset));
    let chosen = [&chosen[..], &[Position::Number(1), Position::Pair(9, 0)]].concat();
    let purged = ground.driver.purge(&subscription.name, Some(&chosen)).await.unwrap();
    assert_eq!(purged, 3, "0, 7 and 19 were unsettled, and the others are no records");
    let left: Vec<u64> = [1, 6].into_iter().chain(8..19).collect();
    assert_eq!(unsettled(&ground.driver, &subscription).await, left);
    assert_eq!(ground.driver.purge(&subscription.name, None).await.unwrap(), left.len() as u64);
    assert!(unsettled(&ground.driver, &subscription).await.is_empty());
    assert_eq!(ground.driver.purge(&subscription.name, None).await.unwrap(), 0);

    let time = std::time::UNIX_EPOCH + std::time::Duration::from_millis(1015);
    ground.driver.seek(&subscription.name, Start::At(time)).await.unwrap();
    assert_eq!(unsettled(&ground.driver, &subscription).await, [15, 16, 17, 18, 19]);
    ground.driver.seek(&subscription.name, Start::Latest).await.unwrap();
    assert!(unsettled(&ground.driver, &subscription).await.is_empty());
    ground.driver.seek(&subscription.name, Start::Earliest).await.unwrap();
    assert_eq!(unsettled(&ground.driver, &subscription).await.len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_process_reads_is_left_alone() {
    let (ground, other) = (Ground::new().await, Ground::new().await);
    let topic = ground.topic(2).await;
    let subscription = subscribed(&ground, &topic).await;
    for partition in [0, 1] {
        ground.write(&topic, partition, 1000, b"x");
    }
    ground.flush();
    let mut theirs = open(&other.driver, &subscription).await;
    take(&mut *theirs, 2).await;
    let name = &subscription.name;
    refused(ground.driver.purge(name, None).await, name);
    refused(ground.driver.purge(name, Some(&[Position::Pair(0, 0)])).await, name);
    refused(ground.driver.seek(name, Start::Latest).await, name);
    assert_eq!(unsettled(&ground.driver, &subscription).await, [0, 0], "nothing was changed");

    // Each reads one of them.
    let mut ours = open(&ground.driver, &subscription).await;
    let mut here = take(&mut *ours, 1).await;
    let Position::Pair(partition, _) = here.remove(0).position else { panic!("a pair") };
    refused(ground.driver.purge(name, None).await, name);
    refused(ground.driver.seek(name, Start::Latest).await, name);
    let elsewhere = Position::Pair(1 - partition, 0);
    refused(ground.driver.purge(name, Some(&[Position::Pair(partition, 0), elsewhere])).await, name);
    let mine = [Position::Pair(partition, 0)];
    assert_eq!(
        ground.driver.purge(name, Some(&mine)).await.unwrap(),
        1,
        "what is read here can be purged here"
    );
    assert_eq!(unsettled(&ground.driver, &subscription).await, [0], "the other's is left");
    theirs.close().await.unwrap();
    ours.close().await.unwrap();
    assert_eq!(ground.driver.purge(name, None).await.unwrap(), 1, "once nobody reads it");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_exist_is_not_found() {
    let ground = Ground::new().await;
    let name = ground.unique("nowhere");
    for answer in
        [ground.driver.purge(&name, None).await.map(drop), ground.driver.seek(&name, Start::Latest).await]
    {
        assert_eq!(answer.expect_err("there is none").kind, ErrorKind::NotFound);
    }
    let topic = ground.topic(1).await;
    let what = Selection { unsettled_of: Some(name), ..Selection::default() };
    let error = ground.driver.browse(&topic, what).await.expect_err("there is none");
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_group_protocol_is_told_apart_as_well() {
    let protocol = [("group.protocol", "consumer")];
    let (ground, other) = (Ground::with(&protocol).await, Ground::with(&protocol).await);
    let topic = ground.topic(2).await;
    let subscription = subscribed(&ground, &topic).await;
    for partition in [0, 1] {
        ground.write(&topic, partition, 1000, b"x");
    }
    ground.flush();
    let name = &subscription.name;
    let mut theirs = open(&other.driver, &subscription).await;
    take(&mut *theirs, 2).await;
    let error = ground.driver.purge(name, None).await.expect_err("another process reads it");
    assert_eq!(error.kind, ErrorKind::Conflict, "{error}");
    let error = ground.driver.seek(name, Start::Latest).await.expect_err("another process reads it");
    assert_eq!(error.kind, ErrorKind::Conflict, "{error}");
    assert_eq!(
        other.driver.purge(name, Some(&[Position::Pair(1, 0)])).await.unwrap(),
        1,
        "it can do so itself"
    );
    theirs.close().await.unwrap();
    assert_eq!(ground.driver.purge(name, None).await.unwrap(), 1, "once nobody reads it");
}
