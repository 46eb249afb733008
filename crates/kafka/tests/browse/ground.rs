//! A driver on a real Kafka, and records written behind its back.

#![expect(clippy::unwrap_used, reason = "what a test cannot be set up with fails it")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use postrider_kafka::{Kafka, Settings};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Ground {
    pub(crate) driver: Arc<Kafka>,
    bootstrap: String,
    producer: BaseProducer,
}

impl Ground {
    pub(crate) async fn new() -> Self {
        let shared = tokio::task::spawn_blocking(brokers::shared).await.unwrap();
        let bootstrap = shared.bootstrap().to_owned();
        let driver = Kafka::new(Settings::new(vec![bootstrap.clone()])).unwrap();
        let producer = client(&bootstrap).set("linger.ms", "0").create().unwrap();
        Self { driver, bootstrap, producer }
    }

    pub(crate) fn unique(&self, name: &str) -> String {
        format!("{name}-{}", uuid::Uuid::now_v7().simple())
    }

    /// A topic of its own.
    pub(crate) async fn topic(&self, partitions: i32) -> String {
        let name = self.unique("browse");
        let admin: AdminClient<DefaultClientContext> = client(&self.bootstrap).create().unwrap();
        // The tests' records are of 1970.
        let topic = NewTopic::new(&name, partitions, TopicReplication::Fixed(1)).set("retention.ms", "-1");
        admin.create_topics([&topic], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
        name
    }

    /// Returns when the new partitions can be written to.
    pub(crate) async fn grow(&mut self, topic: &str, partitions: usize) {
        let admin: AdminClient<DefaultClientContext> = client(&self.bootstrap).create().unwrap();
        let grown = NewPartitions::new(topic, partitions);
        let done = admin.create_partitions([&grown], &AdminOptions::new().operation_timeout(Some(PATIENCE)));
        done.await.unwrap().remove(0).unwrap();
        let begun = Instant::now();
        while self.producer.client().fetch_metadata(Some(topic), PATIENCE).unwrap().topics()[0]
            .partitions()
            .len()
            < partitions
        {
            assert!(begun.elapsed() < PATIENCE, "partitions that were created are there in the end");
        }
        // One that knew the topic before believes in its old partitions for a while.
        self.producer = client(&self.bootstrap).set("linger.ms", "0").create().unwrap();
    }

    pub(crate) fn write(&self, topic: &str, partition: u32, ms: u64, value: &[u8]) {
        let partition = partition.cast_signed();
        let record = BaseRecord::<(), [u8]>::to(topic).partition(partition).timestamp(ms.cast_signed());
        self.producer.send(record.payload(value)).expect("a test's records fit into a queue");
    }

    /// Returns when all of it is written.
    pub(crate) fn flush(&self) {
        self.producer.flush(PATIENCE).unwrap();
    }

    /// So many records in a transaction, which leaves a marker behind them.
    pub(crate) fn transaction(&self, topic: &str, partition: u32, records: usize, commit: bool) {
        let mut config = client(&self.bootstrap);
        let producer: BaseProducer = config.set("transactional.id", self.unique("t")).create().unwrap();
        producer.init_transactions(PATIENCE).unwrap();
        producer.begin_transaction().unwrap();
        for _ in 0..records {
            let record = BaseRecord::<(), [u8]>::to(topic).partition(partition.cast_signed());
            producer.send(record.timestamp(1000).payload(b"x")).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
        if commit {
            producer.commit_transaction(PATIENCE).unwrap();
        } else {
            producer.abort_transaction(PATIENCE).unwrap();
        }
    }
}

fn client(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    config
}
