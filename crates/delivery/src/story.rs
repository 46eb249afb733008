//! An attempt as telemetry is told of it.

use std::time::Duration;

use broker::Body;
use engine::Outcome;
use telemetry::{AttemptResult, Happened, Telemetry};
use tokio::time::Instant;

use crate::attempt::{Verdict, trace_of};
use crate::push::Part;

/// An attempt that has begun. Dropped before its end, it tells that it was abandoned.
pub(crate) struct Story<'a> {
    telemetry: &'a Telemetry,
    subscription: &'a str,
    parts: &'a [Part<'a>],
    begun: Instant,
    ended: bool,
}

impl<'a> Story<'a> {
    pub(crate) fn begin(
        telemetry: &'a Telemetry,
        subscription: &'a str,
        parts: &'a [Part<'a>],
        probe: bool,
        begun: Instant,
    ) -> Self {
        let events = count(parts);
        let attempt = parts.first().map_or(1, |part| part.number);
        let trace = parts.first().and_then(|part| trace_of(part.record));
        telemetry.tell(Happened::AttemptBegun { subscription, events, attempt, probe, trace });
        Self { telemetry, subscription, parts, begun, ended: false }
    }

    /// How long it took.
    pub(crate) fn end(mut self, verdict: &Verdict) -> Duration {
        self.ended = true;
        let result = match verdict.outcome {
            Outcome::Done => AttemptResult::Done,
            Outcome::Retry { .. } | Outcome::Unreached => AttemptResult::Retry,
            Outcome::DeadLetter => AttemptResult::DeadLetter,
            Outcome::Pause => AttemptResult::Pause,
        };
        let latency = self.begun.elapsed();
        self.tell(result, verdict.status, latency);
        latency
    }

    fn tell(&self, result: AttemptResult, status: Option<u16>, latency: Duration) {
        let Some(first) = self.parts.first() else { return };
        self.telemetry.tell(Happened::AttemptEnded {
            subscription: self.subscription,
            id: id_of(&first.record.body),
            key: first.record.key.as_ref().map(broker::Key::as_bytes),
            events: count(self.parts),
            attempt: first.number,
            result,
            status,
            latency,
            trace: trace_of(first.record),
        });
    }
}

impl Drop for Story<'_> {
    fn drop(&mut self) {
        // Also where it panics: whoever catches that knows nothing of it.
        if !self.ended {
            self.tell(AttemptResult::Abandoned, None, self.begun.elapsed());
        }
    }
}

/// The event's id; foreign bytes have none.
pub(crate) fn id_of(body: &Body) -> &str {
    match body {
        Body::Event(event) => event.id(),
        Body::Foreign { .. } => "",
    }
}

fn count(parts: &[Part<'_>]) -> u32 {
    u32::try_from(parts.len()).unwrap_or(u32::MAX)
}
