use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::{Position, Record};

/// Records for one topic, in order, to be answered by a deadline.
#[derive(Debug)]
pub struct Batch {
    /// The topic's name on the broker (already mapped from the logical one).
    pub topic: Arc<str>,
    pub records: Vec<Record>,
    /// Past it the answer is [`Outcome::Unknown`], unless it is known that nothing was written.
    pub deadline: Instant,
}

/// What became of one record. There is no fourth outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The broker holds it, as durably as the broker can.
    Durable(Position),
    /// It was never written and never will be.
    Refused(Refusal),
    /// It may have been written, or may yet be. The text says what happened.
    Unknown(String),
}

impl Outcome {
    pub fn is_durable(&self) -> bool {
        matches!(self, Self::Durable(_))
    }

    pub fn refused(kind: RefusalKind, message: impl Into<String>) -> Self {
        Self::Refused(Refusal { kind, message: message.into(), retry_after: None })
    }

    /// The same for what may pass soon: the publisher is asked to try again after a second. A broker's pulse is taken as
    /// often, and a queue drains within one.
    pub fn refused_for_now(kind: RefusalKind, message: impl Into<String>) -> Self {
        let retry_after = Some(Duration::from_secs(1));
        Self::Refused(Refusal { kind, message: message.into(), retry_after })
    }
}

/// Why a record was not written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub kind: RefusalKind,
    /// One sentence: what, where, what to do.
    pub message: String,
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// Why a record is refused that was not handed to the broker before its deadline.
    pub const LATE: &str = "its deadline had passed before it was handed to the broker";
}

/// The kinds of refusal that callers tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// The broker has no such topic, and it is not to be created.
    UnknownTopic,
    /// The record is larger than the broker takes.
    TooLarge,
    /// The broker refuses this caller.
    Denied,
    /// More is being published than the driver takes in: slow down.
    Overloaded,
    /// The broker cannot be reached, or its disk failed.
    Unavailable,
    /// The topic or the disk is at its bound; it drains as subscriptions settle.
    Full,
    /// An earlier record of the same key in this call was not durable.
    AfterFailure,
}

/// The answer to one [`Driver::publish`](crate::Driver::publish) call, to be awaited: one [`Outcome`] a record, in
/// order. Cancel-safe, and dropping it cancels nothing: the records are already on their way.
#[derive(Debug)]
#[must_use = "the outcomes of a publish are to be awaited"]
pub struct Receipt {
    records: usize,
    answer: oneshot::Receiver<Vec<Outcome>>,
}

/// The driver's side of a [`Receipt`]. Dropped without an answer, it answers [`Outcome::Unknown`] for every record.
#[derive(Debug)]
pub struct Promise(oneshot::Sender<Vec<Outcome>>);

impl Receipt {
    /// A receipt for so many records and the promise that answers it.
    pub fn new(records: usize) -> (Promise, Self) {
        let (sender, answer) = oneshot::channel();
        (Promise(sender), Self { records, answer })
    }

    /// A receipt that is answered already.
    pub fn ready(outcomes: Vec<Outcome>) -> Self {
        let (promise, receipt) = Self::new(outcomes.len());
        promise.answer(outcomes);
        receipt
    }

    /// A receipt that has answered so many records alike.
    pub fn alike(records: usize, outcome: Outcome) -> Self {
        Self::ready(vec![outcome; records])
    }
}

impl Promise {
    pub fn answer(self, outcomes: Vec<Outcome>) {
        // The publisher may have gone away; what it published stays published.
        drop(self.0.send(outcomes));
    }
}

impl Future for Receipt {
    type Output = Vec<Outcome>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answer).poll(cx).map(|answer| {
            answer.unwrap_or_else(|_| {
                vec![Outcome::Unknown("the driver stopped before it answered".into()); self.records]
            })
        })
    }
}
