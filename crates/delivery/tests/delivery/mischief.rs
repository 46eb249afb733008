//! A driver that fails where it is told to, over the model broker.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use broker::model::Broker;
use broker::{
    Batch, BoxFuture, Browse, Capabilities, Credit, Driver, Error, ErrorKind, Health, Input, Lag, Lease,
    Note, Position, Receipt, Record, Selection, Settle, Source, Start, Subscription, SubscriptionInfo,
};

/// What goes wrong, once for each time that it is set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mischief {
    pub(crate) deny_ensure: Arc<AtomicBool>,
    pub(crate) panic_in_poll: Arc<AtomicBool>,
    pub(crate) end_source: Arc<AtomicBool>,
}

#[derive(Clone, Debug)]
pub(crate) struct Mischievous(pub(crate) Broker, pub(crate) Mischief);

#[derive(Debug)]
struct Tricky(Box<dyn Source>, Mischief);

impl Driver for Mischievous {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }
    fn publish(&self, batch: Batch) -> Receipt {
        self.0.publish(batch)
    }
    fn ensure_topic<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        self.0.ensure_topic(topic)
    }
    fn ensure<'a>(&'a self, subscription: &'a Subscription) -> BoxFuture<'a, Result<(), Error>> {
        if self.1.deny_ensure.load(Ordering::SeqCst) {
            let denied = Error::new(ErrorKind::Denied, "no rights on b-orders");
            return Box::pin(std::future::ready(Err(denied)));
        }
        self.0.ensure(subscription)
    }
    fn open<'a>(
        &'a self,
        subscription: &'a Subscription,
        credit: Credit,
    ) -> BoxFuture<'a, Result<Box<dyn Source>, Error>> {
        Box::pin(async move {
            let source = self.0.open(subscription, credit).await?;
            Ok(Box::new(Tricky(source, self.1.clone())) as Box<dyn Source>)
        })
    }
    fn end<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Option<Position>, Error>> {
        self.0.end(topic)
    }
    fn browse<'a>(
        &'a self,
        topic: &'a str,
        what: Selection,
    ) -> BoxFuture<'a, Result<Box<dyn Browse>, Error>> {
        self.0.browse(topic, what)
    }
    fn purge<'a>(
        &'a self,
        subscription: &'a str,
        positions: Option<&'a [Position]>,
    ) -> BoxFuture<'a, Result<u64, Error>> {
        self.0.purge(subscription, positions)
    }
    fn seek<'a>(&'a self, subscription: &'a str, to: Start) -> BoxFuture<'a, Result<(), Error>> {
        self.0.seek(subscription, to)
    }
    fn subscriptions(&self) -> BoxFuture<'_, Result<Vec<SubscriptionInfo>, Error>> {
        self.0.subscriptions()
    }
    fn delete<'a>(&'a self, subscription: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        self.0.delete(subscription)
    }
    fn health(&self) -> Health {
        self.0.health()
    }
    fn close(&self) -> BoxFuture<'_, ()> {
        self.0.close()
    }
}

impl Source for Tricky {
    fn poll_next(&mut self, cx: &mut Context<'_>, into: &mut Vec<Input>) -> Poll<Result<(), Error>> {
        assert!(!self.1.panic_in_poll.swap(false, Ordering::SeqCst), "mischief");
        if self.1.end_source.swap(false, Ordering::SeqCst) {
            return Poll::Ready(Err(Error::new(ErrorKind::Corrupt, "the disk failed")));
        }
        self.0.poll_next(cx, into)
    }
    fn load(&mut self, lease: Lease) -> BoxFuture<'static, Result<Record, Error>> {
        self.0.load(lease)
    }
    fn settle(&mut self, lease: Lease, settle: Settle) {
        self.0.settle(lease, settle);
    }
    fn note(&mut self, lease: Lease, note: Note) {
        self.0.note(lease, note);
    }
    fn set_credit(&mut self, credit: Credit) {
        self.0.set_credit(credit);
    }
    fn flush(&mut self) -> BoxFuture<'static, Result<(), Error>> {
        self.0.flush()
    }
    fn lag(&self) -> Lag {
        self.0.lag()
    }
    fn stale_settles(&self) -> u64 {
        self.0.stale_settles()
    }
    fn close(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>> {
        self.0.close()
    }
}
