//! Values: their types, their bounds, and those that belong together.

use super::refused;

#[test]
fn waits_grow() {
    refused(
        "    to:",
        "    retry: { initial: 10m }\n    breaker: { open_max: 500ms }\n    to:",
        "13:23 config_conflict subscriptions.billing.retry.initial: `initial` must not be longer than `max`\n\
         14:26 config_conflict subscriptions.billing.breaker.open_max: `open` must not be longer than `open_max`",
    );
    refused(
        "    to:",
        "    retry: { initial: 10m, max: soon }\n    to:",
        "13:33 config_bad_value subscriptions.billing.retry.max: `soon` is not a duration: it must begin with a whole number",
    );
}

#[test]
fn values_are_bounded_and_typed() {
    for (key, said) in [
        (
            "concurrency: 0",
            "18 config_bad_value subscriptions.billing.concurrency: `concurrency` must be between 1 and 10000",
        ),
        (
            "concurrency: many",
            "18 config_wrong_type subscriptions.billing.concurrency: this must be a whole number, and is `many`",
        ),
        (
            "breaker: { success_ratio: 1.5 }",
            "31 config_bad_value subscriptions.billing.breaker.success_ratio: `success_ratio` must be between 0 and 1",
        ),
        (
            "timeout: 30",
            "14 config_bad_value subscriptions.billing.timeout: `30` is not a duration: its unit is missing",
        ),
        (
            "timeout: [30s]",
            "5 config_wrong_type subscriptions.billing.timeout: this must be a duration, and is a list",
        ),
        (
            "answers: { 99: done }",
            "16 config_bad_value subscriptions.billing.answers.99: `99` is no status of an answer",
        ),
        (
            "service: 5",
            "14 config_wrong_type subscriptions.billing.service: this must be text, and is a number",
        ),
        (
            "mode: { batches: { max: 1 } }",
            "13 config_unknown_key subscriptions.billing.mode.batches: there is no key `batches` here",
        ),
        (
            "start: yesterday",
            "12 config_bad_value subscriptions.billing.start: `yesterday` is not a place to start: it is no RFC 3339 time with its offset",
        ),
        (
            "dead_letter: { max_rate: 100/h }",
            "30 config_bad_value subscriptions.billing.dead_letter.max_rate: `100/h` is not a rate: it must be `/s` or `/m`",
        ),
        (
            "filter: {}",
            "5 config_reserved subscriptions.billing.filter: `filter` is reserved: this release filters no events",
        ),
    ] {
        refused("    to:", &format!("    {key}\n    to:"), &format!("13:{said}"));
    }
}
