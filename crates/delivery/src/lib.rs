//! The engine's shell: a subscription's sources, its push client, its timers and its dead letters.
//!
//! [`Subscriptions`] holds what this process delivers. Start-up, reload and shutdown are the same three steps: add,
//! replace, drain.

use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::Driver;
use serde::{Deserialize, Serialize};

/// Everything that one subscription needs to run.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Its name in the configuration.
    pub name: String,
    /// Its durable name, topic and start, on the broker.
    pub durable: broker::Subscription,
    /// The logical topic, for `postrider-topic` and dead letters.
    pub topic: String,
    /// The broker's name in the configuration, and its driver.
    pub broker: String,
    pub driver: Arc<dyn Driver>,
    pub webhook: Webhook,
    pub policy: engine::Policy,
    /// Where dead letters go.
    pub dead_letter: publish::Topic,
    /// Where an event in a webhook's answer is published before the delivery is done (a logical topic).
    pub reply_topic: Option<String>,
    /// The app whose health gates deliveries, where one is configured.
    pub app: Option<String>,
}

/// The endpoint and how it is spoken to.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Absolute `http` URI (TLS comes with identity).
    pub uri: http::Uri,
    pub mode: Mode,
    pub encoding: event::http::Encoding,
    pub timeout: Duration,
    /// Overrides of the answer table, by status.
    pub answers: Vec<(u16, Answer)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Binary,
    Structured,
    /// `application/cloudevents-batch+json`, at most so many events.
    Batch { events: u32 },
    /// The data alone, with its content type and Postrider's headers.
    Raw,
}

/// What an override makes of a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    Done,
    Retry,
    RetryEvent,
    DeadLetter,
    Pause,
}

/// A subscription as `/v1/subscriptions` shows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    pub name: String,
    pub durable_name: String,
    pub topic: String,
    pub broker: String,
    pub to: String,
    /// `pending`, `running`, `paused`, `draining`, `failed`.
    pub state: String,
    /// Why it is pending, paused or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub lag: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_age_ms: Option<u64>,
    pub held: u32,
    pub in_flight: u32,
    pub retrying: u32,
    pub window: u32,
    /// `closed`, `open`, `probing`.
    pub breaker: String,
    pub delivered: u64,
    pub dead_lettered: u64,
    pub gaps: u64,
    /// Keys whose head has been retried longest, at most ten.
    pub stuck_keys: Vec<StuckKey>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StuckKey {
    pub key: String,
    pub attempts: u32,
    pub waiting: u32,
    /// The last answer.
    pub last: String,
}

/// Which dead letters.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LetterFilter {
    pub id: Option<String>,
    pub key: Option<String>,
    pub reason: Option<String>,
    pub status: Option<u16>,
    /// Skip letters before this position; the next page of an answer.
    pub from: Option<String>,
    pub limit: Option<usize>,
}

/// The answer of `GET …/dead-letters`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Letters {
    pub total: u64,
    pub groups: Vec<LetterGroup>,
    pub letters: Vec<LetterView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LetterGroup {
    pub reason: String,
    pub status: Option<u16>,
    pub count: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LetterView {
    pub id: String,
    pub source: String,
    pub key: Option<String>,
    pub reason: String,
    pub status: Option<u16>,
    pub attempts: u32,
    pub first: String,
    pub last: String,
    pub answer: String,
    pub position: String,
}

/// Why an operator's request failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    #[error("no subscription {0:?} runs here")]
    Unknown(String),
    #[error("subscription {0:?} runs here already")]
    Duplicate(String),
    #[error("a redrive of {0:?} is under way")]
    RedriveUnderWay(String),
    #[error(transparent)]
    Broker(#[from] broker::Error),
}

/// The subscriptions of this process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Subscriptions {
    _todo: (),
}

impl Subscriptions {
    /// Starts a subscription: ensures it on its broker (retrying for ever while that is unavailable, `pending` until
    /// then), opens it, delivers.
    pub fn add(&self, _spec: Spec) -> Result<(), Error> {
        todo!()
    }
    /// Changes a running subscription; deliveries in flight end as they began.
    pub async fn replace(&self, _spec: Spec) -> Result<(), Error> {
        todo!()
    }
    /// Ends a subscription: open attempts may finish until the deadline, the rest is released, all is flushed.
    pub async fn drain(&self, _name: &str, _deadline: Instant) -> Result<(), Error> {
        todo!()
    }
    pub async fn drain_all(&self, _deadline: Instant) {}
    /// Whether every subscription has been ensured on its broker.
    pub fn all_ensured(&self) -> bool {
        todo!()
    }
    pub fn list(&self) -> Vec<Status> {
        todo!()
    }
    pub fn status(&self, _name: &str) -> Result<Status, Error> {
        todo!()
    }
    pub fn pause(&self, _name: &str) -> Result<(), Error> {
        todo!()
    }
    pub fn resume(&self, _name: &str) -> Result<(), Error> {
        todo!()
    }
    pub async fn letters(&self, _name: &str, _filter: &LetterFilter) -> Result<Letters, Error> {
        todo!()
    }
    /// Delivers dead letters again; returns how many were asked for.
    pub async fn redrive(&self, _name: &str, _filter: &LetterFilter) -> Result<u64, Error> {
        todo!()
    }
    /// Removes dead letters; returns how many.
    pub async fn purge(&self, _name: &str, _filter: &LetterFilter) -> Result<u64, Error> {
        todo!()
    }
    pub async fn seek(&self, _name: &str, _to: broker::Start) -> Result<(), Error> {
        todo!()
    }
    /// The state of an app that subscriptions name (`Spec::app`).
    pub fn set_app(&self, _app: &str, _up: bool) {
        todo!()
    }
}
