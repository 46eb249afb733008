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
    /// Why it is pending, paused or failed.
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
}

impl Status {
    /// Nothing is held any more; what was counted stays.
    pub(crate) fn drain(&mut self) {
        "drained".clone_into(&mut self.state);
        self.reason = None;
        (self.held, self.in_flight, self.retrying, self.window) = (0, 0, 0, 0);
        self.stuck_keys.clear();
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
