use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio_util::task::TaskTracker;

use crate::problem::Problem;

/// A request's body, read within bounds.
///
/// A client that is answered before it has sent all would see its connection reset, and often not the answer. So what it
/// still sends is read and thrown away for a little while, beside the answer.
#[derive(Debug)]
pub(super) struct Reader {
    body: Option<Incoming>,
    tasks: TaskTracker,
    /// The client waits for `100 Continue`, which reading would send: it has sent nothing to throw away.
    waits: bool,
    budget: Budget,
    /// What this body holds of the budget.
    held: usize,
}

/// Bounds the bytes of all bodies that are held at once, over all connections: each may be as large as a body may be,
/// and thousands of connections may send one. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    used: Arc<AtomicUsize>,
    max: usize,
}

impl Budget {
    pub(super) fn new(max: usize) -> Self {
        Self { used: Arc::default(), max }
    }

    fn take(&self, bytes: usize) -> Result<(), Problem> {
        if self.used.fetch_add(bytes, Relaxed) + bytes <= self.max {
            return Ok(());
        }
        self.give_back(bytes);
        Err(Problem::new("overloaded", "the bodies of all requests together are too large at present"))
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Relaxed);
    }
}

const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 16 << 20;
const CAPACITY_MAX: usize = 256 << 10;

impl Reader {
    pub(super) fn new(body: Incoming, waits: bool, budget: Budget, tasks: TaskTracker) -> Self {
        Self { body: Some(body), tasks, waits, budget, held: 0 }
    }

    /// Whether nothing is (left) to be read.
    pub(super) fn is_empty(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    /// The whole body. Refused before a byte of it is read where `content-length` tells that it is too large, else at
    /// the first byte past the limit.
    pub(super) async fn all(&mut self, max: usize, deadline: Instant) -> Result<Bytes, Problem> {
        let announced = self.body.as_ref().map_or(0, |body| body.size_hint().lower());
        if announced > max as u64 {
            return Err(too_large(max));
        }
        tokio::time::timeout_at(deadline.into(), self.read(max, announced as usize))
            .await
            .unwrap_or_else(|_| Err(Problem::new("request_timeout", "the body did not come in time")))
    }

    async fn read(&mut self, max: usize, announced: usize) -> Result<Bytes, Problem> {
        let Some(first) = self.frame().await? else { return Ok(Bytes::new()) };
        if self.is_empty() && first.len() <= max {
            return Ok(first);
        }
        // What is announced need not come: room is made for what has.
        let mut all = BytesMut::with_capacity(announced.min(CAPACITY_MAX).max(first.len()));
        let mut next = Some(first);
        while let Some(bytes) = next {
            if all.len() + bytes.len() > max {
                return Err(too_large(max));
            }
            self.hold(all.len() + bytes.len())?;
            all.extend_from_slice(&bytes);
            next = self.frame().await?;
        }
        Ok(all.freeze())
    }

    /// Says how many bytes of the body are held now.
    pub(super) fn hold(&mut self, bytes: usize) -> Result<(), Problem> {
        match bytes.checked_sub(self.held) {
            Some(more) => self.budget.take(more)?,
            None => self.budget.give_back(self.held - bytes),
        }
        self.held = bytes;
        Ok(())
    }

    /// The next piece, `None` at the end. Cancel-safe.
    pub(super) async fn frame(&mut self) -> Result<Option<Bytes>, Problem> {
        while let Some(body) = self.body.as_mut() {
            self.waits = false;
            match body.frame().await {
                None => self.body = None,
                Some(Ok(frame)) => {
                    // Trailers say nothing here.
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
                Some(Err(error)) => {
                    self.body = None;
                    return Err(Problem::new("bad_request", format!("the body broke off: {error}")));
                }
            }
        }
        Ok(None)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.budget.give_back(self.held);
        if self.is_empty() || self.waits {
            return;
        }
        let (Some(mut body), Ok(runtime)) = (self.body.take(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        let read_on = async move {
            let mut left = LINGER_BYTES;
            while let Some(Ok(frame)) = body.frame().await {
                left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
                if left == 0 {
                    return;
                }
            }
        };
        self.tasks.spawn_on(async move { drop(tokio::time::timeout(LINGER, read_on).await) }, &runtime);
    }
}

pub(super) fn too_large(max: usize) -> Problem {
    Problem::new(
        "body_too_large",
        format!("at most {max} bytes are taken; limits.body in the configuration says so"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bodies_together_are_bounded() {
        let budget = Budget::new(100);
        budget.take(60).unwrap();
        assert_eq!(budget.take(41).unwrap_err().code(), "overloaded");
        budget.take(40).expect("what was refused is not counted");
        budget.give_back(60);
        budget.take(60).expect("what has ended makes room");
    }
}
