//! A source that is read by hand, and what is published to it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use broker::{
    Batch, Body, Credit, Delivery, Driver, Gap, Hop, Input, Key, Lease, Outcome, Payload, Position, Record,
    Source, Start, Subscription,
};
use event::{Data, Event};
use rdkafka::ClientConfig;

use crate::common::{PATIENCE, QUIET};

pub(crate) const AMPLE: Credit = Credit { events: 10_000, bytes: 64 << 20 };

pub(crate) fn unique(name: &str) -> String {
    format!("{name}-{}", uuid::Uuid::now_v7().simple())
}

/// librdkafka as any other client uses it.
pub(crate) fn foreign() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers::shared().bootstrap());
    config
}

pub(crate) fn subscription(topic: &str) -> Subscription {
    Subscription {
        name: unique("service.subscription"),
        topic: topic.to_owned(),
        start: Start::Earliest,
        ordered: true,
        until: None,
        keeps_unsettled: false,
    }
}

pub(crate) fn record(key: &str, number: u64) -> Record {
    let event = Event::builder()
        .id(number.to_string())
        .source("/tests")
        .kind("com.example.test")
        .data_content_type("text/plain")
        .data(Data::Binary("data".into()))
        .build()
        .expect("the sample is a valid event");
    Record { key: Key::new(key.to_owned()), body: Body::Event(event), hop: Hop::default(), letter: None }
}

/// Publishes records of these numbers, in turn over so many keys, and returns their positions.
pub(crate) async fn publish(
    driver: &dyn Driver,
    topic: &str,
    numbers: impl Iterator<Item = u64>,
    keys: u64,
) -> Vec<Position> {
    let records = numbers.map(|n| record(&format!("key-{}", n % keys), n)).collect();
    let deadline = Instant::now() + PATIENCE;
    let outcomes = driver.publish(Batch { topic: topic.into(), records, deadline }).await;
    let position = |outcome| match outcome {
        Outcome::Durable(position) => position,
        other => panic!("a broker that is well makes records durable: {other:?}"),
    };
    outcomes.into_iter().map(position).collect()
}

/// The number of a record that [`publish`] wrote; 0 for others.
pub(crate) fn number(delivery: &Delivery) -> u64 {
    match &delivery.payload {
        Payload::Here(record) => match &record.body {
            Body::Event(event) => event.id().parse().unwrap_or(0),
            Body::Foreign { .. } => 0,
        },
        Payload::Stored => 0,
    }
}

/// A source, and what it has said.
pub(crate) struct Reader {
    pub(crate) source: Box<dyn Source>,
    /// By slot.
    pub(crate) held: BTreeMap<u32, Delivery>,
    pub(crate) gaps: Vec<Gap>,
    pub(crate) recalled: Vec<Lease>,
    pub(crate) revoked: Vec<Lease>,
    pub(crate) caught_up: bool,
}

impl Reader {
    pub(crate) async fn open(driver: &dyn Driver, subscription: &Subscription, credit: Credit) -> Self {
        let source =
            driver.open(subscription, credit).await.expect("a subscription that exists can be opened");
        Self {
            source,
            held: BTreeMap::new(),
            gaps: Vec::new(),
            recalled: Vec::new(),
            revoked: Vec::new(),
            caught_up: false,
        }
    }

    /// Takes in what comes next. False: nothing came.
    pub(crate) async fn step(&mut self, wait: Duration) -> bool {
        let mut inputs = Vec::new();
        let poll = std::future::poll_fn(|cx| self.source.poll_next(cx, &mut inputs));
        match tokio::time::timeout(wait, poll).await {
            Err(_) => return false,
            Ok(result) => result.expect("an open source goes on"),
        }
        for input in inputs {
            match input {
                Input::Delivery(delivery) => {
                    let before = self.held.insert(delivery.lease.slot, delivery);
                    assert!(
                        before.is_none(),
                        "a slot is given out again only after its lease has died: {before:?}"
                    );
                }
                Input::Revoked(lease) => {
                    self.held.retain(|_, held| held.lease != lease);
                    self.revoked.push(lease);
                }
                Input::Recalled(lease) => self.recalled.push(lease),
                Input::Gap(gap) => self.gaps.push(gap),
                Input::CaughtUp => self.caught_up = true,
            }
        }
        true
    }

    /// Waits until what came satisfies this.
    pub(crate) async fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{what}: it did not within {PATIENCE:?}; held: {:?}", self.numbers());
            self.step(left.min(Duration::from_millis(50))).await;
        }
    }

    /// Waits until so many deliveries are held.
    pub(crate) async fn hold(&mut self, count: usize) {
        self.until(&format!("{count} deliveries are to be held"), |reader| reader.held.len() >= count).await;
    }

    /// Settles all that is held as done, and returns their numbers.
    pub(crate) fn finish(&mut self) -> Vec<u64> {
        let held = std::mem::take(&mut self.held);
        for delivery in held.values() {
            self.source.settle(delivery.lease, broker::Settle::Done);
        }
        held.values().map(number).collect()
    }

    /// Takes whatever still comes, until nothing does.
    pub(crate) async fn settle_down(&mut self) {
        while self.step(QUIET).await {}
    }

    /// The numbers of what is held, sorted.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        let mut numbers: Vec<u64> = self.held.values().map(number).collect();
        numbers.sort_unstable();
        numbers
    }
}
