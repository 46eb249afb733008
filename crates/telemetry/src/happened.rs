use std::time::Duration;

/// The trace that an event belongs to, as its `traceparent` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    pub trace: u128,
    pub parent: u64,
    pub flags: u8,
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Happened<'a> {
    /// Events of one request became durable.
    Accepted {
        topic: &'a str,
        broker: &'a str,
        events: u64,
        bytes: u64,
        latency: Duration,
        trace: Option<Trace>,
    },
    /// Events were refused: never written. `code` is the problem's stable code.
    Refused {
        topic: &'a str,
        code: &'static str,
        events: u64,
        trace: Option<Trace>,
    },
    /// It is not known whether events were written.
    Unknown {
        topic: &'a str,
        broker: &'a str,
        events: u64,
        trace: Option<Trace>,
    },
    AttemptBegun {
        subscription: &'a str,
        events: u32,
        attempt: u32,
        probe: bool,
        trace: Option<Trace>,
    },
    AttemptEnded {
        subscription: &'a str,
        /// Id and key of the (first) event, for the log and the terminal.
        id: &'a str,
        key: Option<&'a [u8]>,
        events: u32,
        attempt: u32,
        result: AttemptResult,
        status: Option<u16>,
        latency: Duration,
        trace: Option<Trace>,
    },
    /// Deliveries were settled as done; `age`: from the broker taking it in to now.
    Settled {
        subscription: &'a str,
        events: u32,
        age: Duration,
    },
    DeadLettered {
        subscription: &'a str,
        id: &'a str,
        reason: &'static str,
        status: Option<u16>,
        attempts: u32,
        trace: Option<Trace>,
    },
    /// A dead letter could not be written; the delivery waits.
    DeadLetterFailed {
        subscription: &'a str,
        id: &'a str,
        error: &'a str,
    },
    /// An event in a webhook's answer was dropped, because it is malformed or its topic refuses it for good; the delivery
    /// is done all the same.
    ReplyDropped {
        subscription: &'a str,
        /// Of the (first) event that was answered; the reply itself may have none.
        id: &'a str,
        /// For operators: a sentence, not a code.
        reason: &'a str,
        trace: Option<Trace>,
    },
    /// A subscription begins to be delivered, or again after its source was lost: with its breaker closed, not paused, and
    /// so many attempts at once.
    Opened {
        subscription: &'a str,
        window: u32,
    },
    BreakerOpened {
        subscription: &'a str,
        open: Duration,
    },
    BreakerClosed {
        subscription: &'a str,
    },
    Held {
        subscription: &'a str,
        wait: Duration,
    },
    Paused {
        subscription: &'a str,
        by: &'static str,
    },
    Resumed {
        subscription: &'a str,
    },
    Window {
        subscription: &'a str,
        attempts: u32,
    },
    /// The buffer is full behind one key: reading stops. With no events, it goes on.
    Stuck {
        subscription: &'a str,
        key: Option<&'a [u8]>,
        events: u32,
    },
    /// A broker no longer has, or no longer whole, what was never settled: retention, damage, a log that was truncated.
    Gap {
        subscription: &'a str,
        events: Option<u64>,
        message: &'a str,
    },
    /// A broker went away, or came back (`reason` is `None`).
    Broker {
        broker: &'a str,
        reason: Option<&'a str>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AttemptResult {
    Done,
    Retry,
    DeadLetter,
    Pause,
    /// The connection was closed before an answer: a revoked lease or a shutdown.
    Abandoned,
}
