use std::sync::Arc;
use std::time::Duration;

use broker::Driver;

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
    /// Its `mode` is that of the webhook, whatever stands here.
    pub policy: engine::Policy,
    /// Where dead letters go.
    pub dead_letter: publish::Topic,
    /// Its durable name on that topic, under which dead letters are delivered again.
    pub redrive_name: String,
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
    /// Overrides of the answer table, by status. The table: 2xx done; 401, 403, 404, 429, 502, 503, 504 and 3xx retry (a
    /// failure of the endpoint); 410 pause; 408, 409, 425, 500 and other 5xx retry (of the event); other 4xx dead letter.
    /// `Retry-After` counts on 429 and 503. Of a batch, an answer that condemns has each event sent again alone.
    pub answers: Vec<(u16, Answer)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Binary,
    Structured,
    /// `application/cloudevents-batch+json`, at most so many events.
    Batch {
        events: u32,
    },
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

impl Spec {
    /// The durable subscription on the dead-letter topic: what it has not settled are the letters that stand there.
    pub(crate) fn redrive(&self, until: Option<broker::Position>) -> broker::Subscription {
        broker::Subscription {
            name: self.redrive_name.clone(),
            topic: self.dead_letter.on_broker.to_string(),
            start: broker::Start::Earliest,
            ordered: self.durable.ordered,
            until,
            keeps_unsettled: true,
        }
    }

    /// The policy as the engine is to have it: how many events go into an attempt follows from how a request is written,
    /// and nothing else may say otherwise, because events beyond what a request carries would count as delivered.
    pub(crate) fn engine_policy(&self) -> engine::Policy {
        let mode = match self.webhook.mode {
            Mode::Batch { events } => engine::Mode::Batch { events },
            Mode::Binary | Mode::Structured | Mode::Raw => engine::Mode::Single,
        };
        engine::Policy { mode, ..self.policy.clone() }
    }

    /// Whether a subscription that runs as `self` has to be closed and opened anew to run as `other`.
    pub(crate) fn differs_on_the_broker(&self, other: &Self) -> bool {
        self.durable != other.durable
            || self.redrive_name != other.redrive_name
            || !Arc::ptr_eq(&self.driver, &other.driver)
            || self.dead_letter.on_broker != other.dead_letter.on_broker
            || !Arc::ptr_eq(&self.dead_letter.driver, &other.dead_letter.driver)
    }
}
