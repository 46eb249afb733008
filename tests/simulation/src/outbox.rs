//! The driver that the publisher is given. It takes batches in; the simulation carries them to the model.

use std::sync::Arc;

use broker::{
    Batch, BoxFuture, Browse, Capabilities, Credit, Driver, Error, Health, Position, Promise, Receipt,
    Selection, Source, Start, Subscription, SubscriptionInfo,
};
use parking_lot::Mutex;

#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// The batch of the publish that is being made.
    pub(super) taken: Option<(Batch, Promise)>,
    /// Records that were taken and not answered.
    pub(super) unanswered: u64,
}

#[derive(Debug)]
pub(super) struct Handle(pub(super) Arc<Mutex<Outbox>>);

/// Only `publish` is the publisher's business; sources are opened on the model itself.
fn not_here<T>(what: &str) -> BoxFuture<'_, Result<T, Error>>
where
    T: Send + 'static,
{
    let error = Error::unsupported(what);
    Box::pin(async move { Err(error) })
}

impl Driver for Handle {
    fn capabilities(&self) -> Capabilities {
        broker::model::Settings::default().capabilities
    }

    fn publish(&self, batch: Batch) -> Receipt {
        let (promise, receipt) = Receipt::new(batch.records.len());
        let mut outbox = self.0.lock();
        outbox.unanswered += batch.records.len() as u64;
        outbox.taken = Some((batch, promise));
        receipt
    }

    fn ensure_topic<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        not_here("ensure a topic")
    }

    fn ensure<'a>(&'a self, _: &'a Subscription) -> BoxFuture<'a, Result<(), Error>> {
        not_here("ensure a subscription")
    }

    fn open<'a>(&'a self, _: &'a Subscription, _: Credit) -> BoxFuture<'a, Result<Box<dyn Source>, Error>> {
        not_here("open a source")
    }

    fn end<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<Position>, Error>> {
        not_here("tell a topic's end")
    }

    fn browse<'a>(&'a self, _: &'a str, _: Selection) -> BoxFuture<'a, Result<Box<dyn Browse>, Error>> {
        not_here("browse")
    }

    fn purge<'a>(&'a self, _: &'a str, _: Option<&'a [Position]>) -> BoxFuture<'a, Result<u64, Error>> {
        not_here("purge")
    }

    fn seek<'a>(&'a self, _: &'a str, _: Start) -> BoxFuture<'a, Result<(), Error>> {
        not_here("seek")
    }

    fn subscriptions(&self) -> BoxFuture<'_, Result<Vec<SubscriptionInfo>, Error>> {
        not_here("list")
    }

    fn delete<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        not_here("delete")
    }

    fn health(&self) -> Health {
        Health::Up
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}
