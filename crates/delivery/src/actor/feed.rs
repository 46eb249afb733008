//! One source and what it has handed out.

use std::collections::HashSet;
use std::task::{Context, Poll};
use std::time::Duration;

use broker::{Backoff, Credit, Lease, Position, Settle, Source};
use engine::{SourceId, Token};
use tokio::time::Instant;

use crate::held::{Held, Holder};

/// Most bytes of payloads that a source may have handed out.
pub(super) const BUFFER_BYTES: u64 = 32 * 1024 * 1024;
/// Most letters that a redrive's filter leaves out: they are held until it ends, at tens of bytes each.
pub(super) const LEFT_OUT_MAX: u32 = 1_000_000;
/// First and longest wait after a temporary error of a source.
const ERROR_WAITS: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(5)];

#[derive(Debug)]
pub(super) struct Feed {
    pub(super) source: Box<dyn Source>,
    pub(super) held: Held,
    pub(super) inputs: Vec<broker::Input>,
    /// What the engine granted.
    credit: u32,
    left_out_bytes: u64,
    /// After a temporary error: not polled before.
    pub(super) resting_until: Option<Instant>,
    /// What a temporary error said.
    pub(super) trouble: Option<String>,
    backoff: Backoff,
    pub(super) caught_up: bool,
    /// A redrive's filter: the letters that are to be delivered again and have not been yet. `None`: all.
    pub(super) chosen: Option<HashSet<Position>>,
    /// When it last handed something out.
    pub(super) last_input: Instant,
}

impl Feed {
    pub(super) fn new(id: SourceId, source: Box<dyn Source>, chosen: Option<HashSet<Position>>) -> Self {
        Self {
            source,
            held: if chosen.is_some() { Held::apart(id) } else { Held::new(id) },
            inputs: Vec::new(),
            credit: 0,
            left_out_bytes: 0,
            resting_until: None,
            trouble: None,
            backoff: Backoff::between(ERROR_WAITS),
            caught_up: false,
            chosen,
            last_input: Instant::now(),
        }
    }

    /// Polls the source into `inputs`. An error that ends it is returned, a temporary one lets it rest.
    pub(super) fn poll(&mut self, subscription: &str, cx: &mut Context<'_>) -> Poll<Option<broker::Error>> {
        if self.resting_until.is_some_and(|until| until > Instant::now()) {
            return Poll::Pending;
        }
        self.resting_until = None;
        match self.source.poll_next(cx, &mut self.inputs) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) => {
                self.backoff.reset();
                self.trouble = None;
                self.last_input = Instant::now();
                Poll::Ready(None)
            }
            Poll::Ready(Err(error)) if error.is_temporary() => {
                let wait = self.backoff.wait();
                tracing::warn!(subscription, %error, retry_in = ?wait, "nothing is handed out for now");
                self.resting_until = Some(Instant::now() + wait);
                self.trouble = Some(error.message);
                Poll::Ready(None)
            }
            Poll::Ready(Err(error)) => Poll::Ready(Some(error)),
        }
    }

    /// Whether the source may hand anything out: a subscription that is paused reads nothing.
    pub(super) fn may_read(&self) -> bool {
        self.credit > self.held.len()
    }

    pub(super) fn set_credit(&mut self, events: u32) {
        self.credit = events;
        self.grant();
    }

    /// Notes a delivery that the filter leaves out. It takes up none of the engine's credit.
    pub(super) fn leave_out(&mut self, lease: Lease, bytes: u32) {
        self.held.leave_out(lease);
        self.left_out_bytes += u64::from(bytes);
        self.grant();
    }

    /// A lease that the broker wants back. `Some`: the engine gives it back. What the filter leaves out goes at once.
    pub(super) fn recall(&mut self, lease: Lease) -> Option<Token> {
        match self.held.holder(lease)? {
            Holder::Engine(token) => Some(token),
            Holder::Nobody => {
                self.held.take_up(lease);
                self.source.settle(lease, Settle::Release);
                None
            }
        }
    }

    fn grant(&mut self) {
        let left_out = self.held.left_out().min(LEFT_OUT_MAX);
        self.source.set_credit(Credit {
            events: self.credit.saturating_add(left_out),
            bytes: BUFFER_BYTES.saturating_add(self.left_out_bytes),
        });
    }
}
