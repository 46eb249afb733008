//! A driver on a real Kafka, and records written behind its back.

#![expect(clippy::unwrap_used, reason = "what a test cannot be set up with fails it")]

use std::sync::Arc;
use std::time::Duration;

use postrider_kafka::{Kafka, Settings};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Ground {
    pub(crate) driver: Arc<Kafka>,
    pub(crate) bootstrap: String,
    pub(crate) producer: BaseProducer,
}

impl Ground {
    pub(crate) async fn new() -> Self {
        Self::with(&[]).await
    }

    /// With these properties of librdkafka.
    pub(crate) async fn with(properties: &[(&str, &str)]) -> Self {
        let shared = tokio::task::spawn_blocking(brokers::shared).await.unwrap();
        let bootstrap = shared.bootstrap().to_owned();
        let mut settings = Settings::new(vec![bootstrap.clone()]);
        settings
            .properties
            .extend(properties.iter().map(|(name, value)| (name.to_string(), value.to_string())));
        let driver = Kafka::new(settings).unwrap();
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

    pub(crate) fn write(&self, topic: &str, partition: u32, ms: u64, value: &[u8]) {
        let partition = partition.cast_signed();
        let record = BaseRecord::<(), [u8]>::to(topic).partition(partition).timestamp(ms.cast_signed());
        self.producer.send(record.payload(value)).expect("a test's records fit into a queue");
    }

    /// Returns when all of it is written.
    pub(crate) fn flush(&self) {
        self.producer.flush(PATIENCE).unwrap();
    }
}

pub(crate) fn client(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    config
}
