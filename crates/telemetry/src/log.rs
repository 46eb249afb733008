use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use tracing::{debug, error, info, trace, warn};

use crate::{AttemptResult, Happened, Observer, Shown, Trace};

/// Writes what happens to the log. What happens for every event is `debug`; what an operator should see is `warn`, at
/// most ten lines a second of a kind, so that an outage does not drown its own cause.
#[derive(Debug)]
pub struct Log {
    begun: Instant,
    letters: Throttle,
    failed_letters: Throttle,
    replies: Throttle,
    unknown: Throttle,
    full: Throttle,
}

const LINES_A_SECOND: u64 = 10;

impl Default for Log {
    fn default() -> Self {
        Self::new()
    }
}

impl Log {
    pub fn new() -> Self {
        let (letters, failed_letters, replies, unknown, full) = Default::default();
        Self { begun: Instant::now(), letters, failed_letters, replies, unknown, full }
    }

    fn may(&self, throttle: &Throttle) -> bool {
        throttle.may(self.begun.elapsed().as_secs())
    }

    /// What happens to single events.
    fn event(&self, happened: &Happened<'_>) {
        match happened {
            Happened::Accepted { topic, broker, events, bytes, latency, trace } => {
                debug!(topic, broker, events, bytes, ?latency, trace = %id(trace), "accepted");
            }
            // A full topic stays so until somebody acts.
            Happened::Refused { topic, code: code @ "log_full", events, trace } if self.may(&self.full) => {
                let trace = id(trace);
                warn!(topic, code, events, %trace, "refused: full; /v1/status tells whose backlog fills it");
            }
            Happened::Refused { topic, code, events, trace } => {
                debug!(topic, code, events, trace = %id(trace), "refused");
            }
            Happened::Unknown { topic, broker, events, trace } if self.may(&self.unknown) => {
                warn!(topic, broker, events, trace = %id(trace), "outcome unknown: the events may yet land");
            }
            Happened::AttemptBegun { subscription, events, attempt, probe, trace } => {
                trace!(subscription, events, attempt, probe, trace = %id(trace), "attempt begun");
            }
            Happened::AttemptEnded {
                subscription,
                id: event,
                attempt,
                result,
                status,
                latency,
                trace,
                ..
            } => {
                let (event, trace) = (Shown::text(event), id(trace));
                let result = word(*result);
                debug!(subscription, id = %event, attempt, result, status, ?latency, %trace, "attempt ended");
            }
            Happened::Settled { subscription, events, age } => {
                trace!(subscription, events, ?age, "settled");
            }
            Happened::DeadLettered { subscription, id: event, reason, status, attempts, trace }
                if self.may(&self.letters) =>
            {
                let (event, trace) = (Shown::text(event), id(trace));
                warn!(subscription, id = %event, reason, status, attempts, %trace, "dead-lettered");
            }
            Happened::DeadLetterFailed { subscription, id: event, error }
                if self.may(&self.failed_letters) =>
            {
                let (event, error) = (Shown::text(event), Shown::text(error));
                warn!(subscription, id = %event, %error, "a dead letter could not be written: it waits");
            }
            Happened::ReplyDropped { subscription, id: event, reason, trace } if self.may(&self.replies) => {
                let (event, reason, trace) = (Shown::text(event), Shown::text(reason), id(trace));
                warn!(subscription, id = %event, %reason, %trace, "the event in its answer was dropped");
            }
            _ => {}
        }
    }

    /// What happens to subscriptions and brokers.
    fn state(happened: &Happened<'_>) {
        match happened {
            Happened::Opened { subscription, .. } => debug!(subscription, "opened"),
            Happened::BreakerOpened { subscription, open } => {
                warn!(subscription, ?open, "breaker opened: the webhook is probed after this time");
            }
            Happened::BreakerClosed { subscription } => info!(subscription, "breaker closed"),
            Happened::Held { subscription, wait } => {
                info!(subscription, ?wait, "held: the webhook asked for it");
            }
            Happened::Paused { subscription, by } => warn!(subscription, by, "paused"),
            Happened::Resumed { subscription } => info!(subscription, "resumed"),
            Happened::Window { subscription, attempts } => trace!(subscription, attempts, "window"),
            Happened::Stuck { subscription, key, events } if *events > 0 => {
                let key = Shown(key.unwrap_or_default());
                warn!(subscription, %key, events, "reading stopped: the buffer is full behind a key");
            }
            Happened::Stuck { subscription, .. } => info!(subscription, "reading goes on"),
            Happened::Gap { subscription, events, message } => {
                let message = Shown::text(message);
                error!(subscription, events, %message, "events are gone from the broker and cannot be delivered");
            }
            Happened::Broker { broker, reason: Some(reason) } => {
                warn!(broker, reason = %Shown::text(reason), "broker down");
            }
            Happened::Broker { broker, reason: None } => info!(broker, "broker up"),
            _ => {}
        }
    }
}

impl Observer for Log {
    fn observe(&self, happened: &Happened<'_>) {
        self.event(happened);
        Self::state(happened);
    }
}

/// A trace id, or nothing.
fn id(trace: &Option<Trace>) -> impl fmt::Display {
    struct Id(Option<Trace>);
    impl fmt::Display for Id {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.map_or(Ok(()), |trace| write!(f, "{:032x}", trace.trace))
        }
    }
    Id(*trace)
}

fn word(result: AttemptResult) -> &'static str {
    match result {
        AttemptResult::Done => "done",
        AttemptResult::Retry => "retry",
        AttemptResult::DeadLetter => "dead_letter",
        AttemptResult::Pause => "pause",
        AttemptResult::Abandoned => "abandoned",
    }
}

/// Lets so many lines through in each second. Racing callers may let a line more through at a second's edge.
#[derive(Debug, Default)]
struct Throttle {
    second: AtomicU64,
    lines: AtomicU64,
}

impl Throttle {
    fn may(&self, second: u64) -> bool {
        if self.second.swap(second, Relaxed) != second {
            self.lines.store(0, Relaxed);
        }
        self.lines.fetch_add(1, Relaxed) < LINES_A_SECOND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_the_next_second_speaks_again() {
        let throttle = Throttle::default();
        assert_eq!((0..100).filter(|_| throttle.may(5)).count() as u64, LINES_A_SECOND);
        assert!(throttle.may(6));
    }
}
