//! The shapes of answers whose types stand in crates that know nothing of OpenAPI, and of those that are written by
//! hand. A test compares each with what is really answered.

use serde::Serialize;
use utoipa::ToSchema;

/// An event that is durable.
#[derive(Serialize, ToSchema)]
pub(crate) struct Accepted {
    id: String,
    source: String,
    /// By what: `broker`.
    accepted: String,
    /// Opaque.
    position: String,
}

/// A batch's entry: durable, or not and why.
#[derive(Serialize, ToSchema)]
pub(crate) struct Entry {
    id: String,
    source: String,
    accepted: Option<String>,
    position: Option<String>,
    status: Option<u16>,
    code: Option<String>,
    detail: Option<String>,
}

/// A batch's entries, in its order.
#[derive(Serialize, ToSchema)]
pub(crate) struct Results {
    results: Vec<Entry>,
    /// How many are not durable; absent where all are.
    failed: Option<u64>,
}

/// An NDJSON stream that is durable as a whole.
#[derive(Serialize, ToSchema)]
pub(crate) struct Lines {
    accepted: u64,
}

/// What a publish answers with: one event, a batch, or a stream.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "a description")]
pub(crate) enum Published {
    One(Accepted),
    Batch(Results),
    Stream(Lines),
}

/// A subscription of this process.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a description")]
pub(crate) struct Subscription {
    name: String,
    durable_name: String,
    topic: String,
    broker: String,
    to: String,
    /// `pending`, `running`, `paused`, `draining`, `drained`, `failed`. What is drained shows the lag of that moment.
    state: String,
    reason: Option<String>,
    lag: u64,
    oldest_age_ms: Option<u64>,
    held: u32,
    in_flight: u32,
    retrying: u32,
    window: u32,
    /// `closed`, `open`, `probing`.
    breaker: String,
    delivered: u64,
    dead_lettered: u64,
    gaps: u64,
    /// Keys whose head has been retried longest, at most ten.
    stuck_keys: Vec<StuckKey>,
    /// What it is read in here, where the broker has several parts of it; absent where it has none.
    parts: Option<Vec<Part>>,
}

/// A piece of a subscription, for an operator's eyes.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a description")]
pub(crate) struct Part {
    /// As the broker calls it.
    name: String,
    /// `reading`, `held_back` (reading has stopped: a bound is reached), `leaving` (another process gets it),
    /// `unreachable`.
    state: String,
    lag: u64,
    /// Why, and which key or position holds it up.
    detail: Option<String>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "a description")]
pub(crate) struct StuckKey {
    key: String,
    attempts: u32,
    /// Events that wait behind it.
    waiting: u32,
    /// The last answer.
    last: String,
}

/// Dead letters: all counted by reason, and a page of them.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a description")]
pub(crate) struct Letters {
    total: u64,
    groups: Vec<LetterGroup>,
    letters: Vec<Letter>,
    /// The next page's `from`.
    next: Option<String>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "a description")]
pub(crate) struct LetterGroup {
    reason: String,
    status: Option<u16>,
    count: u64,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "a description")]
pub(crate) struct Letter {
    id: String,
    source: String,
    key: Option<String>,
    reason: String,
    status: Option<u16>,
    attempts: u32,
    first: String,
    last: String,
    /// The head of the last answer.
    answer: String,
    position: String,
}
