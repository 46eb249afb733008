//! What is watched of the brokers: whether publishes may begin, whether the process is ready, how far behind it is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::Health;
use delivery::Subscriptions;
use publish::Publisher;
use telemetry::{Happened, Metrics, Telemetry};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::drivers::Drivers;
use super::topics::{Letters, Topics};

/// How often health and lag are looked at.
const EVERY: Duration = Duration::from_secs(1);

/// No publish is taken before the subscriptions exist: from then on nothing accepted can be missed by them.
pub(super) fn close_gates(publisher: &Publisher, drivers: &Drivers) {
    for name in drivers.keys() {
        publisher.set_pending(name, Some("its topics and subscriptions are being ensured".into()));
    }
}

#[derive(Debug)]
pub(super) struct Watch {
    pub(super) drivers: Drivers,
    pub(super) publisher: Publisher,
    pub(super) subscriptions: Subscriptions,
    pub(super) letters: Letters,
    pub(super) readiness: api::Readiness,
    pub(super) metrics: Metrics,
    pub(super) telemetry: Telemetry,
    /// How long readiness waits for a broker that cannot be reached.
    pub(super) wait: Duration,
    /// Whether a later outage makes the process unready.
    pub(super) gated: bool,
}

impl Watch {
    /// Opens the gates as topics and subscriptions come to exist, then keeps watching until stopped.
    pub(super) async fn run(self, stop: CancellationToken) {
        tokio::select! {
            () = self.watch() => {}
            () = stop.cancelled() => {}
        }
    }

    async fn watch(self) {
        let began = Instant::now();
        // Dropped with this future, and its tasks with it.
        let mut ensuring = JoinSet::new();
        let mut topics = self.ensure_topics(&mut ensuring);
        let mut down: BTreeMap<String, bool> = BTreeMap::new();
        let mut ready = false;
        loop {
            // Made before looking: what changes while we look is seen in the next round.
            let changed = self.subscriptions.changed();
            let pending = self.open_gates(topics.borrow_and_update().clone());
            self.look_at_health(&mut down);
            self.look_at_lag();
            ready |= pending == 0 || began.elapsed() >= self.wait;
            let any_down = down.values().any(|down| *down);
            self.readiness.set_ready(ready && !(self.gated && any_down));
            // Readiness is not to wait a moment longer than it has to.
            let pause = if ready { EVERY } else { EVERY.min(self.wait.saturating_sub(began.elapsed())) };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = changed => {}
                Ok(()) = topics.changed() => {}
            }
        }
    }

    /// Creates the configured topics, so that events can be published where nobody subscribes: a task for each broker,
    /// since one that hangs is to hold up neither the others nor the watch. Dead-letter topics are the subscriptions'.
    fn ensure_topics(&self, tasks: &mut JoinSet<()>) -> watch::Receiver<BTreeMap<String, String>> {
        let topics = Topics::of(self.drivers.keys());
        for (name, driver) in &self.drivers {
            let (publisher, letters, broker) = (self.publisher.clone(), self.letters.clone(), name.clone());
            let names = move || {
                let all = publisher.topics();
                let here = all.iter().filter(|topic| *topic.broker == *broker);
                let here = here.filter(|topic| !letters.has(&topic.broker, &topic.on_broker));
                here.map(|topic| topic.on_broker.clone()).collect()
            };
            let driver = driver.clone();
            let ensure = move |topic: Arc<str>| {
                let driver = driver.clone();
                async move { driver.ensure_topic(&topic).await }
            };
            tasks.spawn(topics.clone().ensure(name.clone(), names, ensure));
        }
        topics.watch()
    }

    /// Returns how many brokers are still pending.
    fn open_gates(&self, without_topics: BTreeMap<String, String>) -> usize {
        let mut pending = self.subscriptions.pending_brokers();
        for (name, why) in without_topics {
            pending.entry(name).and_modify(|other| *other = format!("{why}; {other}")).or_insert(why);
        }
        for name in self.drivers.keys() {
            let why = pending.get(name).cloned();
            let detail = why.clone().unwrap_or_else(|| "all topics and subscriptions exist".into());
            self.readiness.set_check(&format!("broker {name}"), why.is_none(), detail);
            self.publisher.set_pending(name, why);
        }
        pending.len()
    }

    fn look_at_health(&self, down: &mut BTreeMap<String, bool>) {
        for (name, driver) in &self.drivers {
            let health = driver.health();
            let is_down = matches!(health, Health::Down { .. });
            self.metrics.set_broker_up(name, !is_down);
            if down.insert(name.clone(), is_down).unwrap_or(false) != is_down {
                let reason = match &health {
                    Health::Down { reason, .. } => Some(reason.as_str()),
                    Health::Up => None,
                };
                self.telemetry.tell(Happened::Broker { broker: name, reason });
            }
        }
    }

    fn look_at_lag(&self) {
        for status in self.subscriptions.list() {
            if status.state == "drained" {
                // A gauge that nobody sets any more says nothing true.
                self.metrics.forget_subscription(&status.name);
                continue;
            }
            let oldest = status.oldest_age_ms.map(Duration::from_millis);
            self.metrics.set_lag(&status.name, status.lag, oldest);
            self.metrics.set_held(&status.name, status.held, status.retrying);
        }
    }
}
