//! What happens, one readable line each, for `postrider dev`.

use std::time::Duration;

use telemetry::{AttemptResult, Happened, Observer};

use crate::output;

/// Prints what an event goes through: accepted, attempted, retried, dead-lettered.
#[derive(Debug)]
pub(super) struct Terminal;

impl Observer for Terminal {
    fn observe(&self, happened: &Happened<'_>) {
        if let Some((what, text)) = sentence(happened) {
            say(what, &text);
        }
    }
}

/// One line: the time of day (UTC), what happened, and to what.
pub(super) fn say(what: &str, text: &str) {
    let now = jiff::Timestamp::now().to_string();
    let time = now.get(11..23).unwrap_or(&now);
    // A terminal that went away ends nothing.
    drop(output::line(&format!("{time}Z  {what:<11} {}", output::printable(text))));
}

fn sentence(happened: &Happened<'_>) -> Option<(&'static str, String)> {
    let ms = |d: &Duration| format!("{:.1} ms", d.as_secs_f64() * 1_000.0);
    let named =
        |status: &Option<u16>| status.map_or_else(|| "no answer".to_owned(), |s| format!("answered {s}"));
    Some(match happened {
        Happened::Accepted { topic, events, latency, .. } => {
            ("accepted", format!("{topic}: {events} event{}, on disk after {}", plural(*events), ms(latency)))
        }
        Happened::Refused { topic, code, events, .. } => (
            "refused",
            format!("{topic}: {events} event{} ({code}; `postrider explain {code}`)", plural(*events)),
        ),
        Happened::Unknown { topic, events, .. } => {
            ("unknown", format!("{topic}: {events} event{} may or may not be written", plural(*events)))
        }
        Happened::AttemptEnded { subscription, id, attempt, result, status, latency, .. } => {
            let what = match result {
                AttemptResult::Done => "delivered",
                AttemptResult::Retry => "failed",
                AttemptResult::DeadLetter => "given up",
                AttemptResult::Pause => "pausing",
                AttemptResult::Abandoned => "abandoned",
            };
            (what, format!("{subscription}: {id}, attempt {attempt}, {} in {}", named(status), ms(latency)))
        }
        Happened::DeadLettered { subscription, id, reason, attempts, .. } => (
            "dead letter",
            format!(
                "{subscription}: {id} after {attempts} attempt{}: {reason}; see `postrider dead-letters list {subscription}`",
                plural(u64::from(*attempts))
            ),
        ),
        Happened::DeadLetterFailed { subscription, id, error } => {
            ("waits", format!("{subscription}: the dead letter of {id} could not be written: {error}"))
        }
        Happened::BreakerOpened { subscription, open } => {
            ("breaker", format!("{subscription}: the webhook seems down; next probe in {}", ms(open)))
        }
        Happened::BreakerClosed { subscription } => {
            ("breaker", format!("{subscription}: the webhook is back"))
        }
        Happened::Held { subscription, wait } => {
            ("held", format!("{subscription}: the webhook asked to wait {}", ms(wait)))
        }
        Happened::Paused { subscription, by } => ("paused", format!("{subscription}: by {by}")),
        Happened::Resumed { subscription } => ("resumed", (*subscription).to_owned()),
        Happened::Stuck { subscription, events: 0, .. } => {
            ("stuck", format!("{subscription}: reading goes on"))
        }
        Happened::Stuck { subscription, events, .. } => {
            ("stuck", format!("{subscription}: {events} events wait behind one key; reading stops"))
        }
        Happened::Gap { subscription, message, .. } => ("GAP", format!("{subscription}: {message}")),
        Happened::Broker { broker, reason: Some(reason) } => {
            ("broker", format!("{broker} is down: {reason}"))
        }
        Happened::Broker { broker, reason: None } => ("broker", format!("{broker} is up")),
        _ => return None,
    })
}

fn plural(n: u64) -> &'static str {
    if n == 1 { "" } else { "s" }
}
