use std::time::Duration;

/// One of a subscription's sources: its topic, or a redrive's dead-letter topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(pub u8);

impl SourceId {
    /// The subscription's own topic. Any other is that of its dead letters, while they are redriven.
    pub const TOPIC: Self = Self(0);
}

/// A delivery: a source, a dense slot of that source, and the generation of the slot's use (the contract's lease).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token {
    pub source: SourceId,
    pub slot: u32,
    pub generation: u32,
}

/// One POST.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Attempt(pub u64);

impl Attempt {
    /// A number that no other open attempt has, below the most that were ever open at once.
    pub fn place(self) -> usize {
        self.0 as u32 as usize
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Input<'a> {
    /// A source, opened before, handed a record out. Its slot lies below the largest credit granted (or the buffer).
    Arrived {
        token: Token,
        /// Digest of its key, where it has one and order matters.
        key: Option<u128>,
        /// Spent attempts so far, and when the first was made (ms since the Unix epoch, 0 for none).
        attempts: u32,
        first_ms: u64,
    },
    /// The source took the lease back. An open attempt of it is to be abandoned; it will come again.
    Revoked {
        token: Token,
    },
    /// The source wants the lease back in good order, and with it the held tail of its key: nothing is begun with them any
    /// more, and what has not begun is released at once. An open attempt ends by itself, a dead letter that is being
    /// written is written; what then is not done is released. A lease that is not known (any more) is passed over.
    Recalled {
        token: Token,
    },
    /// An attempt ended: one outcome a delivery, in the order of [`Action::Attempt`].
    Answered {
        attempt: Attempt,
        outcomes: &'a [Outcome],
        latency: Duration,
    },
    /// An attempt that [`Action::Abandon`] named is gone: its connection is closed.
    Abandoned {
        attempt: Attempt,
    },
    /// The dead letter of this delivery is durable, or could not be written.
    DeadLettered {
        token: Token,
        written: bool,
    },
    /// The timer of [`Action::Wake`] rang (it may ring early or twice).
    Woke,
    /// The state of the app behind the webhook. Nothing is sent while it is not `Up`; until the first word it counts as
    /// `Up`, so that a subscription without an app needs none.
    App(App),
    /// An operator's word, for this process's subscription.
    Pause,
    Resume,
    Reconfigure(Box<super::Policy>),
    /// A source was opened (redrives come and go); it has no credit yet.
    SourceOpened(SourceId),
    /// A source ended; its leases are dead.
    SourceClosed(SourceId),
    /// Start nothing new; let open attempts end. Answered by [`Action::Drained`] once none is open and all is released.
    Drain,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum App {
    /// Not up yet, or going down: refused connections then spend nothing.
    Down,
    Up,
}

/// What an answer means for one delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Retry {
        scope: Scope,
        /// What a `Retry-After` asked for. With [`Scope::Endpoint`] the whole subscription holds.
        after: Option<Duration>,
    },
    /// The attempt never reached the app, because that is starting or stopping: retried, spends nothing.
    Unreached,
    DeadLetter,
    /// Pause this process's subscription until a probe succeeds or an operator resumes.
    Pause,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Endpoint,
    Event,
}

/// Why a delivery is dead-lettered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    AttemptsUsedUp,
    TooOld,
    Answered,
}

/// What to do. `deliveries` are ranges of [`Actions::tokens`].
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// POST these deliveries as one attempt. `probe`: the breaker is open and this asks whether it may close.
    Attempt {
        attempt: Attempt,
        first: u32,
        count: u32,
        probe: bool,
    },
    /// Close this attempt's connection and answer with `Input::Abandoned`; its outcome no longer matters.
    Abandon {
        attempt: Attempt,
    },
    /// Settle as done, or release (the tail of a key is released by the engine, last first).
    Done {
        token: Token,
    },
    Release {
        token: Token,
    },
    /// Remember spent attempts with the broker.
    Note {
        token: Token,
        attempts: u32,
        first_ms: u64,
    },
    /// Write the dead letter, durably; answer with `Input::DeadLettered`.
    DeadLetter {
        token: Token,
        reason: Reason,
        attempts: u32,
        first_ms: u64,
    },
    /// Replaces the source's credit, as the contract's `set_credit` does: so many events may be outstanding (handed out
    /// and neither settled nor revoked). Lowering it takes nothing back.
    Credit {
        source: SourceId,
        events: u32,
    },
    /// Arm the one timer for this moment (monotonic), replacing what was armed. It rings once, as `Input::Woke`.
    Wake {
        at: Duration,
    },
    /// For the operator's eyes: metrics and logs.
    Transition(Transition),
    /// All that `Drain` asked for is done.
    Drained,
}

/// A change of state worth telling.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Transition {
    BreakerOpened {
        open: Duration,
    },
    BreakerClosed,
    /// A `Retry-After` holds the subscription.
    Held {
        until: Duration,
    },
    PausedByAnswer,
    PausedByDeadLetters,
    PausedByOperator,
    Resumed,
    Window {
        attempts: u32,
    },
    /// The buffer is full and this lane is the longest: reading stops. `None`: it goes on again.
    Stuck {
        longest: Option<Token>,
        events: u32,
    },
}

/// The caller's buffers for one step, cleared by the caller.
#[derive(Clone, Debug, Default)]
pub struct Actions {
    pub list: Vec<Action>,
    /// The deliveries of the step's attempts.
    pub tokens: Vec<Token>,
}

/// The time of a step: a monotonic clock for every timer, and the wall clock for `max_age` alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    pub monotonic: Duration,
    /// Milliseconds since the Unix epoch.
    pub wall_ms: u64,
}
