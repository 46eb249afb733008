//! What a subscription's task and the handles to it both see.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::letters::Choice;
use crate::{Error, Spec, Status};

/// The reason that status gives for an operator's pause.
pub(crate) const PAUSED_BY_OPERATOR: &str = "paused by an operator";

/// One subscription's face to the rest of the process. The task never waits for a lock of it: each is held for a few
/// loads and stores.
#[derive(Debug)]
pub(crate) struct Shared {
    spec: Mutex<Arc<Spec>>,
    status: Mutex<Status>,
    ensured: AtomicBool,
    control: Mutex<Control>,
    /// Counts changes of `control`, so that the task looks at it only when there is news.
    version: AtomicU64,
    /// What of `control` the status takes into account.
    reported: Mutex<Control>,
    waker: AtomicWaker,
    /// Read by attempts when a connection is refused.
    pub(crate) app_up: Arc<AtomicBool>,
    /// Rings for everybody who waits for a subscription to be ensured.
    changed: Arc<Notify>,
}

/// What operators and the app's health want of this process's subscription. It outlives a restart of the task.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Control {
    pub(crate) paused: bool,
    /// How often somebody said resume: that also ends a pause which an answer began.
    pub(crate) resumes: u64,
    pub(crate) app_up: bool,
}

/// What is asked of a subscription's task, to be answered when it is done.
#[derive(Debug)]
pub(crate) enum Command {
    Replace { spec: Arc<Spec>, done: oneshot::Sender<()> },
    Redrive { choice: Choice, done: oneshot::Sender<Result<(), Error>> },
    Drain { deadline: Instant, done: oneshot::Sender<()> },
}

impl Shared {
    pub(crate) fn new(spec: Arc<Spec>, app_up: bool, changed: Arc<Notify>) -> Self {
        let control = Control { paused: false, resumes: 0, app_up };
        Self {
            status: Mutex::new(initial(&spec)),
            spec: Mutex::new(spec),
            ensured: AtomicBool::new(false),
            control: Mutex::new(control),
            reported: Mutex::new(control),
            version: AtomicU64::new(0),
            waker: AtomicWaker::new(),
            app_up: Arc::new(AtomicBool::new(app_up)),
            changed,
        }
    }

    pub(crate) fn spec(&self) -> Arc<Spec> {
        self.spec.lock().clone()
    }

    pub(crate) fn set_spec(&self, spec: &Arc<Spec>) {
        *self.spec.lock() = spec.clone();
        self.update(|status| {
            let fresh = initial(spec);
            status.durable_name = fresh.durable_name;
            status.topic = fresh.topic;
            status.broker = fresh.broker;
            status.to = fresh.to;
        });
    }

    /// As the task reported it last, except that a word which the task has not taken up yet shows already.
    pub(crate) fn status(&self) -> Status {
        let mut status = self.status.lock().clone();
        let (wanted, reported) = (self.control(), *self.reported.lock());
        if wanted.paused && status.state == "running" {
            "paused".clone_into(&mut status.state);
            status.reason = Some(PAUSED_BY_OPERATOR.to_owned());
        } else if !wanted.paused && wanted.resumes != reported.resumes && status.state == "paused" {
            "running".clone_into(&mut status.state);
            status.reason = None;
        }
        status
    }

    /// What the task says, having heeded this.
    pub(crate) fn report(&self, heeded: Control, change: impl FnOnce(&mut Status)) {
        self.update(change);
        *self.reported.lock() = heeded;
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.status.lock());
    }

    pub(crate) fn set_state(&self, state: &str, reason: Option<String>) {
        self.update(|status| {
            state.clone_into(&mut status.state);
            status.reason = reason;
        });
        self.changed.notify_waiters();
    }

    /// Tells that no source is open, and why.
    pub(crate) fn set_closed(&self, state: &str, reason: String) {
        self.update(Status::let_go);
        self.set_state(state, Some(reason));
    }

    pub(crate) fn set_drained(&self) {
        self.update(Status::drain);
        self.changed.notify_waiters();
    }

    pub(crate) fn is_ensured(&self) -> bool {
        self.ensured.load(Ordering::Acquire)
    }

    pub(crate) fn set_ensured(&self, ensured: bool) {
        self.ensured.store(ensured, Ordering::Release);
        self.changed.notify_waiters();
    }

    pub(crate) fn control(&self) -> Control {
        *self.control.lock()
    }

    /// Changes what is wanted and wakes the task.
    pub(crate) fn steer(&self, change: impl FnOnce(&mut Control)) {
        let mut control = self.control.lock();
        change(&mut control);
        // Under the lock, so that the last to change it is also the last to be heard.
        self.app_up.store(control.app_up, Ordering::Relaxed);
        self.version.fetch_add(1, Ordering::Release);
        drop(control);
        self.waker.wake();
    }

    /// The count of changes of `control`; the task is woken at the next one.
    pub(crate) fn watch(&self, waker: &std::task::Waker) -> u64 {
        self.waker.register(waker);
        self.version.load(Ordering::Acquire)
    }
}

fn initial(spec: &Spec) -> Status {
    Status {
        name: spec.name.clone(),
        durable_name: spec.durable.name.clone(),
        topic: spec.topic.clone(),
        broker: spec.broker.clone(),
        to: spec.webhook.uri.to_string(),
        state: "pending".into(),
        reason: Some("starting".into()),
        lag: 0,
        oldest_age_ms: None,
        held: 0,
        in_flight: 0,
        retrying: 0,
        window: 0,
        breaker: "closed".into(),
        delivered: 0,
        dead_lettered: 0,
        gaps: 0,
        stuck_keys: Vec::new(),
        parts: Vec::new(),
    }
}
