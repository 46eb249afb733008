//! The only caller of the contract's publish: routing, keys, admission, deadlines.
//!
//! `api` hands it decoded events, `delivery` hands it dead letters and replies. It finds the topic's broker, derives the
//! key, checks the size, admits within bounds, stamps the hop headers, and turns the broker's outcomes into answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::{Driver, Hop, Key, Letter, Outcome};
use event::Event;

/// A logical topic: where it is and what it takes.
#[derive(Clone, Debug)]
pub struct Topic {
    /// The logical name.
    pub name: Arc<str>,
    /// The name of its broker in the configuration.
    pub broker: Arc<str>,
    /// The topic's name on that broker.
    pub on_broker: Arc<str>,
    pub driver: Arc<dyn Driver>,
    /// What names the key of an event that brings none.
    pub key: Option<KeyFrom>,
    /// Largest event taken, in bytes of data and attributes.
    pub event_bytes_max: usize,
    /// Event types that `POST /v1/events` routes here.
    pub types: Vec<String>,
    /// False: a dead-letter or other internal topic, which the API does not publish to.
    pub open: bool,
}

/// The attribute that a topic's `key:` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyFrom {
    Subject,
    Source,
    Type,
    Id,
    Extension(String),
}

/// One event to publish.
#[derive(Clone, Debug)]
pub struct Item {
    pub event: Event,
    /// The publisher's `postrider-key`.
    pub key: Option<Key>,
    pub traceparent: Option<broker::TraceParent>,
    pub tracestate: Option<Box<str>>,
}

/// Why a call was refused as a whole, before anything was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("no topic {0:?} is configured")]
    UnknownTopic(String),
    #[error("no topic takes events of type {0:?}")]
    UnroutedType(String),
    #[error("event {index} has a key of {bytes} bytes; at most 1,024 are allowed")]
    KeyTooLong { index: usize, bytes: usize },
    #[error("event {index} has {bytes} bytes; topic {topic} takes at most {max}")]
    EventTooLarge { index: usize, bytes: usize, topic: String, max: usize },
    #[error("too much is being published at once")]
    Overloaded { retry_after: Duration },
    #[error("broker {broker} is not ready: {reason}")]
    Pending { broker: String, reason: String, retry_after: Duration },
    #[error("this process is shutting down")]
    Closing,
}

/// The routes and the gate. One a process; cheap to clone.
#[derive(Clone, Debug)]
pub struct Publisher {
    _todo: (),
}

impl Publisher {
    /// Publishes events to a logical topic, in order. The records are on their way when this returns; the future only
    /// waits, and dropping it cancels nothing. One outcome an event, in order.
    pub fn publish(
        &self,
        _topic: &str,
        _items: Vec<Item>,
        _deadline: Instant,
    ) -> Result<impl Future<Output = Vec<Outcome>> + Send + use<>, Error> {
        if true {
            todo!()
        }
        Ok(std::future::pending())
    }

    /// Publishes one record as it is (a dead letter, with its key and hop headers) to a topic of a broker.
    pub fn forward(
        &self,
        _topic: &Topic,
        _record: broker::Record,
        _letter: Option<Letter>,
        _deadline: Instant,
    ) -> Result<impl Future<Output = Outcome> + Send + use<>, Error> {
        if true {
            todo!()
        }
        Ok(std::future::pending())
    }

    /// The topic that takes events of this type.
    pub fn topic_of_type(&self, _kind: &str) -> Option<Arc<Topic>> {
        todo!()
    }

    pub fn topic(&self, _name: &str) -> Option<Arc<Topic>> {
        todo!()
    }

    /// The names of the topics that the API publishes to, sorted.
    pub fn topics(&self) -> Vec<Arc<Topic>> {
        todo!()
    }

    /// Replaces all routes at once; what is under way ends as it began.
    pub fn set_topics(&self, _topics: Vec<Topic>) {
        todo!()
    }

    /// Closes or opens the gate before a broker: while it is closed, publishes to it answer [`Error::Pending`].
    pub fn set_pending(&self, _broker: &str, _reason: Option<String>) {
        todo!()
    }

    /// Hop headers for a record that this process publishes now.
    pub fn hop(&self, _traceparent: Option<broker::TraceParent>, _tracestate: Option<Box<str>>) -> Hop {
        todo!()
    }

    /// Refuses new publishes and waits until what is under way is answered, or until the deadline.
    pub async fn close(&self, _deadline: Instant) {}
}
