//! The parsers of this crate that nobody else calls, for the fuzz targets: built with `--cfg fuzzing` alone.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

/// A path segment or query value without its percent escapes.
pub fn percent_decoded(text: &str) -> Option<Cow<'_, str>> {
    crate::percent::decoded(text)
}

/// A query's span of time: `50s`.
pub fn span(text: &str) -> Option<Duration> {
    crate::admin::span(text).ok()
}

/// A query's RFC 3339 time.
pub fn time(text: &str) -> Option<SystemTime> {
    crate::admin::time(text)
}
