use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Model, SourceId, Ticket};
use crate::{
    Batch, BoxFuture, Browse, Browsed, Capabilities, Credit, Driver, Error, ErrorKind, Health, Input, Lag,
    Lease, Note, Outcome, Position, Promise, Receipt, Record, RefusalKind, Selection, Settle, Source, Start,
    Subscription, SubscriptionInfo,
};

/// The [`Model`] as a [`Driver`], on tokio's clock (pause it, and the model is deterministic again but for the order in
/// which tasks run). Clones are the same client process; [`Broker::restart`] kills it and stands for the next one.
#[derive(Clone, Debug)]
pub struct Broker {
    shared: Arc<Shared>,
    /// Aborted once no broker and no source is left.
    _pump: Arc<JoinSet<()>>,
    capabilities: Capabilities,
    /// Which process this is; a dead one's handles answer `Closed`.
    process: u64,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    begun: Instant,
    /// Something was asked of the model that may change what happens next.
    asked: Notify,
    /// Rises each time the model went on.
    ticks: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    model: Model,
    process: u64,
    promises: BTreeMap<Ticket, Promise>,
    wakers: BTreeMap<SourceId, Waker>,
}

impl Broker {
    /// A broker over this model, whose time begins now. To be called within a tokio runtime.
    pub fn new(model: Model) -> Self {
        let capabilities = model.settings().capabilities;
        let state = State { model, process: 0, promises: BTreeMap::new(), wakers: BTreeMap::new() };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            begun: Instant::now(),
            asked: Notify::new(),
            ticks: watch::Sender::new(0),
        });
        let mut pump = JoinSet::new();
        pump.spawn(pump_events(Arc::clone(&shared)));
        Self { shared, _pump: Arc::new(pump), capabilities, process: 0 }
    }

    /// Kills this client process, as `kill -9` does, and returns its successor over the same broker.
    pub fn restart(&self) -> Self {
        let process = {
            let mut state = self.shared.state.lock();
            state.model.crash(self.shared.now());
            state.process += 1;
            state.promises.clear();
            for (_, waker) in std::mem::take(&mut state.wakers) {
                waker.wake();
            }
            state.process
        };
        self.shared.asked.notify_one();
        Self { process, ..self.clone() }
    }

    /// Does something to the model itself, now: injects a fault, or reads its history.
    pub fn with<T>(&self, act: impl FnOnce(&mut Model, Duration) -> T) -> T {
        let now = self.shared.now();
        let result = act(&mut self.shared.state.lock().model, now);
        self.shared.asked.notify_one();
        result
    }

    /// Calls the model for a process that is still alive.
    fn call<T>(&self, act: impl FnOnce(&mut Model, Duration) -> Result<T, Error>) -> Result<T, Error> {
        let alive = self.shared.state.lock().process == self.process;
        if alive { self.with(act) } else { Err(dead()) }
    }
}

fn dead() -> Error {
    Error::new(ErrorKind::Closed, "this client process is dead")
}

impl Shared {
    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Lets happen what is due, answers whom it concerns, and tells when to come again.
    fn tick(&self) -> Option<Duration> {
        let mut state = self.state.lock();
        let state = &mut *state;
        state.model.advance(self.now());
        let mut answers = Vec::new();
        state.model.answers(&mut answers);
        for (ticket, outcomes) in answers {
            if let Some(promise) = state.promises.remove(&ticket) {
                promise.answer(outcomes);
            }
        }
        for (_, waker) in std::mem::take(&mut state.wakers) {
            waker.wake();
        }
        state.model.wakes_at()
    }
}

/// Runs until it is aborted, with the last handle.
async fn pump_events(shared: Arc<Shared>) {
    loop {
        let next = shared.tick();
        shared.ticks.send_modify(|n| *n += 1);
        let idle = shared.now() + Duration::from_secs(3600);
        let until = shared.begun + next.unwrap_or(idle);
        tokio::select! {
            () = shared.asked.notified() => {}
            () = tokio::time::sleep_until(until) => {}
        }
    }
}

impl Driver for Broker {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn publish(&self, batch: Batch) -> Receipt {
        let (promise, receipt) = Receipt::new(batch.records.len());
        let mut state = self.shared.state.lock();
        if state.process != self.process {
            let refusal = Outcome::refused(RefusalKind::Unavailable, "this client process is dead");
            promise.answer(vec![refusal; batch.records.len()]);
            return receipt;
        }
        let now = self.shared.now();
        let deadline = now + Instant::from_std(batch.deadline).saturating_duration_since(Instant::now());
        let ticket = state.model.publish(now, &batch.topic, batch.records, deadline);
        state.promises.insert(ticket, promise);
        drop(state);
        self.shared.asked.notify_one();
        receipt
    }

    fn ensure_topic<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move { self.call(|model, now| model.ensure_topic(now, topic)) })
    }

    fn ensure<'a>(&'a self, subscription: &'a Subscription) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move { self.call(|model, now| model.ensure(now, subscription)) })
    }

    fn open<'a>(
        &'a self,
        subscription: &'a Subscription,
        credit: Credit,
    ) -> BoxFuture<'a, Result<Box<dyn Source>, Error>> {
        Box::pin(async move {
            let id = self.call(|model, now| model.open(now, subscription, credit))?;
            Ok(Box::new(OpenSource { broker: self.clone(), id }) as Box<dyn Source>)
        })
    }

    fn end<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Option<Position>, Error>> {
        Box::pin(async move { self.call(|model, now| model.end(now, topic)) })
    }

    fn browse<'a>(
        &'a self,
        topic: &'a str,
        what: Selection,
    ) -> BoxFuture<'a, Result<Box<dyn Browse>, Error>> {
        Box::pin(async move {
            // Asked once for nothing, so that what cannot be browsed is told here.
            self.call(|model, now| model.browse(now, topic, &what, 0, 0))?;
            let reading = Reading { broker: self.clone(), topic: topic.into(), what, next: 0 };
            Ok(Box::new(reading) as Box<dyn Browse>)
        })
    }

    fn purge<'a>(
        &'a self,
        subscription: &'a str,
        positions: Option<&'a [Position]>,
    ) -> BoxFuture<'a, Result<u64, Error>> {
        Box::pin(async move { self.call(|model, now| model.purge(now, subscription, positions)) })
    }

    fn seek<'a>(&'a self, subscription: &'a str, to: Start) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move { self.call(|model, now| model.seek(now, subscription, to)) })
    }

    fn subscriptions(&self) -> BoxFuture<'_, Result<Vec<SubscriptionInfo>, Error>> {
        Box::pin(async move { self.call(Model::subscriptions) })
    }

    fn delete<'a>(&'a self, subscription: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move { self.call(|model, now| model.delete(now, subscription)) })
    }

    fn health(&self) -> Health {
        self.shared.state.lock().model.down_since_ms().map_or(Health::Up, |ms| Health::Down {
            since: SystemTime::UNIX_EPOCH + Duration::from_millis(ms),
            reason: "the broker cannot be reached".into(),
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let mut ticks = self.shared.ticks.subscribe();
            let stopped = self.call(|model, _| {
                model.stop_taking_in();
                Ok(())
            });
            while stopped.is_ok() && self.call(|model, _| Ok(model.unanswered())).is_ok_and(|n| n > 0) {
                if ticks.changed().await.is_err() {
                    return;
                }
            }
            // A process that died meanwhile has nothing left to close.
            drop(self.call(|model, now| {
                model.shut_down(now);
                Ok(())
            }));
        })
    }
}

#[derive(Debug)]
struct OpenSource {
    broker: Broker,
    id: SourceId,
}

impl Source for OpenSource {
    fn poll_next(&mut self, cx: &mut Context<'_>, into: &mut Vec<Input>) -> Poll<Result<(), Error>> {
        let mut state = self.broker.shared.state.lock();
        let before = into.len();
        let polled = state.model.poll(self.broker.shared.now(), self.id, into);
        if polled.is_err() || into.len() > before {
            return Poll::Ready(polled);
        }
        state.wakers.insert(self.id, cx.waker().clone());
        Poll::Pending
    }

    fn load(&mut self, lease: Lease) -> BoxFuture<'static, Result<Record, Error>> {
        let loaded = self.broker.with(|model, now| model.load(now, self.id, lease));
        Box::pin(std::future::ready(loaded))
    }

    fn settle(&mut self, lease: Lease, settle: Settle) {
        self.broker.with(|model, now| model.settle(now, self.id, lease, settle));
    }

    fn note(&mut self, lease: Lease, note: Note) {
        self.broker.with(|model, now| model.note(now, self.id, lease, note));
    }

    fn set_credit(&mut self, credit: Credit) {
        self.broker.with(|model, now| model.set_credit(now, self.id, credit));
    }

    fn flush(&mut self) -> BoxFuture<'static, Result<(), Error>> {
        let mut ticks = self.broker.shared.ticks.subscribe();
        let mark = self.broker.with(|model, now| model.flush(now, self.id));
        let (broker, id) = (self.broker.clone(), self.id);
        Box::pin(async move {
            let mark = mark.ok_or_else(dead)?;
            while broker.with(|model, _| model.flushed(id)).ok_or_else(dead)? < mark {
                ticks.changed().await.map_err(|_| dead())?;
            }
            Ok(())
        })
    }

    fn lag(&self) -> Lag {
        self.broker.shared.state.lock().model.lag(self.id)
    }

    fn stale_settles(&self) -> u64 {
        self.broker.shared.state.lock().model.stale_settles(self.id)
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move { self.broker.with(|model, now| model.close(now, self.id)) })
    }
}

impl Drop for OpenSource {
    fn drop(&mut self) {
        self.broker.with(|model, now| model.abandon(now, self.id));
    }
}

#[derive(Debug)]
struct Reading {
    broker: Broker,
    topic: Arc<str>,
    what: Selection,
    next: u64,
}

impl Browse for Reading {
    fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Vec<Browsed>, Error>> {
        Box::pin(async move {
            let read = |model: &mut Model, now| model.browse(now, &self.topic, &self.what, self.next, max);
            let (found, next) = self.broker.call(read)?;
            self.next = next;
            Ok(found)
        })
    }
}
