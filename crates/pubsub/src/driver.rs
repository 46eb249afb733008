use std::sync::Arc;
use std::time::Duration;

use broker::{
    Batch, BoxFuture, Browse, Capabilities, Credit, Driver, Error, ErrorKind, Health, Outcome, Position,
    Receipt, RefusalKind, Selection, Source, Start, Subscription, SubscriptionInfo,
};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::project::Project;
use crate::publish::Publishing;
use crate::settings::Settings;
use crate::source::{Reader, now_ms};
use crate::{look, monitor, source, subscriptions, topics};

/// A Pub/Sub project. The service may be unreachable when this is made: it is reached when something is asked of it.
#[derive(Debug)]
pub struct Pubsub {
    project: Arc<Project>,
    publishing: Publishing,
    open: Arc<Open>,
    /// Cancelled when the driver is closed or dropped.
    stop: CancellationToken,
}

pub(crate) type Open = broker::Open<Reader>;
pub(crate) type Opened = broker::Opened<Reader>;

impl Pubsub {
    /// Makes the clients. Reaches for nothing yet but credentials that are files: whether the service can be reached is
    /// told by [`Driver::health`].
    pub async fn new(settings: Settings) -> Result<Arc<Self>, Error> {
        if let Some((name, why)) = settings.check().into_iter().next() {
            return Err(Error::new(ErrorKind::Conflict, format!("{name}: {why}")));
        }
        let project = Project::new(settings).await?;
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        tasks.spawn(monitor::watch(Arc::clone(&project), stop.clone()));
        let publishing = Publishing::new(Arc::clone(&project));
        Ok(Arc::new(Self { project, publishing, open: Arc::default(), stop }))
    }
}

impl Drop for Pubsub {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Driver for Pubsub {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            browse: false,
            purge: true,
            seek: false,
            list: false,
            exact_lag: false,
            caught_up: false,
            stored_payloads: false,
            durable_notes: false,
            record_bytes_max: event::pubsub::MESSAGE_BYTES_MAX,
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
            topics::ensure(&self.project, topic).await
        })
    }

    fn ensure<'a>(&'a self, subscription: &'a Subscription) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            self.open.usable()?;
            topics::ensure(&self.project, &subscription.topic).await?;
            subscriptions::ensure(&self.project, subscription).await
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
            let full = self.project.subscription(&subscription.name);
            let found = subscriptions::look(&self.project, &full).await?;
            let retention = found
                .message_retention_duration
                .map(|kept| Duration::from_secs(kept.seconds().unsigned_abs()));
            let stop = self.stop.child_token();
            Ok(source::open(&self.project, opened, stop, subscription, retention, credit))
        })
    }

    /// What was published until now, by this machine's clock: a topic's end itself cannot be asked for.
    fn end<'a>(&'a self, _topic: &'a str) -> BoxFuture<'a, Result<Option<Position>, Error>> {
        Box::pin(std::future::ready(self.open.usable().map(|()| Some(Position::Number(now_ms())))))
    }

    /// Only what a subscription has not settled can be looked at.
    fn browse<'a>(
        &'a self,
        topic: &'a str,
        what: Selection,
    ) -> BoxFuture<'a, Result<Box<dyn Browse>, Error>> {
        Box::pin(async move {
            self.open.usable()?;
            match &what.unsettled_of {
                Some(subscription) => look::browse(&self.project, topic, subscription, &what).await,
                None => Err(Error::unsupported("read a topic without a subscription")),
            }
        })
    }

    fn purge<'a>(
        &'a self,
        subscription: &'a str,
        positions: Option<&'a [Position]>,
    ) -> BoxFuture<'a, Result<u64, Error>> {
        Box::pin(async move {
            self.open.usable()?;
            match positions {
                _ if !self.open.has(subscription) => {
                    look::purge(&self.project, subscription, positions).await
                }
                Some(positions) => {
                    Ok(self.open.reader(subscription).map_or(0, |reader| reader.purge(positions)))
                }
                None => {
                    let message =
                        format!("subscription {subscription} is being read: ask again when it is not");
                    Err(Error::new(ErrorKind::Conflict, message))
                }
            }
        })
    }

    fn seek<'a>(&'a self, _subscription: &'a str, _to: Start) -> BoxFuture<'a, Result<(), Error>> {
        self.unsupported("move a cursor; use `gcloud pubsub subscriptions seek`")
    }

    fn subscriptions(&self) -> BoxFuture<'_, Result<Vec<SubscriptionInfo>, Error>> {
        self.unsupported("tell which of a project's subscriptions are Postrider's")
    }

    fn delete<'a>(&'a self, _subscription: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        self.unsupported("delete subscriptions; use `gcloud pubsub subscriptions delete`")
    }

    fn health(&self) -> Health {
        self.project.pulse.health()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.open.close();
            self.stop.cancel();
            self.publishing.close().await;
        })
    }
}

impl Pubsub {
    fn unsupported<T: Send + 'static>(&self, what: &str) -> BoxFuture<'static, Result<T, Error>> {
        let answer = self.open.usable().and_then(|()| Err(Error::unsupported(what)));
        Box::pin(std::future::ready(answer))
    }
}
