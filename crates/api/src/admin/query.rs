//! Queries, read strictly: a filter that is misspelt must not select everything.

use std::time::{Duration, SystemTime};

use axum::extract::FromRequestParts;
use broker::Start;
use delivery::LetterFilter;
use http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// The query's parameters; an unknown one, or a value of the wrong form, is refused.
#[derive(Debug)]
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        axum::extract::Query::try_from_uri(&parts.uri)
            .map(|axum::extract::Query(value)| Self(value))
            .map_err(|e| Problem::new("bad_request", format!("the query: {}", reason(&e))))
    }
}

fn reason(error: &dyn std::error::Error) -> String {
    // The innermost error tells the parameter and what is wrong with it.
    error.source().map_or_else(|| error.to_string(), reason)
}

/// Which dead letters.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Letters {
    /// Letters of events with this id.
    id: Option<String>,
    key: Option<String>,
    /// `attempts_used_up`, `too_old`, …
    reason: Option<String>,
    /// The last answer's HTTP status.
    status: Option<u16>,
    /// A page's `next`: skips what stands before.
    from: Option<String>,
    /// At most so many letters.
    limit: Option<usize>,
}

impl Letters {
    pub(super) fn filter(self) -> LetterFilter {
        let Self { id, key, reason, status, from, limit } = self;
        LetterFilter { id, key, reason, status, from, limit }
    }
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Seek {
    /// `earliest`, `latest`, or an RFC 3339 time.
    pub(super) to: String,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Drain {
    /// How long deliveries under way may take: `50s`, `500ms`.
    #[serde(default)]
    pub(super) wait: Option<String>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Browse {
    /// `earliest` (the default), `latest` (what comes from now on), an RFC 3339 time, or a position.
    #[serde(default)]
    pub(super) from: Option<String>,
    /// At most so many events.
    #[serde(default)]
    pub(super) limit: Option<u64>,
    /// Wait for more at the end.
    #[serde(default)]
    pub(super) follow: bool,
}

/// `earliest`, `latest`, or an RFC 3339 time.
pub(super) fn start(text: &str) -> Result<Start, Problem> {
    match text {
        "earliest" => Ok(Start::Earliest),
        "latest" => Ok(Start::Latest),
        _ => time(text).map(Start::At).ok_or_else(|| {
            Problem::new(
                "bad_request",
                "the query: to is earliest, latest, or a time like 2026-01-31T12:00:00Z",
            )
        }),
    }
}

pub(crate) fn time(text: &str) -> Option<SystemTime> {
    SystemTime::try_from(text.parse::<jiff::Timestamp>().ok()?).ok()
}

/// `50s`, `500ms`, `5m`.
pub(crate) fn span(text: &str) -> Result<Duration, Problem> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit_ms = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        _ => None,
    };
    number
        .parse::<u64>()
        .ok()
        .zip(unit_ms)
        .and_then(|(number, unit_ms)| number.checked_mul(unit_ms))
        .map(Duration::from_millis)
        .ok_or_else(|| Problem::new("bad_request", "the query: wait is a time like 50s or 500ms"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_starts_are_read() {
        assert_eq!(span("50s").unwrap(), Duration::from_secs(50));
        assert_eq!(span("500ms").unwrap(), Duration::from_millis(500));
        for bad in ["", "5", "s", "-1s", "1h", "99999999999999999999s", "18446744073709551615m"] {
            assert!(span(bad).is_err(), "{bad}");
        }
        assert_eq!(start("latest").unwrap(), Start::Latest);
        assert!(matches!(start("2026-01-31T12:00:00Z"), Ok(Start::At(_))));
        assert!(start("yesterday").is_err());
    }
}
