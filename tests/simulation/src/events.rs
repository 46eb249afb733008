use std::time::Duration;

use engine::Token;

use super::plan::Misfortune;

/// What will happen in the simulation's own world. `life` tells a process from its successor.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// A publisher sends its next event, or its last one again.
    Publish(usize),
    /// A publish call is answered by now.
    CallDue {
        process: u32,
        call: u64,
    },
    /// A driver that was late answers a call.
    Late {
        process: u32,
        call: u64,
    },
    /// A publisher does not wait for its answer.
    HangUp {
        process: u32,
        call: u64,
    },
    /// The publish path took no letter in.
    LetterRefused {
        life: u32,
        token: Token,
    },
    /// A publisher that is closed waits no longer.
    Closing {
        process: u32,
    },
    /// The webhook answers a request.
    Answer {
        life: u32,
        request: usize,
    },
    /// An abandoned request's connection is closed.
    Closed {
        life: u32,
        request: usize,
    },
    /// The engine's timer rings.
    Wake {
        life: u32,
        at: Duration,
    },
    Misfortune(Misfortune),
    /// A process starts.
    Start,
    /// A drain has taken too long.
    DrainDeadline {
        life: u32,
    },
    /// The engine is told whether the app is up.
    AppNoticed,
    /// The operator looks at the subscription and resumes it.
    Operator,
    /// Nothing fails any more.
    Heal,
}
