//! What is told is counted under the promised names.

use std::time::Duration;

use postrider_telemetry::{AttemptResult, Happened, Metrics, Telemetry};

fn told(happened: &[Happened<'_>]) -> (Metrics, String) {
    let metrics = Metrics::new("1.2.3");
    let telemetry = Telemetry::new(vec![Box::new(metrics.clone())]);
    for h in happened {
        telemetry.tell(h.clone());
    }
    let page = metrics.encode();
    (metrics, page)
}

fn has(page: &str, line: &str) {
    assert!(page.lines().any(|l| l == line), "missing {line:?} in\n{page}");
}

#[test]
fn publishing_is_counted_by_outcome() {
    let latency = Duration::from_millis(2);
    let accepted = |events, bytes| Happened::Accepted {
        topic: "orders",
        broker: "local",
        events,
        bytes,
        latency,
        trace: None,
    };
    let (_, page) = told(&[
        accepted(1, 10),
        accepted(2, 30),
        Happened::Refused { topic: "orders", code: "log_full", events: 4, trace: None },
        Happened::Unknown { topic: "orders", broker: "local", events: 5, trace: None },
    ]);
    for line in [
        "messaging_client_sent_messages_total{messaging_destination_name=\"orders\",postrider_broker=\"local\",postrider_accepted=\"broker\"} 3",
        "messaging_client_operation_duration_seconds_count{messaging_operation_name=\"send\",messaging_destination_name=\"orders\",postrider_broker=\"local\"} 2",
        "postrider_sent_bytes_total{topic=\"orders\",broker=\"local\"} 40",
        "postrider_refused_events_total{topic=\"orders\",code=\"log_full\"} 4",
        "postrider_unknown_events_total{topic=\"orders\",broker=\"local\"} 5",
        "postrider_build_info{version=\"1.2.3\"} 1",
    ] {
        has(&page, line);
    }
    assert!(page.ends_with("# EOF\n"), "the page ends as OpenMetrics demands");
}

#[test]
fn delivering_is_counted_by_result_and_state() {
    let s = "billing";
    let ended = |result, status| Happened::AttemptEnded {
        subscription: s,
        id: "1",
        key: None,
        events: 1,
        attempt: 1,
        result,
        status,
        latency: Duration::from_millis(3),
        trace: None,
    };
    let begun = Happened::AttemptBegun { subscription: s, events: 1, attempt: 1, probe: false, trace: None };
    let (_, page) = told(&[
        begun.clone(),
        begun.clone(),
        begun,
        ended(AttemptResult::Done, Some(200)),
        ended(AttemptResult::Retry, Some(503)),
        Happened::Settled { subscription: s, events: 1, age: Duration::from_secs(1) },
        Happened::DeadLettered {
            subscription: s,
            id: "1",
            reason: "attempts_used_up",
            status: None,
            attempts: 30,
            trace: None,
        },
        Happened::ReplyDropped { subscription: s, id: "1", reason: "it has no id", trace: None },
        Happened::BreakerOpened { subscription: s, open: Duration::from_secs(1) },
        Happened::Window { subscription: s, attempts: 7 },
        Happened::Stuck { subscription: s, key: Some(b"k"), events: 9 },
        Happened::Gap { subscription: s, events: Some(11), message: "gone" },
        Happened::Paused { subscription: s, by: "operator" },
        Happened::Broker { broker: "local", reason: Some("gone") },
    ]);
    for line in [
        "messaging_client_consumed_messages_total{messaging_destination_subscription_name=\"billing\"} 1",
        "messaging_process_duration_seconds_count{messaging_destination_subscription_name=\"billing\",error_type=\"\"} 1",
        "messaging_process_duration_seconds_count{messaging_destination_subscription_name=\"billing\",error_type=\"retry\"} 1",
        "postrider_dead_letters_total{subscription=\"billing\",reason=\"attempts_used_up\"} 1",
        "postrider_dropped_replies_total{subscription=\"billing\"} 1",
        "postrider_in_flight{subscription=\"billing\"} 1",
        "postrider_breaker_open{subscription=\"billing\"} 1",
        "postrider_breaker_openings_total{subscription=\"billing\"} 1",
        "postrider_window{subscription=\"billing\"} 7",
        "postrider_stuck{subscription=\"billing\"} 9",
        "postrider_gaps_total{subscription=\"billing\"} 1",
        "postrider_gap_events_total{subscription=\"billing\"} 11",
        "postrider_paused{subscription=\"billing\"} 1",
        "postrider_broker_up{broker=\"local\"} 0",
    ] {
        has(&page, line);
    }
}

#[test]
fn a_webhook_that_is_gone_ends_the_breaker() {
    let subscription = "billing";
    let (_, page) = told(&[
        Happened::BreakerOpened { subscription, open: Duration::from_secs(1) },
        Happened::Paused { subscription, by: "answer" },
    ]);
    has(&page, "postrider_breaker_open{subscription=\"billing\"} 0");
    has(&page, "postrider_paused{subscription=\"billing\"} 1");
}

#[test]
fn a_source_that_is_opened_again_begins_anew() {
    let subscription = "billing";
    let (_, page) = told(&[
        Happened::Opened { subscription, window: 16 },
        Happened::BreakerOpened { subscription, open: Duration::from_secs(1) },
        Happened::Paused { subscription, by: "answer" },
        Happened::Stuck { subscription, key: Some(b"k"), events: 9 },
        Happened::Window { subscription, attempts: 1 },
        Happened::Opened { subscription, window: 16 },
    ]);
    has(&page, "postrider_breaker_open{subscription=\"billing\"} 0");
    has(&page, "postrider_breaker_openings_total{subscription=\"billing\"} 1");
    has(&page, "postrider_paused{subscription=\"billing\"} 0");
    has(&page, "postrider_stuck{subscription=\"billing\"} 0");
    has(&page, "postrider_window{subscription=\"billing\"} 16");
}

#[test]
fn what_is_read_at_a_scrape_is_set_and_forgotten() {
    let (metrics, _) = told(&[]);
    metrics.set_lag("billing", 42, Some(Duration::from_millis(1500)));
    metrics.set_held("billing", 5, 2);
    let page = metrics.encode();
    has(&page, "postrider_lag_events{subscription=\"billing\"} 42");
    has(&page, "postrider_oldest_age_seconds{subscription=\"billing\"} 1.5");
    has(&page, "postrider_held{subscription=\"billing\"} 5");
    has(&page, "postrider_retrying{subscription=\"billing\"} 2");
    metrics.forget_subscription("billing");
    assert!(!metrics.encode().contains("postrider_lag_events{"), "a subscription that went shows no lag");
    metrics.set_lag("billing", 1, None);
    has(&metrics.encode(), "postrider_lag_events{subscription=\"billing\"} 1");
}

#[test]
fn every_family_has_its_row_in_the_docs() {
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
    let docs = std::fs::read_to_string(docs).expect("docs/metrics.md is there");
    let rows: Vec<&str> = docs
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name)
        .collect();
    // A family without series is not exposed.
    let (topic, broker, events, trace, s) = ("orders", "local", 1, None, "billing");
    let latency = Duration::from_millis(2);
    let (_, page) = told(&[
        Happened::Accepted { topic, broker, events, bytes: 1, latency, trace },
        Happened::Refused { topic, code: "log_full", events, trace },
        Happened::Unknown { topic, broker, events, trace },
        Happened::Opened { subscription: s, window: 1 },
        Happened::DeadLettered {
            subscription: s,
            id: "1",
            reason: "foreign",
            status: None,
            attempts: 0,
            trace,
        },
        Happened::Broker { broker, reason: None },
    ]);
    let families: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let exposed = families.iter().map(|family| match family.split_once(' ').expect("a name and a type") {
        (name, "counter") => format!("{name}_total"),
        (name, "info") => format!("{name}_info"),
        (name, _) => name.to_owned(),
    });
    let mut exposed: Vec<String> = exposed.collect();
    exposed.sort();
    let mut rows: Vec<String> = rows.into_iter().map(str::to_owned).collect();
    rows.sort();
    assert_eq!(exposed, rows, "what /metrics exposes, and the rows of docs/metrics.md");
}
