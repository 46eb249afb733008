//! What operators ask for: purge, seek, the list, deletion.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use broker::{Error, ErrorKind, Lag, Position, Start, SubscriptionInfo};
use log::{Cursor, Item, SettleLog, StoreError};
use tokio::sync::oneshot;

use crate::driver::{Embedded, number, of_store, place};

impl Embedded {
    pub(crate) async fn purge_subscription(
        &self,
        name: &str,
        positions: Option<&[Position]>,
    ) -> Result<u64, Error> {
        let settles = self.subscription(name)?;
        let end = settles.log().end();
        let purged = match positions {
            None => settles.purge([(0, end)]),
            Some(positions) => {
                let mut ranges = Vec::with_capacity(positions.len());
                for position in positions {
                    let sequence = number(position)?;
                    // What does not exist yet is not settled in advance.
                    if sequence < end {
                        ranges.push((sequence, sequence + 1));
                    }
                }
                settles.purge(ranges)
            }
        };
        flush(&settles).await?;
        Ok(purged)
    }

    pub(crate) async fn seek_subscription(&self, name: &str, to: Start) -> Result<(), Error> {
        let settles = self.subscription(name)?;
        settles.seek(place(settles.log(), to)?);
        flush(&settles).await
    }

    pub(crate) fn list(&self) -> Result<Vec<SubscriptionInfo>, Error> {
        self.open.usable()?;
        let info = |settles: &Arc<SettleLog>| SubscriptionInfo {
            name: settles.name().to_owned(),
            topic: settles.log().name().to_string(),
            lag: lag(settles, None, oldest_ms),
            open: self.open.has(settles.name()),
        };
        Ok(self.store.settle_logs().iter().map(info).collect())
    }

    pub(crate) fn delete_subscription(&self, name: &str) -> Result<(), Error> {
        self.open.usable()?;
        // Held until it is deleted: nobody opens meanwhile what is about to be gone.
        let _claimed = self.open.take(name).map_err(|_| {
            let message = format!("subscription {name} is open: remove it from the configuration first");
            Error::new(ErrorKind::Conflict, message)
        })?;
        let existed = self.store.delete_settle_log(name).map_err(|error| of_store(&error))?;
        let was_lost = self.found_again(name);
        if existed || was_lost {
            return Ok(());
        }
        Err(Error::new(ErrorKind::NotFound, format!("the embedded broker has no subscription {name}")))
    }
}

/// Starts a flush, and returns what waits for it.
pub(crate) fn flush(settles: &Arc<SettleLog>) -> impl Future<Output = Result<(), Error>> + Send + 'static {
    let (done, flushed) = oneshot::channel::<Result<(), StoreError>>();
    settles.flush(move |answer| drop(done.send(answer)));
    async move {
        match flushed.await {
            Ok(answer) => answer.map_err(|error| of_store(&error)),
            Err(_) => Err(Error::closed()),
        }
    }
}

/// How far a subscription is behind, up to `until` (exclusive). `oldest_ms` finds the time of an unsettled record.
pub(crate) fn lag(
    settles: &Arc<SettleLog>,
    until: Option<u64>,
    oldest_ms: impl FnOnce(&Arc<SettleLog>, u64) -> Option<u64>,
) -> Lag {
    let end = settles.log().end();
    let end = until.map_or(end, |until| until.min(end));
    let records = settles.unsettled_below(end);
    if records == 0 {
        return Lag::default();
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // Zero where the clock was ahead when it was taken in, and never negative.
    let oldest = oldest_ms(settles, settles.floor());
    let oldest = oldest.map(|taken_in| now.saturating_sub(Duration::from_millis(taken_in)));
    Lag { records, oldest }
}

/// When the record at the floor was taken in; the next one's time where that is lost. Reads up to an index interval.
pub(crate) fn oldest_ms(settles: &Arc<SettleLog>, floor: u64) -> Option<u64> {
    let mut cursor = Cursor::brief(Arc::clone(settles.log()), floor);
    loop {
        match cursor.next().ok()?? {
            Item::Record(record) => return Some(record.time_ms),
            Item::Hole { .. } => {}
        }
    }
}
