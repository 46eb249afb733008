//! The clock of a source: leases that end, and events that grow old.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::{Reader, now_ms};

const EVERY: Duration = Duration::from_secs(1);
/// How often it is told that something grows too old.
const TELL_EVERY: Duration = Duration::from_secs(600);

pub(super) async fn watch(reader: Arc<Reader>, stop: CancellationToken) {
    let watching = async {
        let mut told: Option<Instant> = None;
        // Of an outage all leases die once.
        let mut is_out = false;
        loop {
            tokio::time::sleep(EVERY).await;
            let now = Instant::now();
            let settings = &reader.project.settings;
            let out = reader.project.pulse.down_for().is_some_and(|lasts| lasts >= settings.lease);
            if out && !is_out {
                reader.expire(now, now);
            } else if let Some(before) = now.checked_sub(settings.lease_max) {
                reader.expire(before, now);
            }
            is_out = out;
            reader.tend_settled(now);
            let oldest = reader.state.lock().lag(now_ms()).oldest;
            if let Some(warning) = reader.too_old(oldest)
                && told.is_none_or(|told| told.elapsed() >= TELL_EVERY)
            {
                tracing::warn!(subscription = reader.name, "{warning}");
                told = Some(now);
            }
        }
    };
    tokio::select! {
        () = watching => {}
        () = stop.cancelled() => {}
    }
}

impl Reader {
    /// Forgets what was settled long ago, and tells what came again.
    fn tend_settled(&self, now: Instant) {
        if self.project.pulse.doubtful_since().is_none() {
            self.state.lock().forget_settled(now);
        }
        let again = self.again.swap(0, Ordering::Relaxed);
        if again > 0 {
            tracing::info!(
                subscription = self.name,
                messages = again,
                "what was settled came again after an outage, and was acknowledged anew"
            );
        }
    }

    fn expire(&self, before: Instant, now: Instant) {
        let gone = self.state.lock().expire(before, now);
        if !gone.is_empty() {
            tracing::debug!(
                subscription = self.name,
                messages = gone.len(),
                "leases have ended: they are taken again"
            );
            drop(gone);
            self.wake();
            self.room.notify_waiters();
        }
    }

    /// What Pub/Sub's retention takes away, it takes without a word: half of the time before, it is told.
    pub(super) fn too_old(&self, oldest: Option<Duration>) -> Option<String> {
        let (retention, oldest) = (self.retention?, oldest?);
        (oldest >= retention / 2).then(|| {
            format!(
                "the oldest unsettled event is {} h old, and the subscription drops what is older than {} h",
                oldest.as_secs() / 3600,
                retention.as_secs() / 3600
            )
        })
    }
}
