//! What only browsing has to do with: topics that grow, and transactions.

#![expect(clippy::unwrap_used, reason = "what a test cannot be set up with fails it")]

use std::time::Instant;

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::ground::{Ground, PATIENCE, client};

impl Ground {
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
