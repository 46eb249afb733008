//! What this process knows of the subscriptions that it was asked for.

use std::collections::HashMap;
use std::sync::Arc;

use broker::{Error, ErrorKind, Subscription};
use parking_lot::Mutex;

use crate::source::{Shared, Watch};

pub(crate) type Open = broker::Open<Shared>;
pub(crate) type Opened = broker::Opened<Shared>;

#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    pub(crate) open: Arc<Open>,
    /// Looks after those that are open.
    pub(crate) watch: Watch,
    /// Held while the commits of a group that is not read here are read and rewritten.
    pub(crate) idle: Mutex<()>,
    /// What each reads that was ensured or opened in this process: a group does not tell its own.
    topics: Mutex<HashMap<String, String>>,
}

impl Subscriptions {
    /// Remembers what a subscription reads.
    pub(crate) fn learn(&self, subscription: &Subscription) {
        self.topics.lock().insert(subscription.name.clone(), subscription.topic.clone());
    }

    /// The subscriptions that were ensured or opened in this process, and what they read.
    pub(crate) fn topics(&self) -> Vec<(String, String)> {
        self.topics.lock().iter().map(|(name, topic)| (name.clone(), topic.clone())).collect()
    }

    /// What a subscription reads. `NotFound` where it was neither ensured nor opened in this process.
    pub(crate) fn topic(&self, subscription: &str) -> Result<String, Error> {
        let unknown = || Error::new(ErrorKind::NotFound, format!("there is no subscription {subscription}"));
        self.topics.lock().get(subscription).cloned().ok_or_else(unknown)
    }
}
