use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use broker::{
    Batch, BoxFuture, Browse, Capabilities, Credit, Driver, Error, ErrorKind, Health, Outcome, Position,
    Receipt, RefusalKind, Selection, Source, Start, Subscription, SubscriptionInfo,
};
use parking_lot::Mutex;
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
}

/// The subscriptions that this process has open, and whether the driver is closed.
#[derive(Debug, Default)]
pub(crate) struct Open {
    closed: AtomicBool,
    /// Each with its reader, once it has one.
    names: Mutex<HashMap<String, Weak<Reader>>>,
    /// Cancelled when the driver is closed or dropped.
    pub(crate) stop: CancellationToken,
}

/// A subscription that is open, until this is dropped.
#[derive(Debug)]
pub(crate) struct Opened {
    open: Arc<Open>,
    name: String,
}

impl Open {
    pub(crate) fn usable(&self) -> Result<(), Error> {
        if self.closed.load(Ordering::Acquire) { Err(closed()) } else { Ok(()) }
    }

    /// `Conflict` where it is open already.
    fn take(self: &Arc<Self>, name: &str) -> Result<Opened, Error> {
        let mut names = self.names.lock();
        if names.contains_key(name) {
            let message = format!("subscription {name} is open in this process already");
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        names.insert(name.to_owned(), Weak::new());
        Ok(Opened { open: Arc::clone(self), name: name.to_owned() })
    }
}

impl Open {
    /// `None` where it is not open here.
    fn reader(&self, name: &str) -> Option<Weak<Reader>> {
        self.names.lock().get(name).cloned()
    }
}

impl Opened {
    pub(crate) fn is_read_by(&self, reader: &Arc<Reader>) {
        self.open.names.lock().insert(self.name.clone(), Arc::downgrade(reader));
    }

    pub(crate) fn open(&self) -> &Arc<Open> {
        &self.open
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.open.names.lock().remove(&self.name);
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "this broker's driver has been closed")
}

impl Pubsub {
    /// Makes the clients. Reaches for nothing yet but credentials that are files: whether the service can be reached is
    /// told by [`Driver::health`].
    pub async fn new(settings: Settings) -> Result<Arc<Self>, Error> {
        if let Some((name, why)) = settings.check().into_iter().next() {
            return Err(Error::new(ErrorKind::Conflict, format!("{name}: {why}")));
        }
        let project = Project::new(settings).await?;
        let open = Arc::<Open>::default();
        let tasks = TaskTracker::new();
        tasks.spawn(monitor::watch(Arc::clone(&project), open.stop.clone()));
        let publishing = Publishing::new(Arc::clone(&project));
        Ok(Arc::new(Self { project, publishing, open }))
    }
}

impl Drop for Pubsub {
    fn drop(&mut self) {
        self.open.stop.cancel();
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
            return Receipt::ready(vec![refused; batch.records.len()]);
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
            Ok(source::open(&self.project, opened, subscription, retention, credit))
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
            match (self.open.reader(subscription), positions) {
                (None, _) => look::purge(&self.project, subscription, positions).await,
                (Some(reader), Some(positions)) => {
                    Ok(reader.upgrade().map_or(0, |reader| reader.purge(positions)))
                }
                (Some(_), None) => {
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
            self.open.closed.store(true, Ordering::Release);
            self.open.stop.cancel();
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
