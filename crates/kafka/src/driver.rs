use std::sync::Arc;

use broker::{
    Batch, BoxFuture, Browse, Capabilities, Credit, Driver, Error, ErrorKind, Health, Outcome, Position,
    Receipt, RefusalKind, Selection, Source, Start, Subscription, SubscriptionInfo,
};

use crate::cluster::Cluster;
use crate::operate::Keeper;
use crate::publish::Publishing;
use crate::settings::Settings;
use crate::subscriptions::{Open, Subscriptions};
use crate::topics::Retention;
use crate::{browse, group, operate, source, topics};

/// A Kafka cluster. It may be unreachable when this is made: it is reached when something is asked of it.
#[derive(Debug)]
pub struct Kafka {
    cluster: Arc<Cluster>,
    publishing: Publishing,
    open: Arc<Open>,
    subscriptions: Arc<Subscriptions>,
    _keeper: Keeper,
}

impl Kafka {
    /// Makes the clients. Reaches for nothing yet: whether the cluster can be reached is told by [`Driver::health`].
    pub fn new(settings: Settings) -> Result<Arc<Self>, Error> {
        let cluster = Cluster::new(settings)?;
        let publishing = Publishing::new(Arc::clone(&cluster))?;
        let subscriptions = Arc::<Subscriptions>::default();
        let keeper = Keeper::start(&cluster, &subscriptions).map_err(|error| {
            Error::new(ErrorKind::Unavailable, format!("a thread cannot be started: {error}"))
        })?;
        let open = Arc::clone(&subscriptions.open);
        Ok(Arc::new(Self { cluster, publishing, open, subscriptions, _keeper: keeper }))
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
        if let Err(error) = self.open.usable() {
            let refused = Outcome::refused(RefusalKind::Unavailable, error.message);
            return Receipt::alike(batch.records.len(), refused);
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
            self.subscriptions.learn(subscription);
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
            let source =
                source::open(&self.cluster, &self.subscriptions.watch, opened, subscription, credit).await?;
            self.subscriptions.learn(subscription);
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
            operate::purge(&self.cluster, &self.subscriptions, subscription, positions).await
        })
    }

    fn seek<'a>(&'a self, subscription: &'a str, to: Start) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            self.open.usable()?;
            operate::seek(&self.cluster, &self.subscriptions, subscription, to).await
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
            self.open.close();
            self.open.readers().iter().for_each(|reader| reader.wake());
            self.publishing.close().await;
        })
    }
}
