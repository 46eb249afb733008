//! What a test saw: log A (what publishers were told) and log D (what webhooks were sent).

/// Log A: one event that a publisher sent, and what it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    pub id: String,
    pub key: Option<String>,
    /// Rises by one within a key.
    pub seq: u64,
    /// Hexadecimal, of the data.
    pub sha256: String,
    /// The trace id of the publisher's `traceparent`, where it sent one.
    pub trace: Option<String>,
    /// A 2xx came back. Otherwise its fate is unknown: it may be delivered and need not be.
    pub accepted: bool,
    /// How often it was sent without being refused. Each of them may have landed.
    pub sends: u32,
}

/// Log D: one event of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The request that carried it. Several events share one in batch mode.
    pub request: u64,
    pub id: String,
    pub key: Option<String>,
    pub seq: Option<u64>,
    pub sha256: String,
    pub trace: Option<String>,
    pub subscription: String,
    /// The path that was posted to.
    pub path: String,
    /// `postrider-attempt`, from 1.
    pub attempt: u32,
    /// Nanoseconds since the webhook started.
    pub start: u64,
    /// When it was answered, or when its connection closed. `None`: still open.
    pub end: Option<u64>,
    /// The status it was answered with. `None`: still open, or it ended without an answer.
    pub status: Option<u16>,
}

impl Attempt {
    pub fn succeeded(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

/// An answer that told a publisher "not now" or "never": the event was not written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    /// The `code` of the problem.
    pub code: Option<String>,
    pub retry_after: bool,
}

/// Everything that one subscription is judged by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    pub published: Vec<Published>,
    pub attempts: Vec<Attempt>,
    /// Ids of the events in the subscription's dead letters, and of those that were redriven from there.
    pub dead: Vec<String>,
    pub refusals: Vec<Refusal>,
    /// Crashes and other faults that excuse duplicates.
    pub faults: usize,
}
