//! How a webhook's answer is judged, for the fuzz targets: built with `--cfg fuzzing` alone.

use std::time::{Duration, SystemTime};

use engine::Outcome;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::push::Table;

/// How long a `Retry-After` on a 429 asks to wait. `None`: it asks for nothing.
pub fn retry_after(value: &[u8], now: SystemTime) -> Option<Duration> {
    let headers = HeaderMap::from_iter([(http::header::RETRY_AFTER, HeaderValue::from_bytes(value).ok()?)]);
    match Table::default().outcome(StatusCode::TOO_MANY_REQUESTS, &headers, || now) {
        Outcome::Retry { after, .. } => after,
        other => panic!("a 429 is retried, and this one is {other:?}"),
    }
}
