use std::time::Duration;

/// What a subscription's configuration says about its deliveries. Replaced while running by `Input::Reconfigure`.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    pub ordering: Ordering,
    /// Most attempts open at once.
    pub concurrency: u32,
    pub mode: Mode,
    pub retry: Retry,
    pub breaker: Breaker,
    pub window: Window,
    pub dead_letter: DeadLetter,
    /// Most deliveries held at once (granted to the sources as credit, on demand).
    pub buffer: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ordering {
    /// A key's events one after another.
    Key,
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One delivery an attempt.
    Single,
    /// Up to `events` deliveries an attempt, a key's only as a contiguous run.
    Batch { events: u32 },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retry {
    /// Backoff is exponential with full jitter: uniform in [0, min(max, initial · 2ⁿ)].
    pub initial: Duration,
    pub max: Duration,
    /// Spent attempts, the first included.
    pub max_attempts: u32,
    /// From the first spent attempt; judged only when an attempt is spent.
    pub max_age: Duration,
    /// Cap on what a `Retry-After` may ask for.
    pub retry_after_max: Duration,
    /// Retry budget: retries a second that are always allowed, and the share of first attempts allowed beyond them
    /// (finagle's and tower's: 10/s and 20 % over 10 s). Waiting for the budget spends nothing.
    pub budget_floor_per_second: u32,
    pub budget_ratio: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Breaker {
    /// Endpoint failures in a row that open it.
    pub consecutive: u32,
    /// Below this share of successes, over `over` and at least five distinct deliveries, it opens.
    pub success_ratio: f64,
    pub over: Duration,
    /// First and longest time it stays open before a probe, doubling between.
    pub open: Duration,
    pub open_max: Duration,
    /// How often a subscription that an answer paused (410) is probed.
    pub pause_probe: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Attempts open at once to begin with; it adapts between 1 and `concurrency`.
    pub initial: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DeadLetter {
    /// Most letters a minute that answers may cause before the subscription pauses.
    pub max_per_minute: u32,
    pub after: AfterDeadLetter,
}

/// What a lane does when one of its deliveries has been dead-lettered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterDeadLetter {
    Continue,
    /// The lane stands still until an operator resumes the subscription.
    Pause,
}
