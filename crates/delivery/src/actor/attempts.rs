//! The open attempts.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};

use broker::BoxFuture;
use engine::Attempt;
use futures::FutureExt;
use futures::future::{AbortHandle, Abortable};
use futures::stream::{FuturesUnordered, Stream};

use crate::attempt::{Endpoint, Finished, Job};
use crate::life::panic_message;

/// Attempts, each owned by this set: one that is dropped from it is over, its connection closed.
#[derive(Default)]
pub(super) struct Attempts {
    running: FuturesUnordered<BoxFuture<'static, (Attempt, Ending)>>,
    /// By their places.
    open: Vec<Option<(Attempt, AbortHandle)>>,
}

/// How the future of an attempt ended.
pub(super) enum Ending {
    Finished(Finished),
    Abandoned,
    /// It panicked, with so many deliveries.
    Panicked {
        deliveries: usize,
    },
}

impl Attempts {
    pub(super) fn begin(&mut self, endpoint: Arc<Endpoint>, job: Job) {
        let attempt = job.attempt;
        let (handle, registration) = AbortHandle::new_pair();
        let deliveries = job.parts.len();
        if self.open.len() <= attempt.place() {
            self.open.resize_with(attempt.place() + 1, || None);
        }
        self.open[attempt.place()] = Some((attempt, handle));
        // What is put into the box is this block's beginning, which is small; it grows in place.
        self.running.push(Box::pin(async move {
            let work = AssertUnwindSafe(endpoint.deliver(job)).catch_unwind();
            match Abortable::new(work, registration).await {
                Ok(Ok(finished)) => (attempt, Ending::Finished(finished)),
                Err(_) => (attempt, Ending::Abandoned),
                Ok(Err(panic)) => {
                    let (subscription, message) = (&endpoint.name, panic_message(panic.as_ref()));
                    tracing::error!(%subscription, message, "an attempt panicked; its events are tried again");
                    (attempt, Ending::Panicked { deliveries })
                }
            }
        }));
    }

    /// Ends an attempt. It is polled out as [`Ending::Abandoned`], by when its future is dropped and its connection
    /// closed.
    pub(super) fn abandon(&mut self, attempt: Attempt) {
        if let Some(Some((open, handle))) = self.open.get(attempt.place())
            && *open == attempt
        {
            handle.abort();
        }
    }

    /// The next attempt that ended. An abandoned one is told as such even if it ended by itself first: the engine waits
    /// for that word, and its outcome matters to nobody.
    pub(super) fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<Option<(Attempt, Ending)>> {
        std::pin::Pin::new(&mut self.running).poll_next(cx).map(|ended| {
            let (attempt, ending) = ended?;
            let place = self
                .open
                .get_mut(attempt.place())
                .and_then(|place| place.take_if(|(open, _)| *open == attempt));
            let aborted = place.is_some_and(|(_, handle)| handle.is_aborted());
            Some((attempt, if aborted { Ending::Abandoned } else { ending }))
        })
    }
}
