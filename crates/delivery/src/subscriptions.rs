use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use publish::Publisher;
use telemetry::Telemetry;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio_util::task::TaskTracker;

use crate::attempt::Endpoint;
use crate::letters::{self, LetterFilter, Letters};
use crate::life::{Life, Tools};
use crate::push::Push;
use crate::shared::{Command, Shared};
use crate::{Error, Spec, Status};

/// Commands that may wait for a subscription's task.
const COMMANDS_MAX: usize = 16;
/// What a drain may take beyond its deadline before the task is ended by force.
const FORCE_AFTER: Duration = Duration::from_secs(3);

/// The subscriptions of this process. Cheap to clone; dropping the last clone ends them all at once.
#[derive(Clone, Debug)]
pub struct Subscriptions {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    tools: Tools,
    tasks: TaskTracker,
    runtime: Handle,
    known: Mutex<BTreeMap<String, Known>>,
    /// What is known of the apps that subscriptions name.
    apps: Mutex<HashMap<String, bool>>,
    changed: Arc<Notify>,
}

/// A subscription by its name.
#[derive(Debug)]
enum Known {
    Running(Running),
    /// As it was last seen. It is shown until it is added again, so that an operator who drained sees that it is.
    Drained(Box<Status>),
}

impl Known {
    fn running(&self) -> Option<&Running> {
        match self {
            Self::Running(running) => Some(running),
            Self::Drained(_) => None,
        }
    }

    fn status(&self) -> Status {
        match self {
            Self::Running(running) => running.shared.status(),
            Self::Drained(status) => (**status).clone(),
        }
    }
}

#[derive(Clone, Debug)]
struct Running {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    task: AbortHandle,
}

impl Subscriptions {
    /// None yet. `runtime`: what they will run on, all on one thread at best, for each connection is driven by its
    /// subscription's task, which any other thread that waits for sockets would only be woken for.
    pub fn new(publisher: Publisher, telemetry: Telemetry, push: Push, runtime: Handle) -> Self {
        Self {
            inner: Arc::new(Inner {
                tools: Tools { publisher, telemetry, push },
                tasks: TaskTracker::new(),
                runtime,
                known: Mutex::default(),
                apps: Mutex::default(),
                changed: Arc::default(),
            }),
        }
    }

    /// Starts a subscription: ensures it on its broker (retrying for ever while that is unavailable, `pending` until
    /// then), opens it, delivers.
    pub fn add(&self, spec: Spec) -> Result<(), Error> {
        self.check(&spec)?;
        let mut known = self.inner.known.lock();
        if known.get(&spec.name).is_some_and(|known| known.running().is_some()) {
            return Err(Error::Duplicate(spec.name));
        }
        let app_up = self.is_up(spec.app.as_deref());
        let name = spec.name.clone();
        let spec = Arc::new(spec);
        let shared = Arc::new(Shared::new(spec.clone(), app_up, self.inner.changed.clone()));
        let (sender, commands) = mpsc::channel(COMMANDS_MAX);
        let life = Life {
            shared: shared.clone(),
            tools: self.inner.tools.clone(),
            spec,
            commands,
            drain: None,
            waiting: Vec::new(),
            opened_at: None,
        };
        let task = self.inner.tasks.spawn_on(life.run(), &self.inner.runtime).abort_handle();
        known.insert(name, Known::Running(Running { shared, commands: sender, task }));
        Ok(())
    }

    /// Changes a running subscription; deliveries in flight end as they began. Where its place on the broker changes
    /// (durable name, topic, broker, dead-letter topic), it is drained there and opened here. Returns when the new
    /// configuration has been taken over. Cancel-safe: once asked, it happens.
    pub async fn replace(&self, spec: Spec) -> Result<(), Error> {
        self.check(&spec)?;
        let running = self.find(&spec.name)?;
        let (name, app) = (spec.name.clone(), spec.app.clone());
        let spec = Arc::new(spec);
        self.ask(&name, &running, |done| Command::Replace { spec, done }).await?;
        // What the app is now: it may have come up while this waited.
        running.shared.steer(|control| control.app_up = self.is_up(app.as_deref()));
        Ok(())
    }

    /// An app of which nothing is known yet is not up: it is to be seen so first.
    fn is_up(&self, app: Option<&str>) -> bool {
        app.is_none_or(|app| self.inner.apps.lock().get(app) == Some(&true))
    }

    /// Whether its webhook can be delivered to at all.
    fn check(&self, spec: &Spec) -> Result<(), Error> {
        let tools = &self.inner.tools;
        let (telemetry, publisher) = (tools.telemetry.clone(), tools.publisher.clone());
        Endpoint::new(spec, &tools.push, telemetry, publisher, Arc::default())
            .map(drop)
            .map_err(|reason| Error::Webhook { name: spec.name.clone(), reason })
    }

    /// Ends a subscription: open attempts may finish until the deadline, the rest is released, all is flushed. It stays
    /// listed as `drained` until it is added again; to drain it again is to do nothing.
    /// Cancel-safe: once asked, it happens.
    pub async fn drain(&self, name: &str, deadline: Instant) -> Result<(), Error> {
        let running = match self.find(name) {
            Err(Error::NotRunning { .. }) => return Ok(()),
            found => found?,
        };
        let force = (deadline + FORCE_AFTER).max(Instant::now() + FORCE_AFTER);
        let asked = self.ask(name, &running, |done| Command::Drain { deadline: deadline.into(), done });
        // A task that has ended already is drained.
        if tokio::time::timeout_at(force.into(), asked).await.is_err() {
            tracing::error!(
                subscription = name,
                "draining hangs; ended by force, what was not flushed comes again"
            );
            running.task.abort();
        }
        self.retire(name, &running);
        Ok(())
    }

    /// Keeps what is to be shown of a subscription that has ended.
    fn retire(&self, name: &str, ended: &Running) {
        // What it said last, should it have been ended by force, was said before its end.
        let mut status = ended.shared.status();
        status.drain();
        let mut known = self.inner.known.lock();
        // Two may have drained it, and it may have been added again since the first.
        if let Some(known) = known.get_mut(name)
            && known.running().is_some_and(|running| Arc::ptr_eq(&running.shared, &ended.shared))
        {
            *known = Known::Drained(Box::new(status));
        }
        drop(known);
        self.inner.changed.notify_waiters();
    }

    /// Drains all of them at once.
    pub async fn drain_all(&self, deadline: Instant) {
        let names: Vec<String> = self.inner.known.lock().keys().cloned().collect();
        let drains = names.iter().map(|name| self.drain(name, deadline));
        for drained in futures::future::join_all(drains).await {
            // Somebody else may have drained one meanwhile.
            drop(drained);
        }
        self.inner.tasks.close();
    }

    /// Whether every subscription has been ensured on its broker, those aside that were drained.
    pub fn all_ensured(&self) -> bool {
        self.inner.known.lock().values().filter_map(Known::running).all(|running| running.shared.is_ensured())
    }

    /// Returns when every subscription has been ensured on its broker. Cancel-safe.
    pub async fn ensured(&self) {
        loop {
            let changed = self.inner.changed.notified();
            if self.all_ensured() {
                return;
            }
            changed.await;
        }
    }

    /// Ends when a subscription has changed its state or was ensured since this call, awaited by then or not. Cancel-safe.
    pub fn changed(&self) -> impl Future<Output = ()> {
        self.inner.changed.notified()
    }

    /// The brokers on which not every subscription has been ensured yet, and why the first of each has not.
    pub fn pending_brokers(&self) -> BTreeMap<String, String> {
        let known = self.inner.known.lock();
        let mut pending = BTreeMap::new();
        let running = known.values().filter_map(Known::running);
        for shared in running.map(|running| &running.shared).filter(|shared| !shared.is_ensured()) {
            let status = shared.status();
            pending.entry(status.broker).or_insert_with(|| {
                let reason = status.reason.unwrap_or(status.state);
                format!("subscription {}: {reason}", status.name)
            });
        }
        pending
    }

    /// All of them, drained ones included, by name; at most a second old, and 100 ms while something happens. An
    /// operator's pause or resume shows at once.
    pub fn list(&self) -> Vec<Status> {
        self.inner.known.lock().values().map(Known::status).collect()
    }

    pub fn status(&self, name: &str) -> Result<Status, Error> {
        let known = self.inner.known.lock();
        known.get(name).map(Known::status).ok_or_else(|| Error::Unknown(name.to_owned()))
    }

    /// Stops this process's deliveries of the subscription, until resumed. Open attempts end by themselves.
    pub fn pause(&self, name: &str) -> Result<(), Error> {
        self.find(name)?.shared.steer(|control| control.paused = true);
        Ok(())
    }

    /// Ends a pause, whether an operator or an answer began it.
    pub fn resume(&self, name: &str) -> Result<(), Error> {
        self.find(name)?.shared.steer(|control| {
            control.paused = false;
            control.resumes += 1;
        });
        Ok(())
    }

    /// The dead letters that stand. Reads all of them to count and group them.
    pub async fn letters(&self, name: &str, filter: &LetterFilter) -> Result<Letters, Error> {
        let spec = self.find(name)?.shared.spec();
        letters::list(&spec, filter).await
    }

    /// Delivers dead letters again; returns how many were asked for. Those written later stay, and so do those that the
    /// filter leaves out. Attempts count anew; order is not restored.
    pub async fn redrive(&self, name: &str, filter: &LetterFilter) -> Result<u64, Error> {
        let running = self.find(name)?;
        let (choice, count) = letters::choose(&running.shared.spec(), filter).await?;
        if count > 0 {
            self.ask(name, &running, |done| Command::Redrive { choice, done }).await??;
        }
        Ok(count)
    }

    /// Removes dead letters; returns how many.
    pub async fn purge(&self, name: &str, filter: &LetterFilter) -> Result<u64, Error> {
        let spec = self.find(name)?.shared.spec();
        letters::purge(&spec, filter).await
    }

    /// Moves the subscription's cursor.
    pub async fn seek(&self, name: &str, to: broker::Start) -> Result<(), Error> {
        let spec = self.find(name)?.shared.spec();
        Ok(spec.driver.seek(&spec.durable.name, to).await?)
    }

    /// The state of an app that subscriptions name (`Spec::app`).
    pub fn set_app(&self, app: &str, up: bool) {
        self.inner.apps.lock().insert(app.to_owned(), up);
        for running in self.inner.known.lock().values().filter_map(Known::running) {
            if running.shared.spec().app.as_deref() == Some(app) {
                running.shared.steer(|control| control.app_up = up);
            }
        }
    }

    /// The subscription, unless it has been drained.
    fn find(&self, name: &str) -> Result<Running, Error> {
        match self.inner.known.lock().get(name) {
            Some(Known::Running(running)) => Ok(running.clone()),
            Some(Known::Drained(status)) => {
                Err(Error::NotRunning { name: name.to_owned(), state: status.state.clone() })
            }
            None => Err(Error::Unknown(name.to_owned())),
        }
    }

    /// Sends a command and awaits its answer.
    async fn ask<T>(
        &self,
        name: &str,
        running: &Running,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, Error> {
        let (done, answer) = oneshot::channel();
        let gone = || Error::NotRunning { name: name.to_owned(), state: "it has ended".to_owned() };
        running.commands.send(command(done)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }
}
