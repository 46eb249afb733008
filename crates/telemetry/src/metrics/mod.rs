//! Prometheus metrics, counted from what happens.
//!
//! Names follow OpenTelemetry's messaging conventions, translated as its Prometheus exporter does (dots to underscores,
//! unit and `_total` as suffixes); what those lack is named `postrider_…`. Labels are configured names or enums, never
//! user input, so that the number of series is bounded by the configuration.

mod families;
mod handles;

use std::sync::Arc;
use std::time::Duration;

use families::Families;
use handles::{Subscription, Table, Topic};
use prometheus_client::registry::Registry;

use crate::{AttemptResult, Happened, Observer};

/// The content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Counts what happens. Cheap to clone: one clone observes, another is scraped.
#[derive(Clone, Debug)]
pub struct Metrics {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    registry: Registry,
    families: Families,
    topics: Table<Topic>,
    subscriptions: Table<Subscription>,
}

impl Metrics {
    /// `version` is what `postrider_build_info` tells.
    pub fn new(version: &str) -> Self {
        let mut registry = Registry::default();
        let families = Families::register(&mut registry, version);
        let (topics, subscriptions) = Default::default();
        Self { inner: Arc::new(Inner { registry, families, topics, subscriptions }) }
    }

    /// All metrics in the OpenMetrics text format, which Prometheus reads.
    pub fn encode(&self) -> String {
        let mut text = String::with_capacity(16 << 10);
        prometheus_client::encoding::text::encode(&mut text, &self.inner.registry)
            .expect("writing to a string cannot fail");
        text
    }

    /// How far a subscription is behind; set right before a scrape is answered.
    pub fn set_lag(&self, subscription: &str, events: u64, oldest: Option<Duration>) {
        self.inner.subscription(subscription, |s| {
            s.lag.set(clamp(events));
            s.oldest_age.set(oldest.unwrap_or_default().as_secs_f64());
        });
    }

    /// How many deliveries a subscription holds, and how many of them wait for a retry.
    pub fn set_held(&self, subscription: &str, held: u32, retrying: u32) {
        self.inner.subscription(subscription, |s| {
            s.held.set(held.into());
            s.retrying.set(retrying.into());
        });
    }

    /// Whether a broker can be reached.
    pub fn set_broker_up(&self, broker: &str, up: bool) {
        self.inner.families.broker_up(broker).set(up.into());
    }

    /// Takes the gauges of a subscription that has gone off the page; its counters stay.
    pub fn forget_subscription(&self, subscription: &str) {
        self.inner.subscriptions.forget(subscription);
        self.inner.families.forget_subscription(subscription);
    }
}

impl Inner {
    fn topic<R>(&self, topic: &str, broker: &str, with: impl FnOnce(&Topic) -> R) {
        // A topic's series carry its broker, which a reload may change: the handles are those of the pair.
        self.topics.with(topic, broker, || self.families.topic(topic, broker), with);
    }

    fn subscription<R>(&self, name: &str, with: impl FnOnce(&Subscription) -> R) {
        self.subscriptions.with(name, "", || self.families.subscription(name), with);
    }
}

impl Observer for Metrics {
    fn observe(&self, happened: &Happened<'_>) {
        let inner = &*self.inner;
        match *happened {
            Happened::Accepted { topic, broker, events, bytes, latency, .. } => {
                inner.topic(topic, broker, |t| {
                    t.sent.inc_by(events);
                    t.sent_bytes.inc_by(bytes);
                    t.send_duration.observe(latency.as_secs_f64());
                });
            }
            Happened::Refused { topic, code, events, .. } => {
                inner.families.refused(topic, code).inc_by(events);
            }
            Happened::Unknown { topic, broker, events, .. } => {
                inner.topic(topic, broker, |t| t.unknown.inc_by(events));
            }
            Happened::Broker { broker, reason } => self.set_broker_up(broker, reason.is_none()),
            _ => inner.delivery(happened),
        }
    }
}

impl Inner {
    fn delivery(&self, happened: &Happened<'_>) {
        match *happened {
            Happened::AttemptBegun { subscription, .. } => {
                self.subscription(subscription, |s| s.in_flight.inc());
            }
            Happened::AttemptEnded { subscription, result, latency, .. } => {
                self.subscription(subscription, |s| {
                    s.in_flight.dec();
                    let histogram = match result {
                        AttemptResult::Done => &s.done,
                        AttemptResult::Retry => &s.retry,
                        AttemptResult::DeadLetter => &s.dead_letter,
                        AttemptResult::Pause => &s.pause,
                        AttemptResult::Abandoned => &s.abandoned,
                    };
                    histogram.observe(latency.as_secs_f64());
                });
            }
            Happened::Settled { subscription, events, age } => {
                self.subscription(subscription, |s| {
                    s.consumed.inc_by(events.into());
                    s.age.observe(age.as_secs_f64());
                });
            }
            Happened::DeadLettered { subscription, reason, .. } => {
                self.families.dead_lettered(subscription, reason).inc();
            }
            Happened::DeadLetterFailed { subscription, .. } => {
                self.subscription(subscription, |s| s.dead_letter_failures.inc());
            }
            Happened::ReplyDropped { subscription, .. } => {
                self.subscription(subscription, |s| s.dropped_replies.inc());
            }
            _ => self.state(happened),
        }
    }

    fn state(&self, happened: &Happened<'_>) {
        match *happened {
            Happened::Opened { subscription, window } => {
                self.subscription(subscription, |s| {
                    for gauge in [&s.breaker_open, &s.paused, &s.stuck] {
                        gauge.set(0);
                    }
                    s.window.set(window.into());
                });
            }
            Happened::BreakerOpened { subscription, .. } => {
                self.subscription(subscription, |s| {
                    s.breaker_open.set(1);
                    s.breaker_openings.inc();
                });
            }
            Happened::BreakerClosed { subscription } => {
                self.subscription(subscription, |s| s.breaker_open.set(0));
            }
            Happened::Held { subscription, .. } => {
                self.subscription(subscription, |s| s.holds.inc());
            }
            Happened::Paused { subscription, by } => {
                self.subscription(subscription, |s| {
                    s.paused.set(1);
                    if by == "answer" {
                        // From now on the pause probes, and no breaker.
                        s.breaker_open.set(0);
                    }
                });
            }
            Happened::Resumed { subscription } => {
                self.subscription(subscription, |s| s.paused.set(0));
            }
            Happened::Window { subscription, attempts } => {
                self.subscription(subscription, |s| s.window.set(attempts.into()));
            }
            Happened::Stuck { subscription, events, .. } => {
                self.subscription(subscription, |s| s.stuck.set(events.into()));
            }
            Happened::Gap { subscription, events, .. } => {
                self.subscription(subscription, |s| {
                    s.gaps.inc();
                    s.gap_events.inc_by(events.unwrap_or(0));
                });
            }
            _ => {}
        }
    }
}

fn clamp(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
