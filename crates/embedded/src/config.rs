use std::path::PathBuf;
use std::time::Duration;

/// Why an embedded broker could not be opened: each in one sentence that says what, where, and what to do.
pub use log::OpenError;

/// Where an embedded broker keeps its data, and how much.
#[derive(Clone, Debug)]
pub struct Config {
    /// The data directory; created where it does not exist.
    pub path: PathBuf,
    /// A topic whose unsettled records take this many bytes refuses more. It bounds what is kept of settled ones, too.
    pub max_bytes_per_topic: u64,
    /// Bytes of disk taken ahead, so that a full disk can still be drained.
    pub reserve: u64,
    /// What all subscriptions have settled goes when it is older than this…
    pub retention_age: Duration,
    /// …or when its topic takes more bytes than this. A topic without subscriptions keeps by age and size alone.
    pub retention_bytes: u64,
    /// Size of a segment file: what retention removes at a time.
    pub segment_bytes: u64,
}

impl Config {
    /// The defaults, in this directory.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            max_bytes_per_topic: 10 << 30,
            reserve: 256 << 20,
            retention_age: Duration::from_secs(7 * 24 * 3600),
            retention_bytes: 10 << 30,
            segment_bytes: 64 << 20,
        }
    }

    pub(crate) fn options(&self) -> log::Options {
        log::Options {
            // A segment is what can be freed at once, so a small topic needs small ones.
            segment_bytes: self.segment_bytes.min((self.max_bytes_per_topic / 8).max(4096)),
            reserve_bytes: self.reserve,
            log_bytes_max: self.max_bytes_per_topic,
            retention_age: self.retention_age,
            retention_bytes: self.retention_bytes.min(self.max_bytes_per_topic),
            ..log::Options::default()
        }
    }
}
