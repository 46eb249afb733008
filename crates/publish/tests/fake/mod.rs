//! A driver that takes records in and answers when, and what, the test says.

use std::collections::VecDeque;
use std::sync::Arc;

use broker::{
    Batch, BoxFuture, Browse, Capabilities, Credit, Driver, Error, Health, Outcome, Position, Promise,
    Receipt, Record, Selection, Source, Start, Subscription, SubscriptionInfo,
};
use parking_lot::Mutex;

#[derive(Debug, Default)]
pub(crate) struct Fake {
    pub(crate) taken: Mutex<Vec<Record>>,
    /// Outcomes of the next records; where there is none, a record is durable at once.
    pub(crate) script: Mutex<VecDeque<Outcome>>,
    /// Hold answers back, to be given by the test.
    pub(crate) held: Option<Mutex<Vec<Promise>>>,
}

impl Fake {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn holding() -> Arc<Self> {
        Arc::new(Self { held: Some(Mutex::default()), ..Self::default() })
    }

    pub(crate) fn taken(&self) -> Vec<Record> {
        self.taken.lock().clone()
    }

    /// Takes the oldest promise that is held back.
    pub(crate) fn held(&self) -> Promise {
        self.held.as_ref().expect("a holding driver").lock().remove(0)
    }
}

impl Driver for Fake {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            browse: false,
            purge: false,
            seek: false,
            list: false,
            exact_lag: true,
            caught_up: true,
            stored_payloads: false,
            durable_notes: true,
            record_bytes_max: 1 << 20,
        }
    }

    fn publish(&self, batch: Batch) -> Receipt {
        let mut taken = self.taken.lock();
        let mut script = self.script.lock();
        let mut outcomes = Vec::new();
        for record in batch.records {
            outcomes
                .push(script.pop_front().unwrap_or(Outcome::Durable(Position::Number(taken.len() as u64))));
            taken.push(record);
        }
        match &self.held {
            None => Receipt::ready(outcomes),
            Some(held) => {
                let (promise, receipt) = Receipt::new(outcomes.len());
                held.lock().push(promise);
                receipt
            }
        }
    }

    fn ensure_topic<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }
    fn ensure<'a>(&'a self, _: &'a Subscription) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }
    fn open<'a>(&'a self, _: &'a Subscription, _: Credit) -> BoxFuture<'a, Result<Box<dyn Source>, Error>> {
        Box::pin(async { Err(Error::unsupported("open")) })
    }
    fn end<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<Position>, Error>> {
        Box::pin(async { Ok(None) })
    }
    fn browse<'a>(&'a self, _: &'a str, _: Selection) -> BoxFuture<'a, Result<Box<dyn Browse>, Error>> {
        Box::pin(async { Err(Error::unsupported("browse")) })
    }
    fn purge<'a>(&'a self, _: &'a str, _: Option<&'a [Position]>) -> BoxFuture<'a, Result<u64, Error>> {
        Box::pin(async { Err(Error::unsupported("purge")) })
    }
    fn seek<'a>(&'a self, _: &'a str, _: Start) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async { Err(Error::unsupported("seek")) })
    }
    fn subscriptions(&self) -> BoxFuture<'_, Result<Vec<SubscriptionInfo>, Error>> {
        Box::pin(async { Err(Error::unsupported("list")) })
    }
    fn delete<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async { Err(Error::unsupported("delete")) })
    }
    fn health(&self) -> Health {
        Health::Up
    }
    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}
