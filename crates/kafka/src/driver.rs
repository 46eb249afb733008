use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use broker::{
    Batch, BoxFuture, Browse, Capabilities, Credit, Driver, Error, ErrorKind, Health, Outcome, Position,
    Receipt, RefusalKind, Selection, Source, Start, Subscription, SubscriptionInfo,
};
use parking_lot::Mutex;

use crate::cluster::Cluster;
use crate::operate::Keeper;
use crate::publish::Publishing;
use crate::settings::Settings;
use crate::source::Readers;
use crate::topics::Retention;
use crate::{browse, group, operate, source, topics};

/// A Kafka cluster. It may be unreachable when this is made: it is reached when something is asked of it.
#[derive(Debug)]
pub struct Kafka {
    cluster: Arc<Cluster>,
    publishing: Publishing,
    open: Arc<Open>,
    _keeper: Keeper,
}

/// The subscriptions that this process has open, and whether the driver is closed.
#[derive(Debug, Default)]
pub(crate) struct Open {
    closed: AtomicBool,
    names: Mutex<HashSet<String>>,
    /// The topics of the subscriptions that were ensured or opened in this process: a group does not tell its own.
    topics: Mutex<HashMap<String, String>>,
    /// Held while the commits of a group that is not read here are read and rewritten.
    pub(crate) idle: Mutex<()>,
    pub(crate) readers: Readers,
}

/// A subscription that is open, until this is dropped.
#[derive(Debug)]
pub(crate) struct Opened {
    open: Arc<Open>,
    name: String,
}

impl Open {
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn usable(&self) -> Result<(), Error> {
        if self.is_closed() { Err(closed()) } else { Ok(()) }
    }

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

    /// `Conflict` where it is open already.
    pub(crate) fn take(self: &Arc<Self>, name: &str) -> Result<Opened, Error> {
        if !self.names.lock().insert(name.to_owned()) {
            let message = format!("subscription {name} is open in this process already");
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        Ok(Opened { open: Arc::clone(self), name: name.to_owned() })
    }
}

impl Opened {
    pub(crate) fn open(&self) -> &Arc<Open> {
        &self.open
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.open.names.lock().remove(&self.name);
    }
}

pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "this broker's driver has been closed")
}

impl Kafka {
    /// Makes the clients. Reaches for nothing yet: whether the cluster can be reached is told by [`Driver::health`].
    pub fn new(settings: Settings) -> Result<Arc<Self>, Error> {
        let cluster = Cluster::new(settings)?;
        let publishing = Publishing::new(Arc::clone(&cluster))?;
        let open = Arc::<Open>::default();
        let keeper = Keeper::start(&cluster, &open).map_err(|error| {
            Error::new(ErrorKind::Unavailable, format!("a thread cannot be started: {error}"))
        })?;
        Ok(Arc::new(Self { cluster, publishing, open, _keeper: keeper }))
    }
}

impl Driver for Kafka {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            browse: true,
            purge: true,
            seek: true,
            list: false,
            exact_lag: true,
            caught_up: true,
            stored_payloads: false,
            durable_notes: true,
            record_bytes_max: self.publishing.record_bytes_max(),
        }
    }

    fn publish(&self, batch: Batch) -> Receipt {
        if self.open.is_closed() {
            let refused = Outcome::refused(RefusalKind::Unavailable, closed().message);
            return Receipt::ready(vec![refused; batch.records.len()]);
        }
        self.publishing.publish(batch)
    }

    fn ensure_topic<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            self.open.usable()?;
            topics::ensure(&self.cluster, topic, Retention::Default).await
        })
    }

    fn ensure<'a>(&'a self, subscription: &'a Subscription) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            self.open.usable()?;
            let retention =
                if subscription.keeps_unsettled { Retention::Endless } else { Retention::Default };
            topics::ensure(&self.cluster, &subscription.topic, retention).await?;
            group::ensure(&self.cluster, subscription).await?;
            self.open.learn(subscription);
            Ok(())
        })
    }

    fn open<'a>(
        &'a self,
        subscription: &'a Subscription,
        credit: Credit,
    ) -> BoxFuture<'a, Result<Box<dyn Source>, Error>> {
        Box::pin(async move {
            self.open.usable()?;
            let opened = self.open.take(&subscription.name)?;
            let source = source::open(&self.cluster, opened, subscription, credit).await?;
            self.open.learn(subscription);
            Ok(source)
        })
    }

    fn end<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Option<Position>, Error>> {
        Box::pin(async move {
            self.open.usable()?;
            browse::end(&self.cluster, topic).await
        })
    }

    fn browse<'a>(
        &'a self,
        topic: &'a str,
        what: Selection,
    ) -> BoxFuture<'a, Result<Box<dyn Browse>, Error>> {
        Box::pin(async move {
            self.open.usable()?;
            browse::browse(&self.cluster, topic, what).await
        })
    }

    fn purge<'a>(
        &'a self,
        subscription: &'a str,
        positions: Option<&'a [Position]>,
    ) -> BoxFuture<'a, Result<u64, Error>> {
        Box::pin(async move {
            self.open.usable()?;
            operate::purge(&self.cluster, &self.open, subscription, positions).await
        })
    }

    fn seek<'a>(&'a self, subscription: &'a str, to: Start) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            self.open.usable()?;
            operate::seek(&self.cluster, &self.open, subscription, to).await
        })
    }

    fn subscriptions(&self) -> BoxFuture<'_, Result<Vec<SubscriptionInfo>, Error>> {
        let unsupported = || Error::unsupported("tell which of a cluster's groups are subscriptions");
        Box::pin(std::future::ready(self.open.usable().and_then(|()| Err(unsupported()))))
    }

    fn delete<'a>(&'a self, _subscription: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        let unsupported =
            || Error::unsupported("delete subscriptions; delete the group with Kafka's own tools");
        Box::pin(std::future::ready(self.open.usable().and_then(|()| Err(unsupported()))))
    }

    fn health(&self) -> Health {
        self.cluster.pulse.health()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.open.closed.store(true, Ordering::Release);
            self.open.readers.wake();
            self.publishing.close().await;
        })
    }
}
