use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::body::{Frame, SizeHint};

/// Tells how long a connection has waited for its peer alone: for a request, or for the peer to take more of an answer.
/// A peer that opens no window for HTTP/2 takes nothing though every write succeeds.
#[derive(Debug)]
pub(super) struct Quiet {
    begun: Instant,
    /// Requests that wait for this side: they are being handled, or more of their answers is being made.
    busy: AtomicUsize,
    /// When the peer's turn last began, in milliseconds since `begun`.
    since_ms: AtomicU64,
}

impl Quiet {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { begun: Instant::now(), busy: AtomicUsize::new(0), since_ms: AtomicU64::new(0) })
    }

    /// Zero while it is this side's turn.
    pub(super) fn elapsed(&self) -> Duration {
        if self.busy.load(Ordering::Acquire) > 0 {
            return Duration::ZERO;
        }
        let since = Duration::from_millis(self.since_ms.load(Ordering::Relaxed));
        self.begun.elapsed().saturating_sub(since)
    }

    pub(super) fn open(self: &Arc<Self>) -> Open {
        self.busy.fetch_add(1, Ordering::Relaxed);
        Open { quiet: self.clone(), is_ours: true }
    }
}

/// A request under way, from its head until its answer has been taken.
#[derive(Debug)]
pub(super) struct Open {
    quiet: Arc<Quiet>,
    /// Whether it waits for this side.
    is_ours: bool,
}

impl Open {
    fn ours(&mut self) {
        if !std::mem::replace(&mut self.is_ours, true) {
            self.quiet.busy.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The peer's turn begins, or begins anew.
    fn theirs(&mut self) {
        let now_ms = u64::try_from(self.quiet.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.quiet.since_ms.store(now_ms, Ordering::Relaxed);
        if std::mem::replace(&mut self.is_ours, false) {
            // Whoever sees nobody busy sees since when.
            self.quiet.busy.fetch_sub(1, Ordering::Release);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.theirs();
    }
}

/// An answer's body that counts as a request under way until it has been taken. Between two pieces it is the peer's
/// turn until the next is asked for, and this side's turn until that one is there.
#[derive(Debug)]
pub(super) struct Counted<B> {
    body: B,
    open: Open,
}

impl<B> Counted<B> {
    pub(super) fn new(body: B, mut open: Open) -> Self {
        open.theirs();
        Self { body, open }
    }
}

impl<B: hyper::body::Body + Unpin> hyper::body::Body for Counted<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match polled {
            Poll::Pending => self.open.ours(),
            Poll::Ready(_) => self.open.theirs(),
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt};
    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    #[test]
    fn an_answer_waits_for_its_peer_except_while_more_of_it_is_made() {
        let quiet = Quiet::new();
        let busy = || quiet.busy.load(Ordering::Relaxed);
        let open = quiet.open();
        assert_eq!(busy(), 1, "it is being handled");
        let (pieces, made) = futures::channel::mpsc::unbounded();
        let made = made.map(|piece: &'static [u8]| Ok::<_, std::io::Error>(Frame::data(piece)));
        let mut body = Counted::new(StreamBody::new(made), open);
        assert_eq!(busy(), 0, "nobody has asked for a piece");
        for _ in 0..2 {
            assert!(body.frame().now_or_never().is_none());
            assert_eq!(busy(), 1, "a piece is being made");
            pieces.unbounded_send(b"piece").unwrap();
            assert!(body.frame().now_or_never().flatten().is_some());
            assert_eq!(busy(), 0, "a piece has been taken");
        }
        assert!(body.frame().now_or_never().is_none());
        drop(body);
        assert_eq!(busy(), 0, "it is over");
    }
}
