//! Dead letters: writing them.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use broker::{BoxFuture, Letter, Outcome, Record};
use engine::{Input, Reason, Token};
use futures::FutureExt;
use futures::stream::{FuturesUnordered, Stream};
use publish::{Publisher, Topic};
use telemetry::Happened;

use super::Actor;
use crate::attempt::{Endpoint, Last, Load, trace_of, wall_ms};
use crate::held::LetterState;
use crate::room::Room;
use crate::story::id_of;

/// Longest time that a dead letter takes to become durable before its delivery goes back to waiting.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Most dead letters that are written at once: each has its record in memory.
const WRITING_MAX: usize = 32;

/// What became of a dead letter.
struct Lettered {
    token: Token,
    /// Or why it is not.
    written: Result<(), String>,
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

/// A dead letter that the engine asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) token: Token,
    pub(super) reason: Reason,
    pub(super) attempts: u32,
    pub(super) first_ms: u64,
}

/// The dead letters on their way: some being written, each with its record in memory, the rest waiting.
pub(super) struct Letters {
    /// Of its own: a letter is not to wait for a webhook that hangs.
    room: Arc<Room>,
    writing: FuturesUnordered<BoxFuture<'static, Lettered>>,
    waiting: VecDeque<Wanted>,
    /// The one that last failed, and why.
    failed: Option<(Token, String)>,
}

impl Letters {
    pub(super) fn new() -> Self {
        Self { room: Room::new(), writing: FuturesUnordered::new(), waiting: VecDeque::new(), failed: None }
    }
}

impl Actor<'_> {
    /// Takes in that a delivery is given up.
    pub(super) fn want_letter(&mut self, wanted: Wanted) {
        let Some((feed, _)) = self.feed_of(wanted.token) else { return };
        if let Some(slot) = feed.held.get_mut(wanted.token) {
            slot.letter = LetterState::Wanted;
        }
        self.letters.waiting.push_back(wanted);
    }

    /// Begins to write what may be written at once.
    pub(super) fn write_letters(&mut self) {
        while self.letters.writing.len() < WRITING_MAX
            && let Some(wanted) = self.letters.waiting.pop_front()
        {
            self.write_letter(wanted);
        }
    }

    /// Publishes the record as it is with the reason beside it. The engine is answered when that is durable or is not.
    fn write_letter(&mut self, wanted: Wanted) {
        let Wanted { token, reason, attempts, first_ms } = wanted;
        let (subscription, topic) = (self.life.spec.durable.name.clone(), self.life.spec.topic.clone());
        // A lease that died while its letter waited is no business of ours any more.
        let Some((feed, lease)) = self.feed_of(token) else { return };
        let Some(slot) = feed.held.get(token) else { return };
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
        let bytes = u64::from(slot.bytes);
        let record = match &slot.record {
            Some(record) => Load::Here(record.clone()),
            None => Load::Stored(feed.source.load(lease)),
        };
        let (endpoint, publisher) = (self.endpoint.clone(), self.life.tools.publisher.clone());
        let spec = self.life.spec.clone();
        let room = self.letters.room.clone();
        let write = async move {
            let _taken = room.take(bytes, None).await;
            write(&endpoint, &publisher, &spec.dead_letter, verdict, record).await
        };
        let write = AssertUnwindSafe(write).catch_unwind();
        self.letters.writing.push(Box::pin(write.map(move |written| {
            let written = written.unwrap_or_else(|_| {
                tracing::error!("writing a dead letter panicked; its event waits");
                Err("a panic".to_owned())
            });
            Lettered { token, written }
        })));
    }

    pub(super) fn poll_letters(&mut self, cx: &mut Context<'_>) -> bool {
        let mut any = false;
        while let Poll::Ready(Some(Lettered { token, written })) =
            Pin::new(&mut self.letters.writing).poll_next(cx)
        {
            any = true;
            let is_written = written.is_ok();
            self.letters.failed = written.err().map(|why| (token, why));
            if is_written {
                self.counts.dead_lettered += 1;
                if let Some(slot) = self.feed_of(token).and_then(|(feed, _)| feed.held.get_mut(token)) {
                    slot.letter = LetterState::Durable;
                }
            }
            self.inputs.push(Input::DeadLettered { token, written: is_written });
        }
        any
    }

    /// Why dead letters cannot be written: as long as the one that last failed is still to be.
    pub(super) fn letter_trouble(&self) -> Option<String> {
        let (token, why) = self.letters.failed.as_ref()?;
        let slot = self.feeds[usize::from(token.source.0)].as_ref()?.held.get(*token)?;
        (slot.letter == LetterState::Wanted).then(|| format!("a dead letter cannot be written: {why}"))
    }
}

/// Loads the record and publishes it with its letter. Returns when that is durable, or why it is not.
async fn write(
    endpoint: &Endpoint,
    publisher: &Publisher,
    topic: &Topic,
    verdict: Verdict,
    record: Load,
) -> Result<(), String> {
    let subscription = &*endpoint.name;
    let record = match record.await_record().await {
        Ok(record) => Arc::unwrap_or_clone(record),
        Err(error) => {
            let error = format!("it cannot be read from the broker: {error}");
            endpoint.telemetry.tell(Happened::DeadLetterFailed { subscription, id: "", error: &error });
            return Err(error);
        }
    };
    let (id, trace) = (id_of(&record.body).to_owned(), trace_of(&record));
    let (reason, attempts) = (verdict.reason, verdict.attempts);
    let status = verdict.last.as_ref().and_then(|last| last.status);
    let (letter, record) = verdict.letter(record);
    let written = match publisher.forward(topic, record, Some(letter), Instant::now() + WRITE_TIMEOUT) {
        Ok(outcome) => durable(outcome.await),
        Err(error) => Err(error.to_string()),
    };
    match &written {
        Ok(()) => {
            let told = Happened::DeadLettered { subscription, id: &id, reason, status, attempts, trace };
            endpoint.telemetry.tell(told);
        }
        Err(error) => {
            endpoint.telemetry.tell(Happened::DeadLetterFailed { subscription, id: &id, error });
        }
    }
    written
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
