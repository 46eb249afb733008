use std::collections::HashMap;
use std::sync::atomic::AtomicU64;

use parking_lot::RwLock;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

/// The series of a topic on a broker.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) sent: Counter,
    pub(super) sent_bytes: Counter,
    pub(super) unknown: Counter,
    pub(super) send_duration: Histogram,
}

/// The series of a subscription.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) consumed: Counter,
    pub(super) age: Histogram,
    pub(super) done: Histogram,
    pub(super) retry: Histogram,
    pub(super) dead_letter: Histogram,
    pub(super) pause: Histogram,
    pub(super) abandoned: Histogram,
    pub(super) dead_letter_failures: Counter,
    pub(super) dropped_replies: Counter,
    pub(super) breaker_open: Gauge,
    pub(super) breaker_openings: Counter,
    pub(super) holds: Counter,
    pub(super) paused: Gauge,
    pub(super) window: Gauge,
    pub(super) stuck: Gauge,
    pub(super) gaps: Counter,
    pub(super) gap_events: Counter,
    pub(super) in_flight: Gauge,
    pub(super) held: Gauge,
    pub(super) retrying: Gauge,
    pub(super) lag: Gauge,
    pub(super) oldest_age: Gauge<f64, AtomicU64>,
}

/// Handles by name, so that counting an event allocates nothing: the registry's own look-up wants owned labels.
///
/// Read-mostly: a name is written once, when it is first seen, and there are as many as the configuration has. The
/// qualifier is the same for a name nearly always, hence a list under each name and no second key.
#[derive(Debug)]
pub(super) struct Table<T>(RwLock<HashMap<Box<str>, Qualified<T>>>);

type Qualified<T> = Vec<(Box<str>, T)>;

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<T> Table<T> {
    pub(super) fn with<R>(
        &self,
        name: &str,
        qualifier: &str,
        make: impl FnOnce() -> T,
        with: impl FnOnce(&T) -> R,
    ) {
        if let Some(handles) = find(self.0.read().get(name), qualifier) {
            with(handles);
            return;
        }
        let mut table = self.0.write();
        let list = table.entry(name.into()).or_default();
        // Somebody may have made it between the two locks.
        if find(Some(list), qualifier).is_none() {
            list.push((qualifier.into(), make()));
        }
        if let Some(handles) = find(Some(list), qualifier) {
            with(handles);
        }
    }

    pub(super) fn forget(&self, name: &str) {
        self.0.write().remove(name);
    }
}

fn find<'a, T>(list: Option<&'a Qualified<T>>, qualifier: &str) -> Option<&'a T> {
    list?.iter().find(|(q, _)| **q == *qualifier).map(|(_, handles)| handles)
}
