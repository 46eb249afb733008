//! Dead letters: writing them.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use broker::{Letter, Outcome, Record};
use engine::{Input, Reason, Token};
use futures::FutureExt;
use telemetry::Happened;

use super::Actor;
use crate::attempt::{Last, Load, trace_of, wall_ms};
use crate::held::LetterState;
use crate::story::id_of;

/// Longest time that a dead letter takes to become durable before its delivery goes back to waiting.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// What became of a dead letter.
#[derive(Debug)]
pub(super) struct Lettered {
    token: Token,
    written: bool,
}

/// Why and after what a delivery is given up.
struct Verdict {
    reason: &'static str,
    attempts: u32,
    first_ms: u64,
    position: String,
    subscription: String,
    topic: String,
    last: Option<Box<Last>>,
}

impl Actor<'_> {
    /// Publishes the record as it is with the reason beside it. The engine is answered when that is durable or is not.
    pub(super) fn write_letter(&mut self, token: Token, reason: Reason, attempts: u32, first_ms: u64) {
        let (subscription, topic) = (self.life.spec.durable.name.clone(), self.life.spec.topic.clone());
        let Some((feed, lease)) = self.feed_of(token) else { return };
        let Some(slot) = feed.held.get_mut(token) else { return };
        slot.letter = LetterState::Wanted;
        let foreign = slot.last.as_ref().is_some_and(|last| last.foreign);
        let verdict = Verdict {
            reason: word(reason, foreign),
            attempts: if foreign { 0 } else { attempts },
            first_ms,
            position: slot.position.to_string(),
            subscription,
            topic,
            last: slot.last.clone(),
        };
        let record = match &slot.record {
            Some(record) => Load::Here(record.clone()),
            None => Load::Stored(feed.source.load(lease)),
        };
        let (endpoint, publisher) = (self.endpoint.clone(), self.life.tools.publisher.clone());
        let spec = self.life.spec.clone();
        let write = async move {
            let record = record.await_record().await;
            let (id, written) = match record {
                Err(error) => (String::new(), Err(format!("it cannot be read from the broker: {error}"))),
                Ok(record) => {
                    let id = id_of(&record.body).to_owned();
                    let trace = trace_of(&record);
                    let (reason, attempts) = (verdict.reason, verdict.attempts);
                    let status = verdict.last.as_ref().and_then(|last| last.status);
                    let (letter, record) = verdict.letter(*record);
                    let deadline = Instant::now() + WRITE_TIMEOUT;
                    let written = match publisher.forward(&spec.dead_letter, record, Some(letter), deadline) {
                        Ok(outcome) => durable(outcome.await),
                        Err(error) => Err(error.to_string()),
                    };
                    if written.is_ok() {
                        let subscription = &endpoint.name;
                        let told =
                            Happened::DeadLettered { subscription, id: &id, reason, status, attempts, trace };
                        endpoint.telemetry.tell(told);
                    }
                    (id, written)
                }
            };
            if let Err(error) = &written {
                let subscription = &endpoint.name;
                endpoint.telemetry.tell(Happened::DeadLetterFailed { subscription, id: &id, error });
            }
            Lettered { token, written: written.is_ok() }
        };
        let write = AssertUnwindSafe(write).catch_unwind();
        self.letters.push(Box::pin(write.map(move |lettered| {
            lettered.unwrap_or_else(|_| {
                tracing::error!("writing a dead letter panicked; its event waits");
                Lettered { token, written: false }
            })
        })));
    }

    pub(super) fn take_lettered(&mut self, lettered: &Lettered) {
        let Lettered { token, written } = *lettered;
        if written {
            self.counts.dead_lettered += 1;
            if let Some(slot) = self.feed_of(token).and_then(|(feed, _)| feed.held.get_mut(token)) {
                slot.letter = LetterState::Durable;
            }
        }
        self.inputs.push(Input::DeadLettered { token, written });
    }
}

impl Verdict {
    /// The letter, and the record without the letter that a redriven one brought: that one's origin lives on in the new.
    fn letter(self, mut record: Record) -> (Letter, Record) {
        let (topic, position) = match record.letter.take() {
            Some(before) => (before.topic, before.position),
            None => (self.topic, self.position),
        };
        let (last_ms, status, answer) = match &self.last {
            Some(last) => (last.at_ms, last.status, last.answer.to_string()),
            None => (wall_ms(), None, String::new()),
        };
        let letter = Letter {
            topic,
            position,
            subscription: self.subscription,
            reason: self.reason.to_owned(),
            attempts: self.attempts,
            first_ms: if self.first_ms == 0 { last_ms } else { self.first_ms },
            last_ms,
            status,
            answer,
        };
        (letter, record)
    }
}

fn word(reason: Reason, foreign: bool) -> &'static str {
    match reason {
        Reason::Answered if foreign => "foreign",
        Reason::Answered => "answered_dead_letter",
        Reason::AttemptsUsedUp => "attempts_used_up",
        Reason::TooOld => "too_old",
    }
}

fn durable(outcome: Outcome) -> Result<(), String> {
    match outcome {
        Outcome::Durable(_) => Ok(()),
        Outcome::Refused(refusal) => Err(refusal.message),
        Outcome::Unknown(why) => Err(why),
    }
}
