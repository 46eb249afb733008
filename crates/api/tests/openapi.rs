//! The committed description is the code's, and what it describes is there.

mod support;

use delivery::{LetterGroup, LetterView, Letters, Part, Status, StuckKey};
use serde::Serialize;
use serde_json::Value;
use support::{Server, request};

fn described() -> Value {
    serde_json::from_str(&postrider_api::openapi()).expect("JSON")
}

#[test]
fn the_committed_description_is_the_codes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, postrider_api::openapi()).expect("docs can be written");
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(committed == postrider_api::openapi(), "docs/openapi.json is stale: run this test with UPDATE=1");
}

#[tokio::test]
async fn what_is_described_of_the_app_listener_is_there() {
    let server = Server::start().await;
    let description = described();
    let mut paths = 0;
    for (path, item) in description["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            if operation["tags"] != serde_json::json!(["app"]) {
                continue;
            }
            let path = path.replace("{topic}", "orders");
            let reply = server.raw(&request(&method.to_uppercase(), &path, &support::BINARY, b"1")).await;
            assert_eq!(reply.status, 200, "{method} {path}: {reply:?}");
            paths += 1;
        }
    }
    assert_eq!(paths, 2);
}

fn keys(value: &impl Serialize) -> Vec<String> {
    let value = serde_json::to_value(value).expect("JSON");
    let mut keys: Vec<_> = value.as_object().expect("an object").keys().cloned().collect();
    keys.sort();
    keys
}

/// The types of these answers stand in `delivery`, which knows nothing of OpenAPI; their descriptions stand here.
#[test]
fn descriptions_have_the_members_that_are_answered() {
    let stuck = StuckKey { key: String::new(), attempts: 0, waiting: 0, last: String::new() };
    let part = Part { name: String::new(), state: String::new(), lag: 0, detail: Some(String::new()) };
    let status = Status {
        name: String::new(),
        durable_name: String::new(),
        topic: String::new(),
        broker: String::new(),
        to: String::new(),
        state: String::new(),
        reason: Some(String::new()),
        lag: 0,
        oldest_age_ms: Some(0),
        held: 0,
        in_flight: 0,
        retrying: 0,
        window: 0,
        breaker: String::new(),
        delivered: 0,
        dead_lettered: 0,
        gaps: 0,
        stuck_keys: vec![],
        parts: vec![part.clone()],
    };
    let group = LetterGroup { reason: String::new(), status: None, count: 0 };
    let letter = LetterView {
        id: String::new(),
        source: String::new(),
        key: None,
        reason: String::new(),
        status: None,
        attempts: 0,
        first: String::new(),
        last: String::new(),
        answer: String::new(),
        position: String::new(),
    };
    let letters = Letters { total: 0, groups: vec![], letters: vec![], next: Some(String::new()) };
    let description = described();
    for (name, answered) in [
        ("StuckKey", keys(&stuck)),
        ("Subscription", keys(&status)),
        ("Part", keys(&part)),
        ("LetterGroup", keys(&group)),
        ("Letter", keys(&letter)),
        ("Letters", keys(&letters)),
    ] {
        let schema = &description["components"]["schemas"][name]["properties"];
        let mut properties: Vec<_> = schema.as_object().expect(name).keys().cloned().collect();
        properties.sort();
        assert_eq!(properties, answered, "{name}");
    }
}

#[test]
fn every_response_is_described_and_every_failure_is_a_problem_document() {
    for (path, item) in described()["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            for (status, response) in operation["responses"].as_object().expect("responses") {
                let which = format!("{method} {path} {status}: {response}");
                assert!(response["description"].as_str().is_some_and(|text| !text.is_empty()), "{which}");
                let types: Vec<_> = response["content"].as_object().into_iter().flatten().collect();
                if status.starts_with(['4', '5', 'd']) && operation["tags"] != serde_json::json!(["health"]) {
                    assert!(
                        matches!(&types[..], [(name, _)] if *name == "application/problem+json"),
                        "{which}"
                    );
                }
            }
        }
    }
}
