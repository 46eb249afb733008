/// Why a broker operation other than publish failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    pub kind: ErrorKind,
    /// One sentence for the operator: what, where, and what to do.
    pub message: String,
}

/// What the caller may do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The broker cannot be reached or is busy: trying again later is right.
    Unavailable,
    /// A topic or subscription that does not exist, and was not to be created.
    NotFound,
    /// The broker refuses this caller.
    Denied,
    /// What exists differs from what was asked (ordering, for one): the configuration or the broker must change.
    Conflict,
    /// The driver does not offer this: see [`Capabilities`](crate::Capabilities).
    Unsupported,
    /// The stored data is damaged, or the disk failed: an operator is needed.
    Corrupt,
    /// The driver has been closed.
    Closed,
}

impl Error {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub fn unsupported(what: &str) -> Self {
        Self::new(ErrorKind::Unsupported, format!("this broker cannot {what}"))
    }

    /// What a driver that was closed answers.
    pub fn closed() -> Self {
        Self::new(ErrorKind::Closed, "this broker's driver has been closed")
    }

    /// Whether the same call can succeed later without anybody changing anything.
    pub fn is_temporary(&self) -> bool {
        self.kind == ErrorKind::Unavailable
    }
}
