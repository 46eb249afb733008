//! Topics: looked up, created where that is allowed, and what the cluster says of them.

mod ensure;
mod retention;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use parking_lot::RwLock;
use rdkafka::metadata::Metadata;

pub(crate) use ensure::ensure;
pub(crate) use retention::Retention;

/// What is known of the topics that this process uses: no more of them than the configuration names.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    facts: RwLock<HashMap<Arc<str>, Arc<Facts>>>,
}

/// What the cluster has said of a topic. 0: nothing yet.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    bytes_max: AtomicU32,
    partitions: AtomicU32,
    is_retention_known: AtomicBool,
}

impl Facts {
    /// The largest batch that it takes (`max.message.bytes`).
    pub(crate) fn bytes_max(&self) -> Option<u32> {
        Some(self.bytes_max.load(Ordering::Relaxed)).filter(|bytes| *bytes > 0)
    }

    pub(crate) fn set_bytes_max(&self, bytes: u32) {
        self.bytes_max.store(bytes, Ordering::Relaxed);
    }

    /// Whether it was found out how long the topic keeps its records.
    pub(crate) fn is_retention_known(&self) -> bool {
        self.is_retention_known.load(Ordering::Relaxed)
    }

    /// It was found out. True for the first who says so.
    pub(crate) fn retention_is_known(&self) -> bool {
        !self.is_retention_known.swap(true, Ordering::Relaxed)
    }

    /// The topic has at least so many partitions.
    pub(crate) fn has_partitions(&self, topic: &str, partitions: u32) {
        if partitions <= self.partitions.load(Ordering::Relaxed) {
            return;
        }
        let before = self.partitions.fetch_max(partitions, Ordering::Relaxed);
        if before > 0 && before < partitions {
            tracing::warn!(
                topic,
                before,
                now = partitions,
                "the topic has more partitions: keys move, and records of a key that stand in its old partition may be \
                 delivered after later ones"
            );
        }
    }
}

impl Topics {
    pub(crate) fn facts(&self, topic: &str) -> Arc<Facts> {
        if let Some(facts) = self.facts.read().get(topic) {
            return Arc::clone(facts);
        }
        Arc::clone(self.facts.write().entry(topic.into()).or_default())
    }

    /// Some of the topics, counted from `first` on and around.
    pub(crate) fn some(&self, first: usize, at_most: usize) -> Vec<Arc<str>> {
        let facts = self.facts.read();
        let known = facts.len().max(1);
        facts.keys().cycle().skip(first % known).take(at_most.min(facts.len())).cloned().collect()
    }

    /// Takes up what the cluster says of topics that are used here.
    pub(crate) fn learn(&self, metadata: &Metadata) {
        for topic in metadata.topics().iter().filter(|topic| topic.error().is_none()) {
            let known = self.facts.read().get(topic.name()).cloned();
            if let Some(facts) = known {
                facts.has_partitions(topic.name(), topic.partitions().len() as u32);
            }
        }
    }
}
