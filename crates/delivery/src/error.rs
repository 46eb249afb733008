/// Why an operator's request failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    #[error("no subscription {0:?} runs here")]
    Unknown(String),
    #[error("subscription {0:?} runs here already")]
    Duplicate(String),
    #[error("a redrive of {0:?} is under way")]
    RedriveUnderWay(String),
    #[error("subscription {name:?} is not open at present: {state}")]
    NotRunning { name: String, state: String },
    #[error("subscription {name:?} cannot be delivered: {reason}")]
    Webhook { name: String, reason: String },
    #[error(transparent)]
    Broker(#[from] broker::Error),
}
