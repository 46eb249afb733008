//! The composition root: from a configuration to a running process, and to its orderly end.
//!
//! [`House::build`] opens the brokers and takes the addresses; nothing runs yet, so that whatever is wrong with either is
//! said at once. [`House::run`] adds the listeners and the subscriptions, the same add that a reload uses, and at the end
//! drains them in the order in which nothing is lost: deliveries first, while publishing goes on; then publishes; then
//! the connections; then the brokers.

mod app_health;
mod brokers;
mod drivers;
mod listeners;
mod plan;

use std::sync::Arc;
use std::time::{Duration, Instant};

use ::config::{Config, Loaded};
use delivery::Subscriptions;
use publish::Publisher;
use telemetry::{Metrics, Observer, Telemetry};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::failure::Failure;

use self::app_health::App;
use self::drivers::Drivers;
use self::listeners::{Desk, Faces, Listeners};

pub(crate) use self::drivers::supported;
pub(crate) use self::listeners::Addresses;

/// What answers that are under way when everything else has ended may still take.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

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
    /// Opens the brokers and takes the addresses. Runs nothing.
    pub(crate) async fn build(loaded: Loaded, observers: Vec<Box<dyn Observer>>) -> Result<Self, Failure> {
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        let config = loaded.config;
        let listeners = Listeners::bind(&config.listen).await?;
        let drivers = drivers::open(&config)?;
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
        let subscriptions =
            Subscriptions::new(publisher.clone(), telemetry.clone(), delivery::Push::new(origins));
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

    /// Runs until `ended` says why to stop, then ends in good order, within the configured grace.
    pub(crate) async fn run(mut self, ended: impl Future<Output = String>) -> Result<(), Failure> {
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        self.start(&tasks, &stop)?;
        let why = ended.await;
        tracing::info!(why, "stopping");
        self.end(&tasks, &stop).await;
        Ok(())
    }

    fn start(&mut self, tasks: &TaskTracker, stop: &CancellationToken) -> Result<(), Failure> {
        brokers::close_gates(&self.publisher, &self.drivers);
        for app in self.apps() {
            tasks.spawn(app_health::watch(app, self.subscriptions.clone(), stop.clone()));
        }
        for spec in &self.specs {
            self.subscriptions.add(spec.clone()).map_err(Failure::failed)?;
        }
        let faces = self.faces(tasks, stop);
        if let Some(listeners) = self.listeners.take() {
            listeners.serve(faces, listeners::limits(&self.config), tasks, stop);
        }
        self.readiness.set_started();
        let watch = brokers::Watch {
            drivers: self.drivers.clone(),
            publisher: self.publisher.clone(),
            subscriptions: self.subscriptions.clone(),
            readiness: self.readiness.clone(),
            metrics: self.metrics.clone(),
            telemetry: self.telemetry.clone(),
            wait: self.config.readiness.broker_wait.get(),
            gated: self.config.readiness.gate == config::Gate::Broker,
        };
        tasks.spawn(watch.run(stop.clone()));
        Ok(())
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

    async fn end(self, tasks: &TaskTracker, stop: &CancellationToken) {
        let deadline = Instant::now() + self.config.shutdown.grace.get();
        self.readiness.set_ready(false);
        // Publishing goes on meanwhile: the app may have last events to send.
        self.subscriptions.drain_all(deadline).await;
        self.publisher.close(deadline.max(Instant::now() + LAST_ANSWERS)).await;
        stop.cancel();
        tasks.close();
        if tokio::time::timeout(LAST_ANSWERS, tasks.wait()).await.is_err() {
            tracing::warn!("some connections were still open at the end and are closed");
        }
        for (name, driver) in &self.drivers {
            driver.close().await;
            tracing::debug!(broker = name, "closed");
        }
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
