//! The Pub/Sub that benchmarks run against: the server that tests have, its topics, and what is in them beforehand.

use anyhow::{Context, Result};
use brokers::pubsub::{Options, PROJECT, Pubsub, rest};

use crate::amount::Amount;
use crate::roles::load::Done;
use crate::roles::{Ask, Role, publisher};
use crate::worker::Worker;

/// A server of our own, gone with this. It keeps all that was ever published, in memory: so whoever measures has one, and
/// no other.
#[derive(Debug)]
pub(crate) struct Emulator {
    server: Pubsub,
}

impl Emulator {
    pub(crate) fn start() -> Result<Self> {
        let server = Pubsub::start(Options { progress: crate::roles::note, ..Options::default() })
            .context("Pub/Sub's server cannot be started")?;
        Ok(Self { server })
    }

    pub(crate) fn address(&self) -> &str {
        self.server.address()
    }

    pub(crate) fn endpoint(&self) -> String {
        self.server.endpoint()
    }

    pub(crate) fn create_topic(&self, name: &str) -> Result<()> {
        rest::create_topic(self.address(), PROJECT, name)
    }

    /// With message ordering, as Postrider's are by default.
    pub(crate) fn create_subscription(&self, name: &str, topic: &str) -> Result<()> {
        rest::create_subscription(self.address(), PROJECT, name, topic, r#""enableMessageOrdering":true"#)
    }

    /// Fills a topic with events, for the subscriptions that it has.
    pub(crate) fn fill(&self, topic: &str, events: u64) -> Result<()> {
        let spec = publisher::Spec {
            endpoint: self.endpoint(),
            topic: full_topic(topic),
            keyed: true,
            names_keys: false,
            in_flight: 1000,
            amount: Amount::Items(events.saturating_sub(publisher::WARM_UP)),
        };
        let (mut publisher, _) = Worker::start::<u64>(&Role::Publisher(spec))?;
        publisher.ask::<Done>(Ask::Go).map(drop)
    }
}

pub(crate) fn full_topic(name: &str) -> String {
    format!("projects/{PROJECT}/topics/{name}")
}

pub(crate) fn full_subscription(name: &str) -> String {
    format!("projects/{PROJECT}/subscriptions/{name}")
}
