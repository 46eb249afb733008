//! Handing a call's records to librdkafka.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use broker::{Key, Outcome, Receipt, Record, RefusalKind};
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{BaseProducer, BaseRecord};

use super::admission::Permit;
use super::calls::tag;
use super::producer::{Client, Producer, Reports};
use super::routes::Route;
use super::{outcome, unavailable};
use crate::record::{self, About};

impl Route {
    /// Hands records over, in order. They are on their way when this returns.
    pub(super) fn send(
        self: &Arc<Self>,
        records: Vec<Record>,
        deadline: Instant,
        permit: Permit,
        bytes_max: usize,
        structured: bool,
    ) -> Receipt {
        let (promise, receipt) = Receipt::new(records.len());
        let producer = self.producer.read();
        self.begun();
        let slot = producer.calls.begin(promise, records.len(), deadline, permit, Arc::clone(self));
        let hand_over = HandOver {
            route: self,
            structured,
            bytes_max,
            slot,
            refused: Vec::new(),
            failed: HashSet::new(),
            keys: Vec::new(),
        };
        hand_over.run(&producer, records);
        receipt
    }
}

struct HandOver<'a> {
    route: &'a Route,
    structured: bool,
    bytes_max: usize,
    slot: usize,
    /// The records that librdkafka never had, by their index.
    refused: Vec<(usize, Outcome)>,
    /// Their keys.
    failed: HashSet<Key>,
    /// The keys of all records so far; empty where there is but one record.
    keys: Vec<Option<Key>>,
}

impl HandOver<'_> {
    fn run(mut self, producer: &Producer, records: Vec<Record>) {
        let client = producer.client.read();
        let is_alone = records.len() == 1;
        for (index, record) in records.into_iter().enumerate() {
            let encoded = record::encode(record, self.structured);
            let handed = match &*client {
                Client::Ready(client) => self.one(client, index, &encoded.about, encoded.headers),
                Client::Gone(why) => Err(Outcome::Refused(unavailable(why.clone()))),
            };
            if let Err(outcome) = handed {
                self.refused.push((index, outcome));
                self.failed.extend(encoded.about.key.clone());
            }
            if !is_alone {
                self.keys.push(encoded.about.key);
            }
        }
        // The client is held until here: its thread answers what is left only when it has it back.
        producer.calls.handed_over(self.slot, self.keys, self.refused);
        drop(client);
    }

    /// Hands one record over, or says why not.
    fn one(
        &self,
        client: &BaseProducer<Reports>,
        index: usize,
        about: &About,
        headers: OwnedHeaders,
    ) -> Result<(), Outcome> {
        let Route { topic, facts, .. } = self.route;
        // It would stand before the earlier one, once that is sent again.
        if about.key.as_ref().is_some_and(|key| self.failed.contains(key)) {
            return Err(Outcome::refused(
                RefusalKind::AfterFailure,
                "an earlier record of its key in this call was refused",
            ));
        }
        if let Some(most) = facts.bytes_max().filter(|most| about.batch_bytes > *most as usize) {
            return Err(outcome::larger_than_topic(about.bytes, topic, most as usize));
        }
        if about.bytes > self.bytes_max {
            return Err(outcome::larger_than_sent(about.bytes, self.bytes_max));
        }
        let mut record = BaseRecord::with_opaque_to(topic, tag(self.slot, index)).headers(headers);
        record.key = about.key.as_ref().map(Key::as_bytes);
        record.payload = about.value.as_deref();
        client.send(record).map_err(|(error, _)| outcome::not_taken(&error, topic, facts, about.bytes))
    }
}
