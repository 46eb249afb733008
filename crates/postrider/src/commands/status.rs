//! `postrider status`: the sidecar and its subscriptions at a glance.

use delivery::{Part, Status};
use http::Method;
use serde_json::Value;

use crate::cli::StatusArgs;
use crate::client::{self, Client};
use crate::failure::Failure;
use crate::output;

pub(crate) async fn run(args: StatusArgs) -> Result<(), Failure> {
    let client = Client::new(&args.admin.admin);
    if let Some(name) = &args.subscription {
        let path = format!("/v1/subscriptions/{}", client::escape(name));
        let status: Status = read(client.json(Method::GET, &path).await?)?;
        return output::value(args.output.output, &status, details);
    }
    let status = client.json(Method::GET, "/v1/status").await?;
    output::value(args.output.output, &status, overview)
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, Failure> {
    serde_json::from_value(value)
        .map_err(|e| Failure::failed(format!("the sidecar speaks another version: {e}")))
}

fn overview(status: &Value) -> String {
    let text = |name: &str| status.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
    let mut lines = vec![format!("{} {} · ready: {}", text("service"), text("version"), status["ready"])];
    for broker in status["brokers"].as_array().into_iter().flatten() {
        let reason = broker["reason"].as_str().map(|r| format!(" ({r})")).unwrap_or_default();
        lines.push(format!(
            "broker {}: {}{reason}",
            broker["name"].as_str().unwrap_or("-"),
            broker["health"].as_str().unwrap_or("-")
        ));
    }
    for topic in status["topics"].as_array().into_iter().flatten() {
        if let Some(reason) = topic["full"]["reason"].as_str() {
            let name = topic["name"].as_str().unwrap_or("-");
            lines.push(format!("topic {name} is full: {}", output::printable(reason)));
        }
    }
    let subscriptions: Vec<Status> =
        serde_json::from_value(status["subscriptions"].clone()).unwrap_or_default();
    let header =
        ["SUBSCRIPTION", "TOPIC", "STATE", "LAG", "OLDEST", "IN FLIGHT", "RETRYING", "BREAKER", "DEAD"];
    let rows = subscriptions.iter().map(|s| {
        vec![
            s.name.clone(),
            s.topic.clone(),
            s.state.clone(),
            s.lag.to_string(),
            s.oldest_age_ms.map_or_else(|| "-".into(), output::age),
            format!("{}/{}", s.in_flight, s.window),
            s.retrying.to_string(),
            s.breaker.clone(),
            s.dead_lettered.to_string(),
        ]
    });
    lines.push(output::table(&header, rows));
    for subscription in &subscriptions {
        if let Some(reason) = &subscription.reason {
            lines.push(format!("{}: {}", subscription.name, output::printable(reason)));
        }
        let parts = subscription.parts.iter().filter_map(part);
        lines.extend(parts.map(|part| format!("{}, {part}", subscription.name)));
    }
    lines.join("\n")
}

fn details(s: &Status) -> String {
    let mut lines = vec![
        format!("{} ({})", s.name, s.durable_name),
        format!("  {} on {} → {}", s.topic, s.broker, s.to),
        format!(
            "  {}{}",
            s.state,
            s.reason.as_deref().map(|r| format!(": {}", output::printable(r))).unwrap_or_default()
        ),
        format!("  lag {}, oldest {}", s.lag, s.oldest_age_ms.map_or_else(|| "-".into(), output::age)),
        format!(
            "  held {}, in flight {} of a window of {}, retrying {}, breaker {}",
            s.held, s.in_flight, s.window, s.retrying, s.breaker
        ),
        format!("  delivered {}, dead-lettered {}, gaps {}", s.delivered, s.dead_lettered, s.gaps),
    ];
    if !s.parts.is_empty() {
        let reading = s.parts.iter().filter(|part| is_reading(part)).count();
        lines.push(format!("  reading {reading} of {} parts", s.parts.len()));
    }
    lines.extend(s.parts.iter().filter_map(part).map(|part| format!("  {part}")));
    for key in &s.stuck_keys {
        lines.push(format!(
            "  stuck key {}: {} attempts, {} events wait behind it, last answer: {}",
            output::printable(&key.key),
            key.attempts,
            key.waiting,
            output::printable(&key.last)
        ));
    }
    lines.join("\n")
}

fn is_reading(part: &Part) -> bool {
    part.state == "reading"
}

/// A part that is not simply being read, in words.
fn part(part: &Part) -> Option<String> {
    let state = match part.state.as_str() {
        "reading" => return None,
        "held_back" => "is held back",
        "leaving" => "goes to another process",
        "unreachable" => "cannot be reached",
        // Of a later version.
        other => other,
    };
    let why = part.detail.as_deref().map(|detail| format!(": {}", output::printable(detail)));
    let name = output::printable(&part.name);
    Some(format!("{name} {state}, lag {}{}", part.lag, why.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_are_not_simply_read_are_told_in_words() {
        let of = |state: &str, detail: Option<&str>| {
            let (name, detail) = ("partition 3".to_owned(), detail.map(str::to_owned));
            part(&Part { name, state: state.to_owned(), lag: 12, detail })
        };
        assert_eq!(of("reading", None), None);
        assert_eq!(of("leaving", None).as_deref(), Some("partition 3 goes to another process, lag 12"));
        assert_eq!(
            of("held_back", Some("key a\u{1b}[2J waits")).as_deref(),
            Some(format!("partition 3 is held back, lag 12: {}", output::printable("key a\u{1b}[2J waits")))
                .as_deref()
        );
    }
}
