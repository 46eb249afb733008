//! The publish path: the real [`Publisher`], whose driver hands its batches to the model, on a paused clock.
//!
//! - **P1** A call is answered by its deadline, whatever the driver does, and never says more than the driver said.
//! - **P2** No more is under way than the limits admit; what has ended makes room again; close waits for it.
//! - **P3** Nothing is written before the gate opens, that is before the subscriptions exist, or after the publisher closed.
//! - **P4** A letter is its event untouched, key and hop headers included; sequences rise within a key.
//!
//! That what was answered as durable is delivered, under its own key and trace, is I1 and I2.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use broker::model::Ticket;
use broker::{Batch, Letter, Outcome, Promise, Record};
use parking_lot::Mutex;
use publish::{Error, Item, KeyFrom, Limits, Publisher, Topic};
use telemetry::Telemetry;
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

use super::outbox::Outbox;
use super::publishers::DEADLINE;
use super::run::{LETTERS, TOPIC};

/// From the deadline on, how long the publisher may wait for the driver's own words, and its timer's grain.
pub(super) const GRACE: Duration = Duration::from_millis(102);
const BROKER: &str = "model";

/// Who waits for a call.
#[derive(Clone, Debug)]
pub(super) enum Who {
    /// Publishers, each with its event, in the order of the call.
    Publishers(Vec<(usize, usize)>),
    Letter(engine::Token),
}

struct Call {
    who: Who,
    future: Pin<Box<dyn Future<Output = Vec<Outcome>>>>,
}

/// One process's publisher.
pub(super) struct Path {
    runtime: Runtime,
    /// The clock's time when the simulation's was `since`.
    begun: Instant,
    since: Duration,
    /// The simulation's time that the clock has come to.
    passed: Duration,
    /// The runtime has not run since the clock came there: timers that are due have not rung.
    behind: bool,
    publisher: Publisher,
    outbox: Arc<Mutex<Outbox>>,
    calls: BTreeMap<u64, Call>,
    next_call: u64,
    closing: Option<Pin<Box<dyn Future<Output = ()>>>>,
    pub(super) limits: Limits,
}

/// A batch that the driver was given, and what it is to do with the answer.
pub(super) struct Taken {
    pub(super) call: u64,
    pub(super) batch: Batch,
    pub(super) promise: Promise,
}

impl std::fmt::Debug for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Path({} calls)", self.calls.len())
    }
}

impl Path {
    pub(super) fn new(now: Duration, limits: Limits) -> Self {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime without I/O takes nothing that could be missing");
        let begun = runtime.block_on(async { Instant::now() });
        let publisher = Publisher::new(limits, Telemetry::new(Vec::new()));
        let outbox = Arc::new(Mutex::new(Outbox::default()));
        let topic = |name: &str, key, open| Topic {
            name: name.into(),
            broker: BROKER.into(),
            on_broker: name.into(),
            driver: Arc::new(super::outbox::Handle(outbox.clone())),
            key,
            event_bytes_max: 1 << 16,
            types: Vec::new(),
            open,
        };
        publisher.set_topics(vec![topic(TOPIC, Some(KeyFrom::Subject), true), topic(LETTERS, None, false)]);
        publisher.set_pending(BROKER, Some("its subscriptions are not ensured yet".into()));
        let calls = BTreeMap::new();
        Self {
            runtime,
            begun,
            since: now,
            passed: now,
            behind: false,
            publisher,
            outbox,
            calls,
            next_call: 0,
            closing: None,
            limits,
        }
    }

    /// The subscriptions exist: what is published from now on is delivered.
    pub(super) fn open_gate(&self) {
        self.publisher.set_pending(BROKER, None);
    }

    pub(super) fn is_pending(&self) -> bool {
        !self.publisher.pending().is_empty()
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// Calls whose callers still wait.
    pub(super) fn waiting(&self) -> usize {
        self.calls.len()
    }

    pub(super) fn waits(&self, call: u64) -> bool {
        self.calls.contains_key(&call)
    }

    /// The deadline of a call that is made now, on the publisher's clock.
    pub(super) fn deadline_of(&self, now: Duration) -> std::time::Instant {
        self.at(now + DEADLINE)
    }

    /// Records that the driver has not answered.
    pub(super) fn unanswered(&self) -> u64 {
        self.outbox.lock().unanswered
    }

    /// Publishes a call of several publishers' events.
    pub(super) fn publish(
        &mut self,
        now: Duration,
        who: Vec<(usize, usize)>,
        items: Vec<Item>,
    ) -> Result<Option<Taken>, Error> {
        self.pass_to(now);
        let deadline = self.at(now + DEADLINE);
        let _context = self.runtime.enter();
        let future = self.publisher.publish(TOPIC, items, deadline)?;
        Ok(self.enter_call(Who::Publishers(who), Box::pin(future)))
    }

    /// Writes a dead letter.
    pub(super) fn letter(
        &mut self,
        now: Duration,
        token: engine::Token,
        record: Record,
        letter: Letter,
    ) -> Result<Option<Taken>, Error> {
        self.pass_to(now);
        let deadline = self.at(now + DEADLINE);
        let _context = self.runtime.enter();
        let topic = self.publisher.topic(LETTERS).expect("the letters' topic is routed");
        let future = self.publisher.forward(&topic, record, Some(letter), deadline)?;
        Ok(self.enter_call(Who::Letter(token), Box::pin(async move { vec![future.await] })))
    }

    fn enter_call(&mut self, who: Who, future: Pin<Box<dyn Future<Output = Vec<Outcome>>>>) -> Option<Taken> {
        self.next_call += 1;
        self.calls.insert(self.next_call, Call { who, future });
        let (batch, promise) = self.outbox.lock().taken.take()?;
        Some(Taken { call: self.next_call, batch, promise })
    }

    /// Answers a batch as its driver.
    pub(super) fn answer(&mut self, now: Duration, promise: Promise, outcomes: Vec<Outcome>) {
        self.outbox.lock().unanswered -= outcomes.len() as u64;
        self.pass_to(now);
        promise.answer(outcomes);
        self.run_tasks();
    }

    /// What a call came to, if it has ended.
    pub(super) fn poll(&mut self, now: Duration, call: u64) -> Option<(Who, Vec<Outcome>)> {
        self.pass_to(now);
        let outcomes = match self.poll_call(call)? {
            Poll::Ready(outcomes) => outcomes,
            Poll::Pending => {
                // It may wait for a timer that is due.
                self.run();
                let Poll::Ready(outcomes) = self.poll_call(call)? else { return None };
                outcomes
            }
        };
        self.run_tasks();
        self.calls.remove(&call).map(|call| (call.who, outcomes))
    }

    fn poll_call(&mut self, call: u64) -> Option<Poll<Vec<Outcome>>> {
        let _context = self.runtime.enter();
        let future = &mut self.calls.get_mut(&call)?.future;
        Some(future.as_mut().poll(&mut Context::from_waker(Waker::noop())))
    }

    /// The caller goes away before its answer.
    pub(super) fn hang_up(&mut self, now: Duration, call: u64) -> Option<Who> {
        self.pass_to(now);
        let call = self.calls.remove(&call)?;
        let _context = self.runtime.enter();
        drop(call.future);
        Some(call.who)
    }

    /// Refuses what comes from now on, and waits for what is under way until then.
    pub(super) fn close(&mut self, now: Duration, until: Duration) {
        self.pass_to(now);
        let (publisher, deadline) = (self.publisher.clone(), self.at(until));
        self.closing = Some(Box::pin(async move { publisher.close(deadline).await }));
    }

    /// Whether all that was under way has ended, or may not be waited for any longer.
    pub(super) fn has_closed(&mut self, now: Duration) -> bool {
        self.pass_to(now);
        if self.closing.is_some() && self.behind {
            self.run();
        }
        let Some(closing) = self.closing.as_mut() else { return false };
        let _context = self.runtime.enter();
        closing.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    /// The process dies: nobody waits for anything any more. Returns who did.
    pub(super) fn die(self) -> Vec<Who> {
        self.calls.into_values().map(|call| call.who).collect()
    }

    /// Lets the publisher's clock come to this time, and its tasks do what they have to.
    fn pass_to(&mut self, now: Duration) {
        let passes = now.saturating_sub(self.passed);
        if passes.is_zero() {
            return;
        }
        self.passed = now;
        self.behind = true;
        {
            let _context = self.runtime.enter();
            // It moves the clock when it is first polled; what it then waits for is done by `run`.
            let advance = std::pin::pin!(tokio::time::advance(passes));
            let _ = advance.poll(&mut Context::from_waker(Waker::noop()));
        }
        self.run_tasks();
    }

    /// Lets the publisher's tasks do what they have to. Mostly there are none, and the runtime need not run for them.
    fn run_tasks(&mut self) {
        if self.runtime.metrics().num_alive_tasks() > 0 {
            self.run();
        }
    }

    /// Rings the timers that are due, and runs the tasks that can go on.
    fn run(&mut self) {
        self.behind = false;
        self.runtime.block_on(async {
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
        });
    }

    fn at(&self, then: Duration) -> std::time::Instant {
        (self.begun + (then - self.since)).into_std()
    }
}

/// Calls of the model by the tickets it gave for them.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    pub(super) waiting: BTreeMap<Ticket, (u64, Promise)>,
    /// Answers that the driver is late with.
    pub(super) late: BTreeMap<u64, (Promise, Vec<Outcome>)>,
}
