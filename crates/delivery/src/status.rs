use serde::{Deserialize, Serialize};

/// A subscription as `/v1/subscriptions` shows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    pub name: String,
    pub durable_name: String,
    pub topic: String,
    pub broker: String,
    pub to: String,
    /// `pending`, `running`, `paused`, `draining`, `drained`, `failed`. What is drained shows the lag of that moment.
    pub state: String,
    /// Why it is pending, paused or failed, or what holds it up while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub lag: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_age_ms: Option<u64>,
    pub held: u32,
    pub in_flight: u32,
    pub retrying: u32,
    pub window: u32,
    /// `closed`, `open`, `probing`.
    pub breaker: String,
    pub delivered: u64,
    pub dead_lettered: u64,
    pub gaps: u64,
    /// Keys whose head has been retried longest, at most ten.
    pub stuck_keys: Vec<StuckKey>,
    /// What it is read in here, where the broker has several parts of it; at most a second old.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
}

impl Status {
    /// Nothing is held any more; what was counted stays.
    pub(crate) fn drain(&mut self) {
        "drained".clone_into(&mut self.state);
        self.reason = None;
        self.let_go();
    }

    /// No source is open: nothing is held, in flight or read.
    pub(crate) fn let_go(&mut self) {
        (self.held, self.in_flight, self.retrying, self.window) = (0, 0, 0, 0);
        self.stuck_keys.clear();
        self.parts.clear();
    }
}

/// A piece of the subscription, as its broker calls it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Part {
    pub name: String,
    /// `reading`, `held_back` (a bound is reached), `leaving` (another process gets it), `unreachable`.
    pub state: String,
    pub lag: u64,
    /// Why, and which key or position holds it up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl From<broker::Part> for Part {
    fn from(part: broker::Part) -> Self {
        let broker::Part { name, state, lag, detail } = part;
        Self { name, state: state.word().to_owned(), lag, detail }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StuckKey {
    pub key: String,
    pub attempts: u32,
    pub waiting: u32,
    /// The last answer.
    pub last: String,
}
