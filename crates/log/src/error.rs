use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

/// Why a data directory could not be opened. Each message says what, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "the data directory {} is in use by process {}: stop that process, or give this one a directory of its own",
        .path.display(), .holder.map_or_else(|| "(unknown)".to_owned(), |pid| pid.to_string())
    )]
    Locked { path: PathBuf, holder: Option<u32> },
    #[error("cannot {action} {}: {source}; {}", .path.display(), advice(.source))]
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

fn advice(error: &io::Error) -> &'static str {
    match Shortage::of(error) {
        Some(shortage) => shortage.advice(),
        None if Errno::from_io_error(error) == Some(Errno::IO) => "check the disk",
        None => "check that the path exists and that this user may read and write it",
    }
}

/// What ran out. Nothing is broken by that: what was refused for it can be done once there is more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    DiskSpace,
    Descriptors,
}

impl Shortage {
    /// `None`: the error tells of something else.
    pub fn of(error: &io::Error) -> Option<Self> {
        match (error.kind(), Errno::from_io_error(error)) {
            (io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded, _) => Some(Self::DiskSpace),
            (_, Some(Errno::MFILE | Errno::NFILE)) => Some(Self::Descriptors),
            _ => None,
        }
    }

    /// What to do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::DiskSpace => "free space on that disk, or raise the quota",
            Self::Descriptors => {
                "raise the limit of open files (`ulimit -n`, LimitNOFILE in a systemd unit; fs.file-max where the whole system has reached its own), or lower limits.connections"
            }
        }
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
    /// Refused: nothing of it stays on disk.
    #[error("there are no file descriptors left for the log's next segment: {}", Shortage::Descriptors.advice())]
    NoDescriptors,
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

impl From<Shortage> for AppendError {
    fn from(shortage: Shortage) -> Self {
        match shortage {
            Shortage::DiskSpace => Self::DiskFull,
            Shortage::Descriptors => Self::NoDescriptors,
        }
    }
}

/// Why another operation of the store failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    #[error("the disk has no space left for {0}")]
    DiskFull(String),
    #[error("there are no file descriptors left for {}: {}", .0, Shortage::Descriptors.advice())]
    NoDescriptors(String),
    /// The disk failed now or earlier; nothing is written any more.
    #[error("{0}")]
    Poisoned(Arc<str>),
    #[error("{0}")]
    Failed(String),
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// What ran out for `what`.
    pub(crate) fn short(shortage: Shortage, what: String) -> Self {
        match shortage {
            Shortage::DiskSpace => Self::DiskFull(what),
            Shortage::Descriptors => Self::NoDescriptors(what),
        }
    }

    /// Creating or changing `what` failed.
    pub(crate) fn of(what: String, error: &io::Error) -> Self {
        match Shortage::of(error) {
            Some(shortage) => Self::short(shortage, what),
            None => Self::Failed(format!("cannot create or change {what}: {error}")),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_is_about_what_failed() {
        for (errno, advice) in [
            (Errno::NOSPC, "free space"),
            (Errno::DQUOT, "quota"),
            (Errno::MFILE, "ulimit -n"),
            (Errno::NFILE, "fs.file-max"),
            (Errno::IO, "check the disk"),
            (Errno::ACCESS, "this user may read and write it"),
            (Errno::NOENT, "the path exists"),
        ] {
            let message = OpenError::path("write", Path::new("/data/LOCK"))(errno.into()).to_string();
            let (what, after) = message.split_once("; ").unwrap();
            assert!(what.starts_with("cannot write /data/LOCK: "), "{message}");
            assert!(after.contains(advice), "{message}");
        }
    }
}
