use std::time::Duration;

use broker::RefusalKind;

/// Why a call was refused as a whole, before anything was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("no topic {0:?} is configured")]
    UnknownTopic(String),
    #[error("no topic takes events of type {0:?}")]
    UnroutedType(String),
    #[error("event {index} has a key of {bytes} bytes; at most 1,024 are allowed")]
    KeyTooLong { index: usize, bytes: usize },
    #[error("event {index} has {bytes} bytes; topic {topic} takes at most {max}")]
    EventTooLarge { index: usize, bytes: usize, topic: String, max: usize },
    #[error("too much is being published at once")]
    Overloaded { retry_after: Duration },
    #[error("broker {broker} is not ready: {reason}")]
    Pending { broker: String, reason: String, retry_after: Duration },
    #[error("this process is shutting down")]
    Closing,
}

impl Error {
    /// The stable code that answers, metrics and `postrider explain` know this error by.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownTopic(_) => "unknown_topic",
            Self::UnroutedType(_) => "unrouted_type",
            Self::KeyTooLong { .. } => "key_too_long",
            Self::EventTooLarge { .. } => "event_too_large",
            Self::Overloaded { .. } => "overloaded",
            Self::Pending { .. } => "broker_pending",
            Self::Closing => "shutting_down",
        }
    }

    /// When the same call may succeed without anybody changing anything.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Overloaded { retry_after } | Self::Pending { retry_after, .. } => Some(*retry_after),
            Self::Closing => Some(Duration::from_secs(1)),
            _ => None,
        }
    }
}

/// The stable code of a broker's refusal of one record.
pub fn refusal_code(kind: RefusalKind) -> &'static str {
    match kind {
        RefusalKind::UnknownTopic => "topic_not_on_broker",
        RefusalKind::TooLarge => "event_too_large",
        RefusalKind::Denied => "broker_denied",
        RefusalKind::Overloaded => "broker_busy",
        RefusalKind::Unavailable => "broker_unavailable",
        RefusalKind::Full => "log_full",
        RefusalKind::AfterFailure => "after_failure",
    }
}
