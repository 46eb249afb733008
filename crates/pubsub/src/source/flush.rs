//! Acknowledgements, and when they are the server's.
//!
//! Google's client sends what was acknowledged every 100 ms. Of a subscription that delivers exactly once the server's
//! answer is told; of any other it is not. There a flush waits until the acknowledgements have been sent and the service
//! has answered a question that was asked later. One that was lost nevertheless brings its message again: after an outage
//! it is acknowledged anew ([`settled`](super::settled)), else it is a duplicate.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use broker::{Error, ErrorKind};
use google_cloud_gax::options::RequestOptionsBuilder as _;
use google_cloud_pubsub::subscriber::handler::Handler;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Reader;
use crate::clients::ASK;
use crate::{errors, permissions};

/// The client's period, and time for its request to leave.
const SENT: Duration = Duration::from_millis(150);
const AGAIN: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Acknowledged {
    /// Acknowledgements so far, and how many of them there were at the last flush.
    count: AtomicU64,
    flushed: AtomicU64,
    /// Those that the server is yet to confirm.
    pending: AtomicU64,
    confirmed: Notify,
    tasks: TaskTracker,
}

impl Reader {
    pub(super) fn acknowledge(&self, handles: Vec<Handler>) {
        let acknowledged = &self.acknowledged;
        self.project.pulse.acknowledged();
        acknowledged.count.fetch_add(1, Ordering::Relaxed);
        for handle in handles {
            let Handler::ExactlyOnce(handle) = handle else {
                handle.ack();
                continue;
            };
            acknowledged.pending.fetch_add(1, Ordering::Relaxed);
            let (shared, name) = (Arc::clone(acknowledged), self.name.clone());
            acknowledged.tasks.spawn(async move {
                if let Err(error) = handle.confirmed_ack().await {
                    tracing::debug!(subscription = name, %error, "what was settled comes again");
                }
                shared.pending.fetch_sub(1, Ordering::Relaxed);
                shared.confirmed.notify_waiters();
            });
        }
    }

    /// Waits for what the server is yet to confirm.
    pub(super) async fn confirmed(&self) {
        loop {
            let told = self.acknowledged.confirmed.notified();
            tokio::pin!(told);
            told.as_mut().enable();
            if self.acknowledged.pending.load(Ordering::Relaxed) == 0 {
                return;
            }
            told.await;
        }
    }

    async fn answers(&self) -> Result<(), Error> {
        let asked =
            self.project.clients.subscriptions.get_subscription().set_subscription(self.full.as_str());
        match asked.with_attempt_timeout(ASK).send().await {
            Err(error) if !errors::is_answer(&error) => {
                let what = format!("the settles of {} cannot be made sure of", self.full);
                Err(errors::error(&what, permissions::SEE_SUBSCRIPTION, &error))
            }
            _ => Ok(()),
        }
    }
}

/// Returns when everything that was settled before is the server's; while the service cannot be reached, it waits for it.
pub(super) async fn flush(reader: Arc<Reader>, stop: CancellationToken) -> Result<(), Error> {
    let acknowledged = &reader.acknowledged;
    let count = acknowledged.count.load(Ordering::Relaxed);
    if acknowledged.flushed.load(Ordering::Relaxed) >= count {
        return Ok(());
    }
    let flushing = async {
        reader.confirmed().await;
        tokio::time::sleep(SENT).await;
        while reader.answers().await.is_err() {
            tokio::time::sleep(AGAIN).await;
        }
        acknowledged.flushed.fetch_max(count, Ordering::Relaxed);
    };
    tokio::select! {
        () = flushing => Ok(()),
        () = stop.cancelled() => Err(Error::new(ErrorKind::Closed, "the source has been closed")),
    }
}
