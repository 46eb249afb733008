//! A driver that takes records in and answers what the test says.

use std::collections::VecDeque;
use std::sync::Arc;

use broker::{
    Batch, BoxFuture, Browse, Capabilities, Credit, Driver, Error, ErrorKind, Health, Lag, Outcome, Position,
    Promise, Receipt, Record, RefusalKind, Selection, Source, Start, Subscription, SubscriptionInfo,
};
use parking_lot::Mutex;

#[derive(Debug, Default)]
pub(crate) struct Fake {
    taken: Arc<Mutex<Vec<Record>>>,
    /// Outcomes of the next records; where there is none, a record is durable at once.
    pub(crate) script: Mutex<VecDeque<Outcome>>,
    /// Hold answers back, to be given by the test.
    held: Option<Mutex<VecDeque<Promise>>>,
    pub(crate) deleted: Mutex<Vec<String>>,
    /// Largest number of records in one call, and the sum.
    pub(crate) batches: Mutex<Vec<usize>>,
    /// Count records instead of keeping them.
    pub(crate) forgets: bool,
    /// Never tell of subscriptions.
    hangs: bool,
}

impl Fake {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn holding() -> Arc<Self> {
        Arc::new(Self { held: Some(Mutex::default()), ..Self::default() })
    }

    pub(crate) fn forgetting() -> Arc<Self> {
        Arc::new(Self { forgets: true, ..Self::default() })
    }

    pub(crate) fn hanging() -> Arc<Self> {
        Arc::new(Self { hangs: true, ..Self::default() })
    }

    pub(crate) fn taken(&self) -> Vec<Record> {
        self.taken.lock().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.batches.lock().iter().sum()
    }

    /// The ids of the events that were taken.
    pub(crate) fn ids(&self) -> Vec<String> {
        let id = |record: &Record| match &record.body {
            broker::Body::Event(event) => event.id().to_owned(),
            broker::Body::Foreign { .. } => "foreign".to_owned(),
        };
        self.taken.lock().iter().map(id).collect()
    }

    pub(crate) fn will(&self, outcomes: impl IntoIterator<Item = Outcome>) {
        self.script.lock().extend(outcomes);
    }

    /// Waits for the next promise that is held back.
    pub(crate) async fn held(&self) -> Promise {
        loop {
            if let Some(promise) = self.held.as_ref().expect("a holding driver").lock().pop_front() {
                return promise;
            }
            tokio::task::yield_now().await;
        }
    }

    pub(crate) fn holds_nothing(&self) -> bool {
        self.held.as_ref().is_none_or(|held| held.lock().is_empty())
    }
}

pub(crate) fn durable(n: u64) -> Outcome {
    Outcome::Durable(Position::Number(n))
}

pub(crate) fn refused(kind: RefusalKind) -> Outcome {
    Outcome::refused(kind, "the fake refuses")
}

impl Driver for Fake {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            browse: true,
            purge: true,
            seek: true,
            list: true,
            exact_lag: true,
            caught_up: true,
            stored_payloads: false,
            durable_notes: true,
            record_bytes_max: 1 << 20,
        }
    }

    fn publish(&self, batch: Batch) -> Receipt {
        self.batches.lock().push(batch.records.len());
        let mut taken = self.taken.lock();
        let mut script = self.script.lock();
        let mut outcomes = Vec::new();
        for record in batch.records {
            outcomes.push(script.pop_front().unwrap_or_else(|| durable(taken.len() as u64)));
            if !self.forgets {
                taken.push(record);
            }
        }
        match &self.held {
            None => Receipt::ready(outcomes),
            Some(held) => {
                let (promise, receipt) = Receipt::new(outcomes.len());
                held.lock().push_back(promise);
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
        let end = self.taken.lock().len().checked_sub(1).map(|n| Position::Number(n as u64));
        Box::pin(async move { Ok(end) })
    }
    fn browse<'a>(&'a self, _: &'a str, what: Selection) -> BoxFuture<'a, Result<Box<dyn Browse>, Error>> {
        let next = match what.from {
            Some(Position::Number(n)) => n as usize,
            Some(other) => {
                let message = format!("{other} is no position of the fake: those are numbers");
                return Box::pin(async { Err(Error::new(ErrorKind::NotFound, message)) });
            }
            None => 0,
        };
        let records = self.taken.clone();
        Box::pin(async move { Ok(Box::new(Pages { next, records }) as Box<dyn Browse>) })
    }
    fn purge<'a>(&'a self, _: &'a str, _: Option<&'a [Position]>) -> BoxFuture<'a, Result<u64, Error>> {
        Box::pin(async { Ok(0) })
    }
    fn seek<'a>(&'a self, _: &'a str, _: Start) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }
    fn subscriptions(&self) -> BoxFuture<'_, Result<Vec<SubscriptionInfo>, Error>> {
        let info = |name: &str, open| SubscriptionInfo {
            name: name.to_owned(),
            topic: "orders".to_owned(),
            lag: Lag { records: 3, oldest: None },
            open,
        };
        let hangs = self.hangs;
        Box::pin(async move {
            if hangs {
                std::future::pending::<()>().await;
            }
            Ok(vec![info("shop.billing", true), info("shop.old", false)])
        })
    }
    fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            if name != "shop.old" {
                return Err(Error::new(ErrorKind::Conflict, format!("{name} is in use")));
            }
            self.deleted.lock().push(name.to_owned());
            Ok(())
        })
    }
    fn health(&self) -> Health {
        Health::Up
    }
    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

#[derive(Debug)]
struct Pages {
    next: usize,
    records: Arc<Mutex<Vec<Record>>>,
}

impl Browse for Pages {
    fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Vec<(Position, u64, Record)>, Error>> {
        let records = self.records.lock();
        let page: Vec<_> = records
            .iter()
            .enumerate()
            .skip(self.next)
            .take(max)
            .map(|(n, record)| (Position::Number(n as u64), 1_700_000_000_000, record.clone()))
            .collect();
        self.next += page.len();
        Box::pin(async move { Ok(page) })
    }
}
