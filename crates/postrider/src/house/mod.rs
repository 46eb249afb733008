//! The composition root: from a configuration to a running process, and to its orderly end.
//!
//! [`House::build`] opens the brokers and takes the addresses; nothing runs yet, so that whatever is wrong with either is
//! said at once. [`House::start`] adds the listeners and the subscriptions, the same add that a reload uses, and
//! [`Running::end`] drains them in the order in which nothing is lost: deliveries first, while publishing goes on; then publishes; then
//! the connections; then the brokers.

mod app_health;
mod brokers;
mod drivers;
mod listeners;
mod plan;
mod topics;

use std::sync::Arc;
use std::time::{Duration, Instant};

use ::config::{Config, Loaded};
use delivery::Subscriptions;
use publish::Publisher;
use telemetry::{Metrics, Observer, Telemetry};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::failure::Failure;
use crate::signals::Signals;

use self::app_health::App;
use self::drivers::Drivers;
use self::listeners::{Desk, Faces, Listeners};

pub(crate) use self::drivers::{check, missing_drivers};
pub(crate) use self::listeners::Addresses;

/// What answers that are under way when everything else has ended may still take.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
/// What the brokers may take to let go. Everything is durable by then; a disk that hangs must not keep the process.
const DRIVER_CLOSE: Duration = Duration::from_secs(5);
/// How long after the grace the process is gone at the latest: a pod has to have so much more.
const AFTER_GRACE: Duration = Duration::from_secs(5);

/// A process, built and not yet running.
#[derive(Debug)]
pub(crate) struct House {
    config: Config,
    drivers: Drivers,
    publisher: Publisher,
    subscriptions: Subscriptions,
    specs: Vec<delivery::Spec>,
    addresses: Addresses,
    /// Taken when they are answered on.
    listeners: Option<Listeners>,
    metrics: Metrics,
    telemetry: Telemetry,
    readiness: api::Readiness,
}

impl House {
    /// Opens the brokers and takes the addresses. Runs nothing. `deliveries`: what the subscriptions are to run on.
    pub(crate) async fn build(
        loaded: Loaded,
        observers: Vec<Box<dyn Observer>>,
        deliveries: Handle,
    ) -> Result<Self, Failure> {
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        let config = loaded.config;
        let listeners = Listeners::bind(&config.listen).await?;
        let drivers = drivers::open(&config).await?;
        let metrics = Metrics::new(env!("CARGO_PKG_VERSION"));
        let telemetry = telemetry(&metrics, observers);
        let in_flight = &config.limits.publish;
        let limits = publish::Limits {
            events_max: in_flight.events.into(),
            bytes_max: in_flight.bytes.bytes(),
            ..publish::Limits::default()
        };
        let publisher = Publisher::new(limits, telemetry.clone());
        publisher.set_topics(plan::topics(&config, &drivers)?);
        let origins = plan::origins(&config)?;
        let push = delivery::Push::new(origins);
        let subscriptions = Subscriptions::new(publisher.clone(), telemetry.clone(), push, deliveries);
        let specs = plan::subscriptions(&config, &drivers)?;
        Ok(Self {
            config,
            drivers,
            publisher,
            subscriptions,
            specs,
            addresses: listeners.addresses(),
            listeners: Some(listeners),
            metrics,
            telemetry,
            readiness: api::Readiness::new(),
        })
    }

    /// Where the listeners are, with the ports that were picked.
    pub(crate) fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Adds the listeners and the subscriptions. From here on the process is to be ended by [`Running::end`].
    pub(crate) fn start(mut self) -> Result<Running, Failure> {
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        brokers::close_gates(&self.publisher, &self.drivers);
        for app in self.apps() {
            tasks.spawn(app_health::watch(app, self.subscriptions.clone(), stop.clone()));
        }
        let letters = self.specs.iter().map(|spec| {
            let letters = &spec.dead_letter;
            (spec.broker.as_str(), &letters.broker, &letters.on_broker)
        });
        let letters = topics::Letters::of(letters);
        for spec in std::mem::take(&mut self.specs) {
            self.subscriptions.add(spec).map_err(Failure::failed)?;
        }
        let faces = self.faces(&tasks, &stop);
        if let Some(listeners) = self.listeners.take() {
            listeners.serve(faces, listeners::limits(&self.config), &tasks, &stop);
        }
        self.readiness.set_started();
        let watch = brokers::Watch {
            drivers: self.drivers.clone(),
            publisher: self.publisher.clone(),
            subscriptions: self.subscriptions.clone(),
            letters,
            readiness: self.readiness.clone(),
            metrics: self.metrics.clone(),
            telemetry: self.telemetry.clone(),
            wait: self.config.readiness.broker_wait.get(),
            gated: self.config.readiness.gate == config::Gate::Broker,
        };
        let watching = CancellationToken::new();
        let watch = tasks.spawn(watch.run(watching.clone()));
        Ok(Running { house: self, tasks, stop, watching, watch })
    }

    fn faces(&self, tasks: &TaskTracker, stop: &CancellationToken) -> Faces {
        let settings = api::Settings {
            service: self.config.service.clone(),
            hosts: self.config.listen.hosts.clone(),
            limits: listeners::limits(&self.config),
        };
        let desk = Desk {
            service: self.config.service.clone(),
            drivers: self.drivers.clone(),
            redacted: self.config.redacted(),
            subscriptions: self.subscriptions.clone(),
            tasks: tasks.clone(),
        };
        let metrics = self.metrics.clone();
        Faces {
            app: api::App::new(self.publisher.clone(), self.telemetry.clone(), settings, tasks.clone()),
            admin: api::Admin::new(
                Arc::new(desk),
                self.publisher.clone(),
                self.subscriptions.clone(),
                self.readiness.clone(),
                &self.config.listen.hosts,
                stop.clone(),
            ),
            health: api::Health::new(self.readiness.clone(), move || metrics.encode()),
        }
    }

    /// The apps whose health gates deliveries, each once.
    fn apps(&self) -> Vec<App> {
        let mut apps: Vec<App> = Vec::new();
        for subscription in self.config.subscriptions.values() {
            if let Some(app) = self.config.app_of(subscription).map(App::new)
                && !apps.iter().any(|known| known.name == app.name)
            {
                apps.push(app);
            }
        }
        apps
    }
}

/// A process that runs.
#[derive(Debug)]
pub(crate) struct Running {
    house: House,
    tasks: TaskTracker,
    stop: CancellationToken,
    /// Ends the watch over the brokers, before the rest.
    watching: CancellationToken,
    watch: JoinHandle<()>,
}

impl Running {
    /// Returns when the process takes events and delivers them, or has waited long enough for its brokers.
    pub(crate) async fn ready(&self) {
        const EVERY: Duration = Duration::from_millis(5);
        while !self.house.readiness.is_ready() {
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Ends in good order, within the configured grace, or at once on another signal: what was not settled by then
    /// comes again, as after a crash.
    pub(crate) async fn end(self, why: &str, signals: &mut Signals) -> Result<(), Failure> {
        tracing::info!(why, "stopping");
        tokio::select! {
            () = self.wind_down() => Ok(()),
            signal = signals.next() => Err(Failure::failed(format!(
                "ended at once by a second signal ({signal}); what was in flight comes again"
            ))),
        }
    }

    async fn wind_down(self) {
        let house = self.house;
        let deadline = Instant::now() + house.config.shutdown.grace.get();
        // The watch says when the process is ready; it must not say so again.
        self.watching.cancel();
        if self.watch.await.is_err() {
            tracing::error!("the watch over the brokers had failed");
        }
        house.readiness.set_ready(false);
        // Publishing goes on meanwhile: the app may have last events to send.
        house.subscriptions.drain_all(deadline).await;
        house.publisher.close(deadline.max(Instant::now() + LAST_ANSWERS)).await;
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(LAST_ANSWERS, self.tasks.wait()).await.is_err() {
            tracing::warn!("some connections were still open at the end and are closed");
        }
        let now = Instant::now();
        let last = (now + DRIVER_CLOSE).min((deadline + AFTER_GRACE).max(now + LAST_ANSWERS));
        let closing = house.drivers.iter().map(async |(name, driver)| {
            if tokio::time::timeout_at(last.into(), driver.close()).await.is_err() {
                tracing::warn!(broker = name, "closing took too long; what was settled last may come again");
            }
        });
        futures::future::join_all(closing).await;
        tracing::info!("stopped");
    }
}

fn telemetry(metrics: &Metrics, mut observers: Vec<Box<dyn Observer>>) -> Telemetry {
    // Whoever brings an observer of its own (`dev`) shows what happens itself.
    if observers.is_empty() {
        observers.push(Box::new(telemetry::Log::new()));
    }
    observers.push(Box::new(metrics.clone()));
    Telemetry::new(observers)
}
