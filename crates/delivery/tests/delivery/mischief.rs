//! A driver that fails where it is told to, over the model broker.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use broker::model::Broker;
use broker::{
    Batch, Body, BoxFuture, Browse, Capabilities, Credit, Driver, Error, ErrorKind, Health, Input, Key, Lag,
    Lease, Note, Outcome, Part, Position, Receipt, Record, RefusalKind, Selection, Settle, Source, Start,
    Subscription, SubscriptionInfo,
};
use parking_lot::Mutex;
use tokio::task::JoinSet;

/// What goes wrong, once for each time that it is set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mischief {
    pub(crate) deny_ensure: Arc<AtomicBool>,
    /// What opening answers, as long as it is there, and when it was asked.
    pub(crate) refuse_open: Arc<Mutex<Option<ErrorKind>>>,
    pub(crate) opened: Arc<Mutex<Vec<tokio::time::Instant>>>,
    /// Ensuring never ends.
    pub(crate) hang_ensure: Arc<AtomicBool>,
    /// Closing a source never ends.
    pub(crate) hang_close: Arc<AtomicBool>,
    /// An open source fails for a while, as long as this is set.
    pub(crate) unavailable: Arc<AtomicBool>,
    pub(crate) parts: Arc<Mutex<Vec<Part>>>,
    pub(crate) panic_in_poll: Arc<AtomicBool>,
    /// So many sources.
    pub(crate) end_sources: Arc<AtomicUsize>,
    /// A delivery is handed out twice, under two slots: the first lease is dead without a word.
    pub(crate) supersede: Arc<AtomicBool>,
    /// The event with this id, when it is published next, and what follows it under its key.
    pub(crate) refuse: Arc<Mutex<Vec<(&'static str, RefusalKind)>>>,
    /// The record with this id is damaged for good.
    pub(crate) damaged: Arc<Mutex<Option<&'static str>>>,
    /// Loads that found it so.
    pub(crate) damage_found: Arc<AtomicUsize>,
    tasks: Arc<Mutex<JoinSet<()>>>,
}

pub(crate) fn id_of(record: &Record) -> &str {
    match &record.body {
        Body::Event(event) => event.id(),
        Body::Foreign { .. } => "",
    }
}

impl Mischief {
    /// Which of the records are refused; with one, by the contract, the later ones of its key.
    fn refused(&self, records: &[Record]) -> Vec<Option<RefusalKind>> {
        let mut refuse = self.refuse.lock();
        let mut keys: Vec<&Key> = Vec::new();
        let refused = records.iter().map(|record| {
            if record.key.as_ref().is_some_and(|key| keys.contains(&key)) {
                return Some(RefusalKind::AfterFailure);
            }
            let at = refuse.iter().position(|(id, _)| *id == id_of(record))?;
            keys.extend(&record.key);
            Some(refuse.swap_remove(at).1)
        });
        refused.collect()
    }
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
        let refused = self.1.refused(&batch.records);
        if refused.iter().all(Option::is_none) {
            return self.0.publish(batch);
        }
        let mut kept = refused.iter().map(Option::is_none);
        let records = batch.records.into_iter().filter(|_| kept.next() == Some(true)).collect();
        let written = self.0.publish(Batch { records, ..batch });
        let (promise, receipt) = Receipt::new(refused.len());
        self.1.tasks.lock().spawn(async move {
            let mut written = written.await.into_iter();
            let outcomes = refused.into_iter().map(|kind| match kind {
                Some(kind) => Outcome::refused(kind, "refused for a test"),
                None => written.next().expect("an outcome a record"),
            });
            promise.answer(outcomes.collect());
        });
        receipt
    }
    fn ensure_topic<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        self.0.ensure_topic(topic)
    }
    fn ensure<'a>(&'a self, subscription: &'a Subscription) -> BoxFuture<'a, Result<(), Error>> {
        if self.1.deny_ensure.load(Ordering::SeqCst) {
            let denied = Error::new(ErrorKind::Denied, "no rights on b-orders");
            return Box::pin(std::future::ready(Err(denied)));
        }
        if self.1.hang_ensure.swap(false, Ordering::SeqCst) {
            return Box::pin(std::future::pending());
        }
        self.0.ensure(subscription)
    }
    fn open<'a>(
        &'a self,
        subscription: &'a Subscription,
        credit: Credit,
    ) -> BoxFuture<'a, Result<Box<dyn Source>, Error>> {
        Box::pin(async move {
            self.1.opened.lock().push(tokio::time::Instant::now());
            if let Some(kind) = *self.1.refuse_open.lock() {
                return Err(Error::new(kind, format!("not opened: {kind:?}")));
            }
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
        let left = |left: usize| left.checked_sub(1);
        if self.1.end_sources.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left).is_ok() {
            return Poll::Ready(Err(Error::new(ErrorKind::Corrupt, "the disk failed")));
        }
        if self.1.unavailable.load(Ordering::SeqCst) {
            return Poll::Ready(Err(Error::new(ErrorKind::Unavailable, "the leader moves")));
        }
        let before = into.len();
        let polled = self.0.poll_next(cx, into);
        let delivery = |input: &Input| matches!(input, Input::Delivery(_));
        if let Some(at) = into[before..].iter().position(delivery)
            && self.1.supersede.swap(false, Ordering::SeqCst)
        {
            let mut older = into[before + at].clone();
            if let Input::Delivery(delivery) = &mut older {
                delivery.lease = Lease { slot: 99, generation: 1 };
            }
            into.insert(before + at, older);
        }
        polled
    }
    fn load(&mut self, lease: Lease) -> BoxFuture<'static, Result<Record, Error>> {
        let (loading, mischief) = (self.0.load(lease), self.1.clone());
        Box::pin(async move {
            let record = loading.await?;
            if *mischief.damaged.lock() == Some(id_of(&record)) {
                mischief.damage_found.fetch_add(1, Ordering::SeqCst);
                return Err(Error::new(ErrorKind::Corrupt, "the record is damaged"));
            }
            Ok(record)
        })
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
    fn parts(&self) -> Vec<Part> {
        self.1.parts.lock().clone()
    }
    fn stale_settles(&self) -> u64 {
        self.0.stale_settles()
    }
    fn close(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>> {
        if self.1.hang_close.load(Ordering::SeqCst) {
            return Box::pin(std::future::pending());
        }
        self.0.close()
    }
}
