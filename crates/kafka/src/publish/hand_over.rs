//! Handing a call's records to librdkafka.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use broker::{Key, Outcome, Permit, Receipt, Record, Refusal, RefusalKind};
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{BaseProducer, BaseRecord};

use super::calls::{Calls, tag};
use super::gate::{Gate, Waits};
use super::outcome;
use super::producer::{Client, Producer, Reports};
use super::routes::Route;
use crate::record::{self, About, Encoded};

/// A call whose records are ready for librdkafka.
#[derive(Debug)]
pub(super) struct Ready {
    route: Arc<Route>,
    slot: usize,
    records: Vec<Encoded>,
    deadline: Instant,
    burst: u64,
}

impl Waits for Ready {
    fn is_behind(&self) -> bool {
        self.route.is_behind()
    }

    fn goes(&mut self, burst: u64) {
        self.burst = burst;
    }
}

impl Route {
    /// Takes records, in order. They are on their way when this returns, or wait at the gate.
    pub(super) fn send(
        self: &Arc<Self>,
        records: Vec<Record>,
        deadline: Instant,
        permit: Permit,
        structured: bool,
    ) -> Receipt {
        let (promise, receipt) = Receipt::new(records.len());
        let records: Vec<_> = records.into_iter().map(|record| record::encode(record, structured)).collect();
        let producer = self.producer.read();
        self.begun();
        let slot = producer.calls.begin(promise, records.len(), deadline, permit, Arc::clone(self));
        producer.pass(|gate| gate.push(Ready { route: Arc::clone(self), slot, records, deadline, burst: 0 }));
        receipt
    }
}

impl Producer {
    /// Tells the gate something, and hands over what it lets through: burst after burst, as long as they may go.
    pub(super) fn pass(&self, tell: impl FnOnce(&mut Gate<Ready>)) {
        let mut next = {
            let mut gate = self.gate.lock();
            tell(&mut gate);
            gate.next(Instant::now())
        };
        while let Some(burst) = next {
            self.hand_over(burst);
            let mut gate = self.gate.lock();
            gate.handed_over();
            next = gate.next(Instant::now());
        }
    }

    fn hand_over(&self, burst: Vec<Ready>) {
        let bytes_max = self.record_bytes_max();
        for ready in &burst {
            ready.route.goes(ready.burst);
        }
        let (now, late) = (Instant::now(), Client::Gone(Refusal::LATE.into()));
        // Its thread answers what is left only when it has the client back.
        let client = self.client.read();
        for Ready { route, slot, records, deadline, burst } in burst {
            let call =
                HandOver { route: &route, bytes_max, slot, refused: Vec::new(), failed: HashSet::new() };
            let client = if deadline > now { &*client } else { &late };
            call.run(&self.calls, client, records, burst);
        }
    }
}

struct HandOver<'a> {
    route: &'a Route,
    bytes_max: usize,
    slot: usize,
    /// The records that librdkafka never had, by their index.
    refused: Vec<(usize, Outcome)>,
    /// Their keys.
    failed: HashSet<Key>,
}

impl HandOver<'_> {
    fn run(mut self, calls: &Calls, client: &Client, records: Vec<Encoded>, burst: u64) {
        let is_alone = records.len() == 1;
        // Order among the records of a call does not matter where there is but one.
        let mut keys = Vec::with_capacity(if is_alone { 0 } else { records.len() });
        for (index, encoded) in records.into_iter().enumerate() {
            let handed = match client {
                Client::Ready(client) => self.one(client, index, &encoded.about, encoded.headers),
                Client::Gone(why) => Err(Outcome::refused_for_now(RefusalKind::Unavailable, why.clone())),
            };
            if let Err(outcome) = handed {
                self.refused.push((index, outcome));
                self.failed.extend(encoded.about.key.clone());
            }
            if !is_alone {
                keys.push(encoded.about.key);
            }
        }
        calls.handed_over(self.slot, burst, keys, self.refused);
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
