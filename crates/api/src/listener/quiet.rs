use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::body::{Frame, SizeHint};

/// Tells how long a connection has had no request under way.
#[derive(Debug)]
pub(super) struct Quiet {
    begun: Instant,
    /// Requests under way, answers still being written included.
    open: AtomicUsize,
    /// When the last one ended, in milliseconds since `begun`.
    since_ms: AtomicU64,
}

impl Quiet {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { begun: Instant::now(), open: AtomicUsize::new(0), since_ms: AtomicU64::new(0) })
    }

    /// Zero while a request is under way.
    pub(super) fn elapsed(&self) -> Duration {
        if self.open.load(Relaxed) > 0 {
            return Duration::ZERO;
        }
        let since = Duration::from_millis(self.since_ms.load(Relaxed));
        self.begun.elapsed().saturating_sub(since)
    }

    pub(super) fn open(self: &Arc<Self>) -> Open {
        self.open.fetch_add(1, Relaxed);
        Open(self.clone())
    }
}

/// A request under way.
#[derive(Debug)]
pub(super) struct Open(Arc<Quiet>);

impl Drop for Open {
    fn drop(&mut self) {
        let now_ms = u64::try_from(self.0.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.since_ms.store(now_ms, Relaxed);
        self.0.open.fetch_sub(1, Relaxed);
    }
}

/// An answer's body that counts as a request under way until it has been taken.
#[derive(Debug)]
pub(super) struct Counted<B> {
    body: B,
    _open: Open,
}

impl<B> Counted<B> {
    pub(super) fn new(body: B, open: Open) -> Self {
        Self { body, _open: open }
    }
}

impl<B: hyper::body::Body + Unpin> hyper::body::Body for Counted<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
