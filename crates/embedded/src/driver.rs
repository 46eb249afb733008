use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use broker::{
    Batch, BoxFuture, Browse, Capabilities, Credit, Driver, Error, ErrorKind, Health, Open, Position,
    Receipt, Selection, Source, Start, Subscription, SubscriptionInfo,
};
use log::{Damage, Log, SettleLog, Shortage, Store, StoreError, Tell};
use parking_lot::Mutex;

use crate::config::{Config, OpenError};

/// Largest stored record: 16 MiB of event, and room for what travels beside it.
pub(crate) const RECORD_BYTES_MAX: usize = (16 << 20) + (64 << 10);

/// A durable broker in this process. Dropping it without [`Driver::close`] is a crash to it: what was answered stays.
#[derive(Debug)]
pub struct Embedded {
    pub(crate) store: Arc<Store>,
    pub(crate) open: Arc<Open>,
    damage: Vec<Damage>,
    /// Subscriptions whose settle logs could not be read. They begin anew at the earliest, and until they do nothing is
    /// removed, since they may not have settled it.
    lost: Mutex<HashSet<String>>,
}

impl Embedded {
    /// Opens or creates a data directory. Needs no runtime; blocks for reading the newest segment of each topic, some
    /// tens of milliseconds for a million events.
    pub fn open(config: Config) -> Result<Arc<Self>, OpenError> {
        Self::open_with(&config.path, config.options())
    }

    pub(crate) fn open_with(path: &Path, options: log::Options) -> Result<Arc<Self>, OpenError> {
        let directory = path.to_owned();
        let tell = Tell::new(move |trouble| tracing::warn!(path = %directory.display(), "{trouble}"));
        let (store, damage) = Store::open(path, log::Options { tell, ..options })?;
        for damage in &damage {
            tracing::error!(path = %path.display(), "the data directory is damaged: {damage}");
        }
        let lost = damage.iter().filter_map(|damage| match damage {
            Damage::Subscription { subscription, .. } => Some(subscription.clone()),
            _ => None,
        });
        let lost = Mutex::new(lost.collect());
        Ok(Arc::new(Self { store: Arc::new(store), open: Arc::default(), damage, lost }))
    }

    /// What was found damaged at the opening; it was logged as well.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    pub(crate) fn topic(&self, name: &str) -> Result<Arc<Log>, Error> {
        self.open.usable()?;
        let missing = || Error::new(ErrorKind::NotFound, format!("the embedded broker has no topic {name}"));
        self.store.log(name).ok_or_else(missing)
    }

    pub(crate) fn subscription(&self, name: &str) -> Result<Arc<SettleLog>, Error> {
        self.open.usable()?;
        let missing =
            || Error::new(ErrorKind::NotFound, format!("the embedded broker has no subscription {name}"));
        self.store.settle_log(name).ok_or_else(missing)
    }

    fn make_topic(&self, topic: &str) -> Result<Arc<Log>, Error> {
        self.open.usable()?;
        self.store.ensure_log(topic).map_err(|error| of_store(&error))
    }

    fn make_subscription(&self, wanted: &Subscription) -> Result<(), Error> {
        let log = self.make_topic(&wanted.topic)?;
        let settles = match self.store.settle_log(&wanted.name) {
            Some(settles) => settles,
            None => {
                let is_lost = self.lost.lock().contains(&wanted.name);
                let start = if is_lost { Start::Earliest } else { wanted.start };
                let floor = place(&log, start)?;
                let made = self.store.ensure_settle_log(&wanted.name, &log, b"", floor);
                let made = made.map_err(|error| of_store(&error))?;
                self.found_again(&wanted.name);
                made
            }
        };
        if settles.log().name() != log.name() {
            let message = format!(
                "subscription {} is on topic {} and cannot be moved to {}: delete it, or use another name",
                wanted.name,
                settles.log().name(),
                wanted.topic
            );
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        Ok(())
    }

    /// A subscription whose settle log had been unreadable exists again, or is given up.
    pub(crate) fn found_again(&self, name: &str) -> bool {
        let mut lost = self.lost.lock();
        let was = lost.remove(name);
        if was && lost.is_empty() {
            self.store.hold_retention(false);
        }
        was
    }

    fn open_source(&self, wanted: &Subscription, credit: Credit) -> Result<Box<dyn Source>, Error> {
        self.open.usable()?;
        // Claimed first, so that it cannot be deleted between the look and the opening.
        let opened = self.open.take(&wanted.name)?;
        let settles = self.subscription(&wanted.name)?;
        sound(&settles)?;
        if **settles.log().name() != *wanted.topic {
            let topic = settles.log().name();
            let message =
                format!("subscription {} is on topic {topic}, not on {}", wanted.name, wanted.topic);
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        let until = match &wanted.until {
            None => None,
            Some(position) => Some(number(position)?.saturating_add(1)),
        };
        Ok(Box::new(crate::source::EmbeddedSource::new(settles, opened, wanted.ordered, until, credit)))
    }
}

impl Driver for Embedded {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            browse: true,
            purge: true,
            seek: true,
            list: true,
            exact_lag: true,
            caught_up: true,
            stored_payloads: true,
            durable_notes: true,
            record_bytes_max: RECORD_BYTES_MAX,
        }
    }

    fn publish(&self, batch: Batch) -> Receipt {
        self.append(batch)
    }

    fn ensure_topic<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move { self.make_topic(topic).map(drop) })
    }

    fn ensure<'a>(&'a self, subscription: &'a Subscription) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move { self.make_subscription(subscription) })
    }

    fn open<'a>(
        &'a self,
        subscription: &'a Subscription,
        credit: Credit,
    ) -> BoxFuture<'a, Result<Box<dyn Source>, Error>> {
        Box::pin(async move { self.open_source(subscription, credit) })
    }

    fn end<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Option<Position>, Error>> {
        Box::pin(async move {
            let log = self.topic(topic)?;
            let end = log.end();
            Ok((end > log.first()).then(|| Position::Number(end - 1)))
        })
    }

    fn browse<'a>(
        &'a self,
        topic: &'a str,
        what: Selection,
    ) -> BoxFuture<'a, Result<Box<dyn Browse>, Error>> {
        Box::pin(async move { self.browse_topic(topic, &what) })
    }

    fn purge<'a>(
        &'a self,
        subscription: &'a str,
        positions: Option<&'a [Position]>,
    ) -> BoxFuture<'a, Result<u64, Error>> {
        Box::pin(self.purge_subscription(subscription, positions))
    }

    fn seek<'a>(&'a self, subscription: &'a str, to: Start) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.seek_subscription(subscription, to))
    }

    fn subscriptions(&self) -> BoxFuture<'_, Result<Vec<SubscriptionInfo>, Error>> {
        Box::pin(async move { self.list() })
    }

    fn delete<'a>(&'a self, subscription: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move { self.delete_subscription(subscription) })
    }

    fn health(&self) -> Health {
        match self.store.poisoned() {
            None => Health::Up,
            Some((reason, since)) => Health::Down { since, reason: reason.to_string() },
        }
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.open.close();
            let store = Arc::clone(&self.store);
            let ended = tokio::task::spawn_blocking(move || store.close()).await;
            if let Err(error) = ended {
                tracing::error!(%error, "the embedded broker's store did not close properly");
            }
            // Sources learn of it, and end.
            self.store.logs().iter().for_each(|log| log.wake());
        })
    }
}

/// The sequence at which a cursor that begins so stands.
pub(crate) fn place(log: &Arc<Log>, start: Start) -> Result<u64, Error> {
    match start {
        Start::Earliest => Ok(log.first()),
        Start::Latest => Ok(log.end()),
        Start::At(time) => log.first_at(millis(time)).map_err(|error| unreadable(log, &error)),
    }
}

pub(crate) fn millis(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

pub(crate) fn number(position: &Position) -> Result<u64, Error> {
    match position {
        Position::Number(number) => Ok(*number),
        other => {
            let message = format!("{other} is no position of the embedded broker: those are numbers");
            Err(Error::new(ErrorKind::NotFound, message))
        }
    }
}

/// Whether settles can be made durable.
pub(crate) fn sound(settles: &SettleLog) -> Result<(), Error> {
    settles.poisoned().map_or(Ok(()), |reason| Err(of_store(&StoreError::Poisoned(reason))))
}

pub(crate) fn unreadable(log: &Log, error: &std::io::Error) -> Error {
    let (kind, advice) = match Shortage::of(error) {
        Some(shortage) => (ErrorKind::Unavailable, shortage.advice()),
        None => (ErrorKind::Corrupt, "check the disk"),
    };
    let message = format!("topic {} cannot be read from the data directory: {error}; {advice}", log.name());
    Error::new(kind, message)
}

pub(crate) fn of_store(error: &StoreError) -> Error {
    let kind = match error {
        StoreError::DiskFull(_) | StoreError::NoDescriptors(_) => ErrorKind::Unavailable,
        StoreError::Poisoned(_) | StoreError::Failed(_) => ErrorKind::Corrupt,
        StoreError::Closed => ErrorKind::Closed,
    };
    Error::new(kind, error.to_string())
}
