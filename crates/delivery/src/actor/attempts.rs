//! The open attempts.

use std::collections::HashMap;
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
    open: HashMap<Attempt, AbortHandle>,
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
        self.open.insert(attempt, handle);
        let name = endpoint.name.clone();
        let work = AssertUnwindSafe(endpoint.deliver(job)).catch_unwind();
        let ending = Abortable::new(work, registration).map(move |ended| match ended {
            Ok(Ok(finished)) => (attempt, Ending::Finished(finished)),
            Err(_) => (attempt, Ending::Abandoned),
            Ok(Err(panic)) => {
                let message = panic_message(panic.as_ref());
                tracing::error!(subscription = %name, message, "an attempt panicked; its events are tried again");
                (attempt, Ending::Panicked { deliveries })
            }
        });
        self.running.push(Box::pin(ending));
    }

    /// Ends an attempt. It is polled out as [`Ending::Abandoned`], by when its future is dropped and its connection
    /// closed.
    pub(super) fn abandon(&mut self, attempt: Attempt) {
        if let Some(handle) = self.open.get(&attempt) {
            handle.abort();
        }
    }

    /// The next attempt that ended. An abandoned one is told as such even if it ended by itself first: the engine waits
    /// for that word, and its outcome matters to nobody.
    pub(super) fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<Option<(Attempt, Ending)>> {
        std::pin::Pin::new(&mut self.running).poll_next(cx).map(|ended| {
            let (attempt, ending) = ended?;
            let aborted = self.open.remove(&attempt).is_some_and(|handle| handle.is_aborted());
            Some((attempt, if aborted { Ending::Abandoned } else { ending }))
        })
    }
}
