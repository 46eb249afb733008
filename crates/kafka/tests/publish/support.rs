//! Drivers, topics and records for the tests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::{Batch, Body, Hop, Key, Outcome, Position, Record};
use bytes::Bytes;
use event::{Data, Event};
use postrider_kafka::{Kafka, Settings};

pub(crate) fn unique(name: &str) -> Arc<str> {
    format!("{name}-{}", uuid::Uuid::now_v7().simple()).into()
}

/// A new topic of one partition.
pub(crate) fn topic(configs: &[(&str, &str)]) -> Arc<str> {
    let name = unique("publish");
    brokers::shared().create_topic(&name, 1, configs).expect("a topic");
    name
}

pub(crate) fn settings() -> Settings {
    Settings::new(vec![brokers::shared().bootstrap().into()])
}

pub(crate) fn open(settings: Settings) -> Arc<Kafka> {
    settings.check().expect("good settings");
    Kafka::new(settings).expect("a driver")
}

pub(crate) fn kafka() -> Arc<Kafka> {
    open(settings())
}

pub(crate) fn without_creation() -> Arc<Kafka> {
    open(Settings { create_topics: None, ..settings() })
}

/// Where nobody listens.
pub(crate) fn unreachable() -> Arc<Kafka> {
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
    open(Settings::new(vec![format!("127.0.0.1:{port}")]))
}

pub(crate) fn record(key: &str, number: u64) -> Record {
    sized(key, number, 32)
}

pub(crate) fn sized(key: &str, number: u64, bytes: usize) -> Record {
    let event = Event::builder()
        .id(number.to_string())
        .source("/tests")
        .kind("com.example.test")
        .data_content_type("application/octet-stream")
        .data(Data::Binary(Bytes::from(vec![b'x'; bytes])))
        .build()
        .expect("a valid event");
    let hop = Hop { sequence: number, ..Hop::default() };
    Record { key: Key::new(key.to_owned()), body: Body::Event(event), hop, letter: None }
}

pub(crate) fn batch(topic: &Arc<str>, records: impl IntoIterator<Item = Record>) -> Batch {
    let deadline = Instant::now() + Duration::from_secs(30);
    Batch { topic: Arc::clone(topic), records: records.into_iter().collect(), deadline }
}

/// Where a durable record stands.
#[track_caller]
pub(crate) fn durable(outcome: &Outcome) -> (u32, u64) {
    match outcome {
        Outcome::Durable(Position::Pair(partition, offset)) => (*partition, *offset),
        other => panic!("not durable: {other:?}"),
    }
}
