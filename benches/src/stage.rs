//! What all benchmarks share: the brokers, the binary, and how long and how often to measure.

use std::cell::OnceCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;

use crate::cluster::Cluster;
use crate::emulator::Emulator;
use crate::sidecar::{Broker, On, Setup, Sidecar};

#[derive(Debug)]
pub(crate) struct Stage {
    /// A Kafka that runs already.
    kafka: Option<String>,
    /// Started when a side first asks for it.
    cluster: OnceCell<Cluster>,
    /// The `postrider` binary, built for release.
    pub(crate) postrider: PathBuf,
    /// Seconds of a round that measures for a time.
    pub(crate) seconds: f64,
    /// Events of a round that measures a fixed number.
    pub(crate) events: u64,
    /// Events of the backlog that memory is measured with.
    pub(crate) lag: u64,
}

/// A name that nothing else on the cluster has.
pub(crate) fn unique(what: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let second = crate::measure::monotonic_nanoseconds() / 1_000_000_000;
    format!("bench-{what}-{}-{second}-{number}", std::process::id())
}

impl Stage {
    pub(crate) fn new(
        kafka: Option<String>,
        postrider: PathBuf,
        seconds: f64,
        events: u64,
        lag: u64,
    ) -> Self {
        Self { kafka, cluster: OnceCell::new(), postrider, seconds, events, lag }
    }

    /// The Kafka that is measured with.
    pub(crate) fn cluster(&self) -> Result<&Cluster> {
        if let Some(cluster) = self.cluster.get() {
            return Ok(cluster);
        }
        let cluster = match &self.kafka {
            Some(bootstrap) => Cluster::at(bootstrap.clone()),
            None => Cluster::start(crate::roles::note)?,
        };
        Ok(self.cluster.get_or_init(|| cluster))
    }

    /// The broker: the one Kafka, else one that nobody else uses.
    pub(crate) fn on(&self, broker: Broker) -> Result<On> {
        Ok(match broker {
            Broker::Embedded => On::embedded(),
            Broker::Kafka => On::Kafka { bootstrap: self.cluster()?.bootstrap().to_owned() },
            Broker::Pubsub => On::Pubsub(Rc::new(Emulator::start()?)),
        })
    }

    /// A new topic of the broker.
    pub(crate) fn topic(&self, on: &On, what: &str, partitions: u32) -> Result<String> {
        let name = unique(what);
        match on {
            // Its sidecar makes it.
            On::Embedded { .. } => return Ok("orders".to_owned()),
            On::Kafka { .. } => self.cluster()?.create_topics(std::slice::from_ref(&name), partitions)?,
            On::Pubsub(emulator) => emulator.create_topic(&name)?,
        }
        Ok(name)
    }

    pub(crate) fn round_ms(&self) -> u64 {
        (self.seconds * 1000.0) as u64
    }

    /// How long a load warms up: long enough for pools and caches, and for a processor to clock up.
    pub(crate) fn warm_ms(&self) -> u64 {
        (self.round_ms() / 5).min(1000)
    }

    pub(crate) fn start(&self, setup: &Setup) -> Result<Sidecar> {
        Sidecar::start(&self.postrider, setup)
    }
}
