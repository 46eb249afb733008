//! Promise 9. A service cannot tell which broker is behind: the same script of requests gives the same statuses, headers
//! and bodies, and the webhook is sent the same, on any broker.
//!
//! What may differ is said here: positions, which are opaque; the order of events that have no key in common; dates,
//! times and ids that the sidecar makes up.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderMap;
use parking_lot::Mutex;
use postrider_tests::client::Answer as Response;
use postrider_tests::{Answer, Postrider, Seen, Setup, Webhook};
use serde_json::{Value, json};

const EVENTS: &str = "/v1/topics/orders/events";
const JSON: (&str, &str) = ("content-type", "application/json");
const STRUCTURED: (&str, &str) = ("content-type", "application/cloudevents+json");
const BATCH: (&str, &str) = ("content-type", "application/cloudevents-batch+json");
const LINES: (&str, &str) = ("content-type", "application/x-ndjson");
const PARENT: (&str, &str) = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");

/// One request of the script.
struct Step {
    /// What it is about; told where the brokers differ.
    name: &'static str,
    path: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    body: String,
    /// Deliveries that follow from it.
    delivered: usize,
}

fn step(name: &'static str, headers: &[(&'static str, &'static str)], body: impl Into<String>) -> Step {
    Step { name, path: EVENTS, headers: headers.to_vec(), body: body.into(), delivered: 0 }
}

impl Step {
    fn at(self, path: &'static str) -> Self {
        Self { path, ..self }
    }

    fn delivers(self, delivered: usize) -> Self {
        Self { delivered, ..self }
    }
}

fn event(id: &str, more: Value) -> Value {
    let mut event = json!({ "specversion": "1.0", "id": id, "source": "/s", "type": "com.example.order" });
    if let (Some(event), Some(more)) = (event.as_object_mut(), more.as_object()) {
        event.extend(more.clone());
    }
    event
}

/// The headers of an event in binary mode.
fn binary(id: &'static str, more: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    let required =
        [("ce-specversion", "1.0"), ("ce-id", id), ("ce-source", "/s"), ("ce-type", "com.example.order")];
    [&required, more].concat()
}

fn accepted() -> Vec<Step> {
    let within = event("within", json!({}));
    vec![
        step("binary", &binary("b-1", &[JSON, ("postrider-key", "k"), PARENT]), r#"{"n":1}"#).delivers(1),
        step(
            "every kind of attribute",
            &binary(
                "b-2",
                &[
                    ("content-type", "text/plain; charset=utf-8"),
                    ("ce-subject", "Euro%20%E2%82%AC%20%F0%9F%98%80"),
                    ("ce-time", "2016-12-31T23:59:60.5Z"),
                    ("ce-dataschema", "https://example.com/s"),
                    ("ce-comexampleextension", "%22quoted%22"),
                    ("ce-partitionkey", "p"),
                    ("ce-traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"),
                ],
            ),
            "text, untouched \u{e9}\n",
        )
        .delivers(1),
        step("no data", &binary("b-3", &[]), "").delivers(1),
        step(
            "structured",
            &[STRUCTURED, ("postrider-key", "k")],
            event("s-1", json!({ "data": { "a": [1, 2.50] }, "count": 3, "flag": true })).to_string(),
        )
        .delivers(1),
        step(
            "bytes in base64",
            &[STRUCTURED],
            event("s-2", json!({ "data_base64": "AAEC/w==", "datacontenttype": "application/octet-stream" }))
                .to_string(),
        )
        .delivers(1),
        step(
            "an event within an event",
            &[STRUCTURED],
            event("s-3", json!({ "datacontenttype": "application/cloudevents+json", "data": within }))
                .to_string(),
        )
        .delivers(1),
        step("by type", &[STRUCTURED], event("t-1", json!({ "data": 1 })).to_string())
            .at("/v1/events")
            .delivers(1),
        step("wrapped", &[JSON, ("idempotency-key", "w-1")], r#" {"total": 12} "#).delivers(1),
        step("minimal", &[STRUCTURED, ("prefer", "return=minimal")], event("m-1", json!({})).to_string())
            .delivers(1),
        step(
            "a batch",
            &[BATCH],
            json!([event("l-1", json!({ "partitionkey": "k" })), event("l-2", json!({}))]).to_string(),
        )
        .delivers(2),
        step("an empty batch", &[BATCH], "[]"),
        step("lines", &[LINES], format!("{}\n\n{}\r\n", event("n-1", json!({})), event("n-2", json!({}))))
            .delivers(2),
        step("a key of any text", &binary("b-4", &[JSON, ("postrider-key", "a b/\u{e9}")]), "{}").delivers(1),
        step("a key as it is delivered", &binary("b-5", &[JSON, ("postrider-key", "a%20b/%C3%A9")]), "{}")
            .delivers(1),
    ]
}

fn refused() -> Vec<Step> {
    vec![
        step("a malformed event", &[STRUCTURED], r#"{"specversion":"1.0","id":"1"}"#),
        step("no JSON", &[STRUCTURED], "{"),
        step("one bad entry", &[BATCH], json!([event("x-1", json!({})), { "id": "x-2" }]).to_string()),
        step("a bad line", &[LINES], format!("{}\n{{}}\n", event("y-1", json!({})))).delivers(1),
        step("an unknown topic", &[JSON], "{}").at("/v1/topics/nowhere/events"),
        step("no topic for the type", &[STRUCTURED], event("u-1", json!({ "type": "other" })).to_string())
            .at("/v1/events"),
        step("a form", &[("content-type", "application/x-www-form-urlencoded")], "a=1"),
        step("a reserved attribute", &[STRUCTURED], event("d-1", json!({ "deliverat": "x" })).to_string()),
        step(
            "too large for its topic",
            &[STRUCTURED],
            event("z-1", json!({ "data": "x".repeat(4096) })).to_string(),
        ),
        step("a key that encodes nothing", &[JSON, ("postrider-key", "100%")], "{}"),
        step("another host", &[JSON, ("host", "evil.example")], "{}"),
        step("a web page", &[JSON, ("origin", "https://evil.example")], "{}"),
    ]
}

/// What a client saw of an answer, without what is opaque or made up.
fn face(response: &Response) -> Value {
    let mut headers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, value) in &response.headers {
        let value = value.to_str().unwrap_or("no text");
        headers.entry(name.as_str()).or_default().push(value);
    }
    for made_up in ["date", "content-length"] {
        if let Some(values) = headers.get_mut(made_up) {
            *values = vec!["…"];
        }
    }
    let mut body = response.json();
    blank(&mut body);
    json!({ "status": response.status.as_u16(), "headers": headers, "body": body })
}

/// Blanks positions out, wherever they stand.
fn blank(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                match name.as_str() {
                    "position" => {
                        assert!(value.as_str().is_some_and(|text| !text.is_empty()), "a position: {value}");
                        *value = json!("…");
                    }
                    _ => blank(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(blank),
        _ => {}
    }
}

/// What a webhook saw of a delivery, without what is made up.
fn delivery(seen: &Seen) -> Value {
    let made_up = ["ce-time", "webhook-timestamp", "host", "content-length"];
    let text = |headers: &HeaderMap, name: &str| {
        headers
            .get_all(name)
            .iter()
            .map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned())
            .collect::<Vec<_>>()
    };
    let mut headers = BTreeMap::new();
    for name in seen.headers.keys() {
        let told = text(&seen.headers, name.as_str());
        // An event's own time came with it and stays.
        let own = name == "ce-time" && seen.attempt.id == "b-2";
        let shown = if made_up.contains(&name.as_str()) && !own { vec!["…".to_owned()] } else { told };
        headers.insert(name.as_str().to_owned(), shown);
    }
    json!({ "headers": headers, "body": String::from_utf8_lossy(&seen.body) })
}

/// A sidecar between a service that runs the script and one that answers.
struct Stand {
    sidecar: Postrider,
    webhook: Webhook,
    kept: Arc<Mutex<Vec<Seen>>>,
}

impl Stand {
    /// Not started yet.
    async fn new(setup: Setup) -> Self {
        let kept: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let keep = Arc::clone(&kept);
        let webhook = Webhook::scripted(move |seen| {
            keep.lock().push(seen.clone());
            // Each event is tried twice, and one is given up.
            match (seen.attempt.id.as_str(), seen.attempt.attempt) {
                ("m-1", _) => Answer::status(422).body("no"),
                (_, 1) => Answer::status(500),
                _ => Answer::status(204),
            }
        })
        .await;
        let topic = json!({ "max_event": "2KiB", "types": ["com.example.order"] });
        // Enough of a budget for the retries, and no breaker, so that the script alone decides.
        let more = json!({ "breaker": { "consecutive": 1000, "success_ratio": 0 } });
        let setup = setup.with("/topics/orders", topic).subscription("billing", &webhook.url("/"), more);
        Self { sidecar: Postrider::prepare(setup), webhook, kept }
    }

    /// Everything that a service sees, by the name of the step or the id of the event.
    async fn run(&mut self) -> BTreeMap<String, Value> {
        let sidecar = &mut self.sidecar;
        sidecar.start_again().await;
        let mut all = BTreeMap::new();
        let mut delivered = 0;
        for step in accepted().into_iter().chain(refused()) {
            let answer = sidecar.publish(step.path, &step.headers, &step.body).await;
            all.insert(format!("answer to {}", step.name), face(&answer));
            delivered += step.delivered;
        }
        let done = json!(delivered - 1);
        let settled = |s: &Value| s["delivered"] == done && s["dead_lettered"] == json!(1);
        sidecar.until_subscription("billing", "everything delivered, and one given up", settled).await;
        sidecar.until_settled("billing").await;
        for seen in self.kept.lock().drain(..) {
            let which = match seen.attempt.id.as_str() {
                // Wrapped without an id of its own.
                "" => "made up",
                id => id,
            };
            let name = format!("delivery of {which}, attempt {}", seen.attempt.attempt);
            assert!(all.insert(name.clone(), delivery(&seen)).is_none(), "{name} came twice");
        }
        let mut letters = sidecar.dead_letters("billing").await;
        for letter in letters["letters"].as_array_mut().into_iter().flatten() {
            for made_up in ["first", "last"] {
                letter[made_up] = json!("…");
            }
        }
        blank(&mut letters);
        all.insert("dead letters".into(), letters);
        let ended = sidecar.stop().await;
        assert_eq!(ended.code, Some(0), "{}", ended.output);
        self.webhook.until_quiet().await;
        all
    }
}

/// One sidecar, one configuration with all three brokers, and between two runs of the script one line of it changes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_line_chooses_embedded_kafka_or_pubsub_and_a_service_cannot_tell_which() {
    let mut stand = Stand::new(Setup::on_all()).await;
    let config = |stand: &Stand| {
        std::fs::read_to_string(stand.sidecar.config_path()).expect("the configuration is there")
    };
    let (at_first, embedded) = (config(&stand), stand.run().await);
    for broker in ["kafka", "pubsub"] {
        stand.sidecar.reconfigure(|setup| setup.with("/broker", json!(broker)));
        let now = config(&stand);
        let changed = at_first.lines().zip(now.lines()).filter(|(before, after)| before != after).count();
        assert_eq!((changed, now.lines().count()), (1, at_first.lines().count()), "one line: {now}");
        assert_alike(&embedded, broker, &stand.run().await);
    }
}

/// What is seen on a broker is what is seen on the embedded one.
fn assert_alike(embedded: &BTreeMap<String, Value>, broker: &str, there: &BTreeMap<String, Value>) {
    let names = |all: &BTreeMap<String, Value>| all.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(embedded), names(there), "the same answers and deliveries on {broker}");
    let differ: Vec<String> = embedded
        .iter()
        .filter(|(name, face)| there[*name] != **face)
        .map(|(name, face)| format!("{name}:\n  embedded {face}\n  {broker} {}", there[name]))
        .collect();
    assert!(differ.is_empty(), "a service can tell {broker} apart:\n{}", differ.join("\n"));
}

/// So that the comparison above compares something: what is expected of the script, on one broker.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_script_is_answered_as_the_interface_says() {
    let all = Stand::new(Setup::new()).await.run().await;
    let expected = accepted()
        .into_iter()
        .map(|step| (step, 200..=204))
        .chain(refused().into_iter().map(|step| (step, 400..=499)));
    for (step, statuses) in expected {
        let answer = &all[&format!("answer to {}", step.name)];
        let status = answer["status"].as_u64().unwrap_or_default();
        assert!(statuses.contains(&status), "{}: {answer:#}", step.name);
        assert!(status < 400 || answer["body"]["code"].is_string(), "{}: {answer:#}", step.name);
    }
    let within = &all["delivery of s-3, attempt 2"];
    assert_eq!(within["headers"]["content-type"], json!(["application/cloudevents+json"]));
    let body: Value = serde_json::from_str(within["body"].as_str().unwrap_or_default()).unwrap_or_default();
    assert_eq!((&body["id"], &body["data"]["id"]), (&json!("s-3"), &json!("within")), "{within:#}");
    assert_eq!(all["dead letters"]["letters"][0]["id"], "m-1");
}
