//! What an answer means: the table of statuses, its overrides, and `Retry-After`.

use std::time::{Duration, SystemTime};

use engine::{Outcome, Scope};
use http::{HeaderMap, StatusCode, header};

use super::exchange::Failure;
use crate::Answer;

/// The answer table of one subscription.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    overrides: Vec<(u16, Answer)>,
}

impl Table {
    pub(crate) fn new(overrides: Vec<(u16, Answer)>) -> Self {
        Self { overrides }
    }

    /// The outcome of an answer, `now` telling the time that a `Retry-After` date is measured from.
    pub(crate) fn outcome(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        now: impl FnOnce() -> SystemTime,
    ) -> Outcome {
        let after = match status.as_u16() {
            429 | 503 => {
                headers.get(header::RETRY_AFTER).and_then(|value| retry_after(value.as_bytes(), now()))
            }
            _ => None,
        };
        let overridden = self.overrides.iter().find(|(code, _)| *code == status.as_u16());
        match overridden.map_or_else(|| by_default(status), |(_, answer)| *answer) {
            Answer::Done => Outcome::Done,
            Answer::Retry => Outcome::Retry { scope: Scope::Endpoint, after },
            Answer::RetryEvent => Outcome::Retry { scope: Scope::Event, after },
            Answer::DeadLetter => Outcome::DeadLetter,
            Answer::Pause => Outcome::Pause,
        }
    }
}

fn by_default(status: StatusCode) -> Answer {
    match status.as_u16() {
        200..=299 => Answer::Done,
        // A final answer below 200 is none that a webhook should give: as wrong as a redirect.
        100..=199 | 300..=399 => Answer::Retry,
        401 | 403 | 404 | 429 | 502 | 503 | 504 => Answer::Retry,
        408 | 409 | 425 => Answer::RetryEvent,
        410 => Answer::Pause,
        400..=499 => Answer::DeadLetter,
        _ => Answer::RetryEvent,
    }
}

/// The outcome of an attempt without an answer. `app_up`: whether the app behind the webhook is expected to listen.
pub(crate) fn outcome_of(failure: &Failure, app_up: bool) -> Outcome {
    match failure {
        Failure::Refused(_) if !app_up => Outcome::Unreached,
        Failure::Timeout(_) => Outcome::Retry { scope: Scope::Event, after: None },
        Failure::Refused(_) | Failure::Broken(_) | Failure::Forbidden(_) | Failure::ConnectTimeout(_) => {
            Outcome::Retry { scope: Scope::Endpoint, after: None }
        }
    }
}

/// Reads `Retry-After` (RFC 9110 §10.2.3): seconds, or an HTTP date. What is neither is as good as absent.
fn retry_after(value: &[u8], now: SystemTime) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        // More seconds than fit are for ever; the engine caps them.
        return Some(Duration::from_secs(text.parse().unwrap_or(u32::MAX.into())));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDPOINT: Outcome = Outcome::Retry { scope: Scope::Endpoint, after: None };
    const EVENT: Outcome = Outcome::Retry { scope: Scope::Event, after: None };

    fn outcome(status: u16) -> Outcome {
        Table::default()
            .outcome(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), || SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn every_status_has_the_outcome_of_the_table() {
        for status in 100..1000 {
            let expected = match status {
                200..=299 => Outcome::Done,
                401 | 403 | 404 | 429 | 502 | 503 | 504 | 100..=199 | 300..=399 => ENDPOINT,
                408 | 409 | 425 | 500..=999 => EVENT,
                410 => Outcome::Pause,
                _ => Outcome::DeadLetter,
            };
            assert_eq!(outcome(status), expected, "{status}");
        }
    }

    #[test]
    fn overrides_win_over_the_table() {
        let table = Table::new(vec![
            (404, Answer::DeadLetter),
            (400, Answer::Retry),
            (422, Answer::RetryEvent),
            (500, Answer::Pause),
            (409, Answer::Done),
        ]);
        let outcome = |status| {
            table.outcome(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), || SystemTime::UNIX_EPOCH)
        };
        assert_eq!(outcome(404), Outcome::DeadLetter);
        assert_eq!(outcome(400), ENDPOINT);
        assert_eq!(outcome(422), EVENT);
        assert_eq!(outcome(500), Outcome::Pause);
        assert_eq!(outcome(409), Outcome::Done);
        assert_eq!(outcome(403), ENDPOINT, "what is not overridden stands");
    }

    #[test]
    fn retry_after_counts_on_429_and_503_as_seconds_or_as_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let after = |status: u16, value: &str| {
            let headers = HeaderMap::from_iter([(header::RETRY_AFTER, value.parse().unwrap())]);
            match Table::default().outcome(StatusCode::from_u16(status).unwrap(), &headers, || now) {
                Outcome::Retry { after, .. } => after,
                other => panic!("{status} is {other:?}"),
            }
        };
        assert_eq!(after(429, "7"), Some(Duration::from_secs(7)));
        assert_eq!(after(503, "Sun, 06 Nov 1994 08:50:37 GMT"), Some(Duration::from_secs(60)));
        assert_eq!(after(503, "Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO), "a past date");
        assert_eq!(after(503, "soon"), None);
        assert_eq!(after(503, "-1"), None);
        assert_eq!(after(429, "99999999999999999999999"), Some(Duration::from_secs(u32::MAX.into())));
        assert_eq!(after(500, "7"), None, "no other status may hold the subscription");
    }

    #[test]
    fn only_a_refusal_while_the_app_is_down_is_free() {
        let refused = || Failure::Refused(String::new());
        assert_eq!(outcome_of(&refused(), false), Outcome::Unreached);
        assert_eq!(outcome_of(&refused(), true), ENDPOINT);
        assert_eq!(outcome_of(&Failure::Broken(String::new()), false), ENDPOINT);
        assert_eq!(outcome_of(&Failure::Timeout(Duration::ZERO), true), EVENT);
    }
}
