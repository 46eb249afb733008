use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::{Outcome, Receipt, RefusalKind};
use telemetry::{Happened, Telemetry, Trace};
use tokio_util::task::TaskTracker;

use crate::admission::Permit;
use crate::full::Full;
use crate::refusal_code;

/// How long past the deadline the driver's own answer is still awaited: it knows more than "unknown" where nothing was
/// written, or where some records of the batch are durable.
const GRACE: Duration = Duration::from_millis(100);

/// Records that a driver holds, until it has answered for them.
///
/// Whoever waits may go away, or give up at the deadline: the rest of the wait then goes on in a task of the publisher,
/// so that the records stay counted as under way for as long as the driver holds them, and are told of in the end.
#[derive(Debug)]
pub(crate) struct UnderWay {
    receipt: Option<Receipt>,
    records: usize,
    /// Given back when the driver has answered.
    permit: Option<Permit>,
    /// Taken when the outcome has been told.
    story: Option<Story>,
    tasks: TaskTracker,
}

/// What is to be told of the outcome.
#[derive(Debug)]
pub(crate) struct Story {
    pub(crate) telemetry: Telemetry,
    pub(crate) full: Arc<Full>,
    pub(crate) topic: Arc<str>,
    pub(crate) broker: Arc<str>,
    pub(crate) trace: Option<Trace>,
    /// One an event, in bytes.
    pub(crate) sizes: Vec<usize>,
    pub(crate) begun: Instant,
}

impl UnderWay {
    pub(crate) fn new(
        receipt: Receipt,
        records: usize,
        permit: Permit,
        story: Option<Story>,
        tasks: TaskTracker,
    ) -> Self {
        Self { receipt: Some(receipt), records, permit: Some(permit), story, tasks }
    }

    /// One outcome a record, at most [`GRACE`] past the deadline. Cancel-safe: dropped, the wait goes on elsewhere.
    pub(crate) async fn answer(mut self, deadline: Instant) -> Vec<Outcome> {
        let Some(receipt) = self.receipt.as_mut() else { return Vec::new() };
        let outcomes = match tokio::time::timeout_at((deadline + GRACE).into(), receipt).await {
            Ok(mut outcomes) => {
                self.receipt = None;
                // A driver that answers too little has said nothing of the rest.
                outcomes.resize(self.records, Outcome::Unknown("the driver gave no answer".into()));
                outcomes
            }
            Err(_) => {
                let late = "the broker did not answer within the deadline".to_owned();
                vec![Outcome::Unknown(late); self.records]
            }
        };
        if let Some(story) = self.story.take() {
            story.tell(&outcomes);
        }
        outcomes
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let (Some(receipt), Some(permit)) = (self.receipt.take(), self.permit.take()) else { return };
        let story = self.story.take();
        // Outside of a runtime nobody can wait; the permit is given back at once.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        self.tasks.spawn_on(
            async move {
                let outcomes = receipt.await;
                if let Some(story) = story {
                    story.tell(&outcomes);
                }
                drop(permit);
            },
            &runtime,
        );
    }
}

impl Story {
    fn tell(self, outcomes: &[Outcome]) {
        let Self { telemetry, full, topic, broker, trace, sizes, begun } = self;
        full.note(&topic, &broker, outcomes);
        let (topic, broker) = (&*topic, &*broker);
        let (mut durable, mut bytes, mut unknown) = (0, 0, 0);
        let mut refused: [(Option<RefusalKind>, u64); 7] = Default::default();
        for (outcome, size) in outcomes.iter().zip(sizes) {
            match outcome {
                Outcome::Durable(_) => {
                    durable += 1;
                    bytes += size as u64;
                }
                Outcome::Unknown(_) => unknown += 1,
                Outcome::Refused(refusal) => {
                    let kind = Some(refusal.kind);
                    if let Some(slot) = refused.iter_mut().find(|(k, _)| k.is_none() || *k == kind) {
                        *slot = (kind, slot.1 + 1);
                    }
                }
            }
        }
        if durable > 0 {
            let latency = begun.elapsed();
            telemetry.tell(Happened::Accepted { topic, broker, events: durable, bytes, latency, trace });
        }
        if unknown > 0 {
            telemetry.tell(Happened::Unknown { topic, broker, events: unknown, trace });
        }
        for (kind, events) in refused {
            let Some(kind) = kind else { break };
            telemetry.tell(Happened::Refused { topic, code: refusal_code(kind), events, trace });
        }
    }
}
