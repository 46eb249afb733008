use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a data directory could not be opened. Each message says what, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "the data directory {} is in use by process {}: stop that process, or give this one a directory of its own",
        .path.display(), .holder.map_or_else(|| "(unknown)".to_owned(), |pid| pid.to_string())
    )]
    Locked { path: PathBuf, holder: Option<u32> },
    #[error("cannot {action} {}: {source}; check that the path exists and that this user may read and write it", .path.display())]
    Path { action: &'static str, path: PathBuf, source: io::Error },
    #[error(
        "the data directory {} has format {found}, and this version reads up to format {known}: run the newer version that wrote it", .path.display()
    )]
    NewerFormat { path: PathBuf, found: u32, known: u32 },
    #[error("{} is no data directory or is damaged: {what}; restore it, or move it away to begin anew", .path.display())]
    Corrupt { path: PathBuf, what: String },
}

impl OpenError {
    /// For `map_err`: the action that failed, on which path.
    pub(crate) fn path(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Path { action, path, source }
    }
}

/// Why records were not appended, or not known to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    #[error("more is waiting to be written than the queue takes")]
    Overloaded,
    /// Refused: nothing of it stays on disk.
    #[error("the disk has no space left beyond the reserve that draining needs")]
    DiskFull,
    /// Refused: the unsettled records of this log are at their bound.
    #[error(
        "the unsettled records of the log are at their bound of {bound_bytes} bytes; subscription {held_by} is furthest behind"
    )]
    LogFull { bound_bytes: u64, held_by: Arc<str> },
    #[error("the batch is larger than a segment can take")]
    TooLarge,
    /// Refused: its deadline passed before anything of it was written.
    #[error("the deadline passed before the append began")]
    Expired,
    /// Refused: the disk failed earlier.
    #[error("{0}")]
    Poisoned(Arc<str>),
    #[error("the store is closed")]
    Closed,
    /// It may have been written: the write or its sync failed.
    #[error("{0}")]
    Unknown(Arc<str>),
}

/// Why another operation of the store failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    #[error("the disk has no space left for {0}")]
    DiskFull(String),
    /// The disk failed now or earlier; nothing is written any more.
    #[error("{0}")]
    Poisoned(Arc<str>),
    #[error("{0}")]
    Failed(String),
    #[error("the store is closed")]
    Closed,
}

/// Durable bytes that no longer validate. What they held is lost; what is left of the file is used, and it is kept
/// aside for an operator instead of being unlinked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Records `from..to` of a log are gone.
    Records { log: Arc<str>, path: PathBuf, from: u64, to: u64 },
    /// The last changes of a settle log cannot be read: what they settled is handed out again.
    Settles { subscription: String, path: PathBuf },
    /// Nothing of a settle log can be read: the subscription is unknown until it is created again.
    Subscription { subscription: String, path: PathBuf },
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Records { log, path, from, to } => write!(
                f,
                "records {from} to {} of {log} are damaged and lost ({})",
                to.saturating_sub(1),
                path.display()
            ),
            Self::Settles { subscription, path } => write!(
                f,
                "the settle log of {subscription} is damaged: what it settled last is handed out again ({})",
                path.display()
            ),
            Self::Subscription { subscription, path } => {
                write!(
                    f,
                    "the settle log of {subscription} cannot be read; it was set aside as {}",
                    path.display()
                )
            }
        }
    }
}

pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
