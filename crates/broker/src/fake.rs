//! A driver for tests of what publishes: it takes records in, and answers what and when the test says. Of the contract it
//! keeps what can be seen from there; it hands nothing out. Whoever needs more has the [model](crate::model).

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::{
    Batch, Body, BoxFuture, Browse, Browsed, Capabilities, Credit, Driver, Error, ErrorKind, Health, Outcome,
    Position, Promise, Receipt, Record, RefusalKind, Selection, Source, Start, Subscription,
    SubscriptionInfo,
};

/// The driver, and the test's view of it.
#[derive(Debug)]
pub struct Fake {
    kept: Arc<Mutex<Kept>>,
    /// The outcome of a record that none was told for, by its number from 0.
    otherwise: fn(u64) -> Outcome,
    /// Answers wait for the test.
    holds: bool,
    /// Records are counted and not kept.
    forgets: bool,
    /// Questions about subscriptions are never answered.
    hangs: bool,
}

#[derive(Debug, Default)]
struct Kept {
    records: Vec<Record>,
    script: VecDeque<Outcome>,
    held: VecDeque<Promise>,
    /// How many records each call had.
    calls: Vec<usize>,
    count: u64,
    subscriptions: Vec<SubscriptionInfo>,
}

/// What becomes of a record unless the test says otherwise.
pub fn durable(number: u64) -> Outcome {
    Outcome::Durable(Position::Number(number))
}

/// A refusal, with a reason.
pub fn refused(kind: RefusalKind) -> Outcome {
    Outcome::refused(kind, "the fake refuses")
}

impl Default for Fake {
    fn default() -> Self {
        Self { kept: Arc::default(), otherwise: durable, holds: false, forgets: false, hangs: false }
    }
}

impl Fake {
    /// Everything is durable at once.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Answers are held back, to be given by the test.
    pub fn holding() -> Arc<Self> {
        Arc::new(Self { holds: true, ..Self::default() })
    }

    /// Records are counted, not kept, and this becomes of each by its number from 0.
    pub fn forgetting(outcome: fn(u64) -> Outcome) -> Arc<Self> {
        Arc::new(Self { forgets: true, otherwise: outcome, ..Self::default() })
    }

    /// Who asks for its subscriptions waits for ever.
    pub fn hanging() -> Arc<Self> {
        Arc::new(Self { hangs: true, ..Self::default() })
    }

    /// The outcomes of the next records.
    pub fn will(&self, outcomes: impl IntoIterator<Item = Outcome>) {
        self.kept.lock().script.extend(outcomes);
    }

    /// The subscriptions that it tells of from now on. Those that are not open can be deleted.
    pub fn knows(&self, subscriptions: impl IntoIterator<Item = SubscriptionInfo>) {
        self.kept.lock().subscriptions = subscriptions.into_iter().collect();
    }

    /// The records that were taken in.
    pub fn taken(&self) -> Vec<Record> {
        self.kept.lock().records.clone()
    }

    /// The ids of the events that were taken in.
    pub fn ids(&self) -> Vec<String> {
        let id = |record: &Record| match &record.body {
            Body::Event(event) => event.id().to_owned(),
            Body::Foreign { .. } => "foreign".to_owned(),
        };
        self.kept.lock().records.iter().map(id).collect()
    }

    /// How many records were taken in.
    pub fn count(&self) -> u64 {
        self.kept.lock().count
    }

    /// How many records each call had.
    pub fn calls(&self) -> Vec<usize> {
        self.kept.lock().calls.clone()
    }

    /// Waits for the next answer that is held back.
    pub async fn held(&self) -> Promise {
        loop {
            if let Some(promise) = self.kept.lock().held.pop_front() {
                return promise;
            }
            tokio::task::yield_now().await;
        }
    }

    pub fn holds_nothing(&self) -> bool {
        self.kept.lock().held.is_empty()
    }
}

impl Driver for Fake {
    fn capabilities(&self) -> Capabilities {
        crate::model::Settings::default().capabilities
    }

    fn publish(&self, batch: Batch) -> Receipt {
        let mut kept = self.kept.lock();
        kept.calls.push(batch.records.len());
        let mut outcomes = Vec::new();
        for record in batch.records {
            outcomes.push(kept.script.pop_front().unwrap_or_else(|| (self.otherwise)(kept.count)));
            kept.count += 1;
            if !self.forgets {
                kept.records.push(record);
            }
        }
        if !self.holds {
            return Receipt::ready(outcomes);
        }
        let (promise, receipt) = Receipt::new(outcomes.len());
        kept.held.push_back(promise);
        receipt
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
        let end = self.kept.lock().count.checked_sub(1).map(Position::Number);
        Box::pin(async move { Ok(end) })
    }

    fn browse<'a>(&'a self, _: &'a str, what: Selection) -> BoxFuture<'a, Result<Box<dyn Browse>, Error>> {
        let next = match what.from {
            Some(Position::Number(number)) => number as usize,
            Some(other) => {
                let message = format!("{other} is no position of the fake: those are numbers");
                return Box::pin(async { Err(Error::new(ErrorKind::NotFound, message)) });
            }
            None => 0,
        };
        let kept = self.kept.clone();
        Box::pin(async move { Ok(Box::new(Pages { next, kept }) as Box<dyn Browse>) })
    }

    fn purge<'a>(&'a self, _: &'a str, _: Option<&'a [Position]>) -> BoxFuture<'a, Result<u64, Error>> {
        Box::pin(async { Ok(0) })
    }

    fn seek<'a>(&'a self, _: &'a str, _: Start) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }

    fn subscriptions(&self) -> BoxFuture<'_, Result<Vec<SubscriptionInfo>, Error>> {
        Box::pin(async {
            if self.hangs {
                std::future::pending::<()>().await;
            }
            Ok(self.kept.lock().subscriptions.clone())
        })
    }

    fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let mut kept = self.kept.lock();
            let Some(at) = kept.subscriptions.iter().position(|it| it.name == name) else {
                return Err(Error::new(ErrorKind::NotFound, format!("there is no {name}")));
            };
            if kept.subscriptions[at].open {
                return Err(Error::new(ErrorKind::Conflict, format!("{name} is in use")));
            }
            kept.subscriptions.remove(at);
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
    kept: Arc<Mutex<Kept>>,
}

impl Browse for Pages {
    fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Vec<Browsed>, Error>> {
        const TAKEN_IN_MS: u64 = 1_700_000_000_000;
        let kept = self.kept.lock();
        let page: Vec<_> = (kept.records.iter().enumerate().skip(self.next).take(max))
            .map(|(number, record)| (Position::Number(number as u64), TAKEN_IN_MS, record.clone()))
            .collect();
        self.next += page.len();
        Box::pin(async move { Ok(page) })
    }
}
