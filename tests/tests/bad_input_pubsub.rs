//! What a mistake gets on Pub/Sub: one clear answer, to the publisher and to the operator, that says what to do; and
//! never the loss of anything accepted.

use std::fs;
use std::time::{Duration, Instant};

use brokers::pubsub::{Code, Fault, PROJECT, Proxy};
use bytes::Bytes;
use http::Method;
use postrider_tests::client::{self, Answer as Response};
use postrider_tests::{Answer, Postrider, Setup, Webhook};
use serde_json::{Value, json};

const EVENTS: &str = "/v1/topics/orders/events";
const STRUCTURED: &str = "application/cloudevents+json";

/// An event in structured mode, and more of it.
fn event(id: &str, more: Value) -> Value {
    let mut event = json!({ "specversion": "1.0", "id": id, "source": "/tests", "type": "t" });
    let (Value::Object(into), Value::Object(more)) = (&mut event, more) else { panic!("two objects") };
    into.extend(more);
    event
}

async fn publish(sidecar: &Postrider, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Response {
    let request = client::request(Method::POST, EVENTS, headers, body);
    client::send(sidecar.app(), request).await.expect("the app listener answers")
}

/// Publishes a small event.
async fn publish_one(sidecar: &Postrider, id: &str) -> Response {
    publish(sidecar, &[("content-type", STRUCTURED)], event(id, json!({})).to_string()).await
}

#[track_caller]
fn assert_says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "it does not say {word:?}: {text}");
    }
}

#[track_caller]
fn assert_problem(answer: &Response, status: u16, code: &str, says: &[&str]) {
    let text = answer.text();
    assert_eq!((answer.status.as_u16(), answer.code().as_deref()), (status, Some(code)), "{text}");
    assert_says(&text, says);
    let waits = answer.header("retry-after").is_some();
    assert_eq!(waits, matches!(status, 429 | 503), "Retry-After where waiting helps: {text}");
}

/// A subscription `all` on Pub/Sub, with credentials: there is no emulator.
fn with_credentials(webhook: &Webhook, credentials: Value) -> Setup {
    Setup::new()
        .with("/broker", json!("main"))
        .with("/brokers", json!({ "main": { "pubsub": { "project": PROJECT, "credentials": credentials } } }))
        .with("/brokers/main/pubsub/endpoint", json!("https://localhost:1"))
        .with("/readiness/broker_wait", json!("100ms"))
        .subscription("all", &webhook.url("/"), json!({}))
}

/// Runs where nobody has credentials, but for a server that gives tokens at this address.
async fn start_with_tokens_from(metadata: &str, webhook: &Webhook) -> Postrider {
    let mut sidecar = Postrider::prepare(with_credentials(webhook, json!({})));
    let home = sidecar.directory().display().to_string();
    sidecar.set_environment("HOME", &home);
    sidecar.set_environment("GCE_METADATA_HOST", metadata);
    sidecar.start_again().await;
    sidecar
}

/// Waits until publishers, status and readiness tell a reason that says all this.
async fn until_pending(sidecar: &Postrider, says: &[&str]) {
    let reason = |s: &Value| s["reason"].as_str().unwrap_or_default().to_owned();
    let told = |s: &Value| says.iter().all(|word| reason(s).contains(word));
    let status = sidecar.until_subscription("all", &format!("a reason with {says:?}"), told).await;
    assert!(["pending", "failed"].contains(&status["state"].as_str().unwrap_or_default()), "{status:#}");
    let began = Instant::now();
    loop {
        let answer = publish_one(sidecar, "e-1").await;
        assert_problem(&answer, 503, "broker_pending", &[]);
        if says.iter().all(|word| answer.text().contains(word)) {
            break;
        }
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "publishers are not told {says:?}: {}",
            answer.text()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let request = client::request(Method::GET, "/readyz?verbose", &[], "");
    let ready = client::send(sidecar.health(), request).await.expect("the health listener answers");
    assert_says(&ready.text(), &["[-] broker main: "]);
    assert_says(&sidecar.output(), says);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_credentials_it_starts_and_tells_where_they_are_looked_for() {
    let webhook = Webhook::start().await;
    // Nobody listens there.
    let sidecar = start_with_tokens_from("127.0.0.1:1", &webhook).await;
    until_pending(&sidecar, &["GOOGLE_APPLICATION_CREDENTIALS", "credentials.file", "Workload Identity"])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_metadata_server_that_does_not_answer_holds_nothing_up() {
    let webhook = Webhook::start().await;
    let metadata = Webhook::scripted(|_| Answer::hang()).await;
    let sidecar = start_with_tokens_from(&metadata.address().to_string(), &webhook).await;
    until_pending(&sidecar, &["has not answered within 2s", "GOOGLE_APPLICATION_CREDENTIALS"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_that_is_granted_later_is_found_without_a_restart() {
    let webhook = Webhook::start().await;
    // As on a node where no service account is bound to the pod yet: an answer that Google's client takes for final.
    let metadata = Webhook::scripted(|_| Answer::status(404)).await;
    let sidecar = start_with_tokens_from(&metadata.address().to_string(), &webhook).await;
    until_pending(&sidecar, &["404", "Workload Identity"]).await;
    let token = json!({ "access_token": "t", "expires_in": 3600, "token_type": "Bearer" }).to_string();
    metadata.answer(move |seen| match seen.attempt.path.ends_with("/token") {
        true => Answer::status(200).body(token.clone()),
        false => Answer::status(404),
    });
    // With a token it comes as far as the endpoint, where nobody listens.
    let at_the_endpoint = |s: &Value| {
        s["reason"].as_str().is_some_and(|reason| reason.contains("connect") && !reason.contains("404"))
    };
    sidecar.until_subscription("all", "another reason, with a token", at_the_endpoint).await;
}

/// A service account's key as Google writes it, but for what signs.
fn key_that_signs_nothing() -> String {
    json!({
        "type": "service_account", "project_id": PROJECT, "private_key_id": "1", "private_key": "nonsense",
        "client_email": "orders@postrider.iam.gserviceaccount.com", "client_id": "1",
        "token_uri": "https://localhost:1/token",
    })
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credentials_file_that_cannot_be_used_ends_the_start_and_is_named() {
    let webhook = Webhook::start().await;
    let files = [
        ("missing.json", None, "file"),
        ("garbage.json", Some("no JSON at all".to_owned()), "expected ident"),
        ("other.json", Some(json!({ "type": "passport" }).to_string()), "passport"),
        ("half.json", Some(json!({ "type": "service_account" }).to_string()), "missing field"),
        ("key.json", Some(key_that_signs_nothing()), "key"),
    ];
    for (name, text, says) in files {
        for by_variable in [false, true] {
            let credentials = if by_variable { json!({}) } else { json!({ "file": name }) };
            let mut sidecar = Postrider::prepare(with_credentials(&webhook, credentials));
            let path = sidecar.directory().join(name);
            if by_variable {
                sidecar.set_environment("GOOGLE_APPLICATION_CREDENTIALS", &path.display().to_string());
            }
            if let Some(text) = &text {
                fs::write(path, text).expect("the test's own directory");
            }
            let ended = sidecar.run_to_its_end().await;
            assert_eq!(ended.code, Some(1), "{name}: {}", ended.output);
            assert_says(&ended.output, &["broker main", name, says, "credentials.file"]);
            assert!(!ended.output.contains("nonsense"), "secrets are not shown: {}", ended.output);
        }
    }
}

/// A sidecar with a subscription, before a server of which calls can be made to fail. Its topics are its own.
struct House {
    proxy: Proxy,
    webhook: Webhook,
    sidecar: Postrider,
    topic: String,
}

impl House {
    /// Started with these faults set; without one, when all is as it should be.
    async fn with(faults: Vec<Fault>) -> Self {
        Self::start(faults, |setup| setup).await
    }

    async fn start(faults: Vec<Fault>, change: impl FnOnce(Setup) -> Setup) -> Self {
        let wait = if faults.is_empty() { "60s" } else { "100ms" };
        let proxy = tokio::task::spawn_blocking(move || {
            let proxy = Proxy::start(brokers::pubsub::shared().address()).expect("a proxy starts");
            for fault in faults {
                proxy.set(fault).expect("the proxy takes a fault");
            }
            proxy
        });
        let proxy = proxy.await.expect("the proxy starts");
        let webhook = Webhook::start().await;
        let topic = format!("bad-input-{:016x}", fastrand::u64(..));
        let setup = Setup::on_pubsub(proxy.address())
            .with("/names/prefix", json!(format!("{topic}.")))
            .with("/topics/orders/names/main", json!(topic))
            .with("/readiness/broker_wait", json!(wait))
            .subscription("all", &webhook.url("/"), json!({}));
        let sidecar = Postrider::start(change(setup)).await;
        Self { proxy, webhook, sidecar, topic }
    }

    fn set(&self, fault: Fault) {
        self.proxy.set(fault).expect("the proxy takes a fault");
    }

    fn reset(&self) {
        self.proxy.reset().expect("the proxy forgets its faults");
    }

    /// Publishes until it is accepted, and waits until all of these have been delivered.
    async fn goes_on(&self, id: &str, delivered: usize) {
        let began = Instant::now();
        loop {
            let answer = publish_one(&self.sidecar, id).await;
            if answer.status == 200 {
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "it does not go on: {}", answer.text());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.webhook.until_delivered(delivered).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_project_is_told_and_corrected_without_a_restart() {
    let house = House::with(vec![
        Fault::refuse("CreateTopic", Code::NotFound),
        Fault::refuse("CreateSubscription", Code::NotFound),
    ])
    .await;
    let topic = format!("projects/{PROJECT}/topics/{}", house.topic);
    until_pending(&house.sidecar, &[&topic, "`project`", "does not exist"]).await;
    house.reset();
    house.goes_on("e-1", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_created_is_named_with_the_permission_that_it_takes() {
    for (method, permission, role, resource) in [
        ("CreateTopic", "pubsub.topics.create", "roles/pubsub.editor", "topics"),
        ("CreateSubscription", "pubsub.subscriptions.create", "roles/pubsub.editor", "subscriptions"),
    ] {
        let house = House::with(vec![Fault::refuse(method, Code::PermissionDenied)]).await;
        let resource = format!("projects/{PROJECT}/{resource}/{}", house.topic);
        until_pending(&house.sidecar, &[permission, role, &resource]).await;
        house.reset();
        house.goes_on("e-1", 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_publish_is_told_so_with_the_permission() {
    let house = House::with(Vec::new()).await;
    house.goes_on("e-1", 1).await;
    house.set(Fault::refuse("Publish", Code::PermissionDenied));
    let topic = format!("projects/{PROJECT}/topics/{}", house.topic);
    let says = ["pubsub.topics.publish", "roles/pubsub.publisher", &topic];
    assert_problem(&publish_one(&house.sidecar, "e-2").await, 403, "broker_denied", &says);
    let batch = json!([event("e-3", json!({})), event("e-4", json!({}))]).to_string();
    let headers = [("content-type", "application/cloudevents-batch+json"), ("prefer", "handling=strict")];
    let answer = publish(&house.sidecar, &headers, batch).await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    house.reset();
    house.goes_on("e-5", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_subscribe_is_told_so_with_the_permission() {
    let house = House::with(vec![Fault::refuse("StreamingPull", Code::PermissionDenied)]).await;
    let subscription = format!("projects/{PROJECT}/subscriptions/{}.shop.all", house.topic);
    let says = ["pubsub.subscriptions.consume", "roles/pubsub.subscriber", &subscription];
    let detail = |s: &Value| s["parts"][0]["detail"].as_str().unwrap_or_default().to_owned();
    let told = |s: &Value| says.iter().all(|word| detail(s).contains(word));
    let status = house.sidecar.until_subscription("all", "the missing permission", told).await;
    assert_eq!(status["parts"][0]["state"], "unreachable", "{status:#}");
    assert_says(&house.sidecar.output(), &says);
    assert_says(&house.sidecar.command(&["status"]).output, &says);
    // Publishing is another permission, and what is accepted waits for the subscription.
    assert_eq!(publish_one(&house.sidecar, "e-1").await.status, 200);
    house.reset();
    house.webhook.until_delivered(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_that_is_used_up_is_a_503_that_says_when_to_try_again() {
    let house = House::with(Vec::new()).await;
    house.set(Fault::refuse("Publish", Code::ResourceExhausted));
    assert_problem(&publish_one(&house.sidecar, "e-1").await, 503, "broker_busy", &["quota"]);
    house.reset();
    house.goes_on("e-2", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_larger_than_pubsub_takes_is_a_413_and_its_key_goes_on() {
    let large = |setup: Setup| {
        setup
            .with("/limits/body", json!("32MiB"))
            .with("/limits/request_timeout", json!("60s"))
            .with("/topics/orders/max_event", json!("32MiB"))
    };
    let house = House::start(Vec::new(), large).await;
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-id", "large"),
        ("ce-source", "/tests"),
        ("ce-type", "t"),
        ("content-type", "application/octet-stream"),
        ("postrider-key", "k"),
    ];
    let answer = publish(&house.sidecar, &headers, vec![7; 10_000_001]).await;
    assert_problem(&answer, 413, "event_too_large", &["9999488"]);
    // As large as may be, with room for its attributes.
    let answer = publish(&house.sidecar, &headers, vec![7; 9_990_000]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    house.webhook.until_delivered(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attributes_beyond_pubsubs_limits_are_carried_or_refused_by_name() {
    let house = House::with(Vec::new()).await;
    let seen = std::sync::Arc::new(parking_lot::Mutex::new(Vec::new()));
    let log = std::sync::Arc::clone(&seen);
    house.webhook.answer(move |request| {
        log.lock().push(request.headers.clone());
        Answer::status(204)
    });
    let headers = [("content-type", STRUCTURED)];
    let many: serde_json::Map<String, Value> = (0..150).map(|n| (format!("a{n}"), json!("x"))).collect();
    let long = "x".repeat(2000);
    for event in [
        event("many", json!(many)),
        event("long", json!({ "note": long })),
        event("data", json!({ "note": long, "data": {} })),
    ] {
        let answer = publish(&house.sidecar, &headers, event.to_string()).await;
        assert_eq!(answer.status, 200, "it travels in structured mode: {}", answer.text());
    }
    house.webhook.until_delivered(3).await;
    let data = seen.lock().iter().find(|headers| headers.contains_key("ce-note")).cloned();
    let note = data.and_then(|headers| headers["ce-note"].to_str().ok().map(str::len));
    assert_eq!(note, Some(2000), "it comes as it went");

    let name = "n".repeat(129);
    let body = event("name", json!({ name.as_str(): "x" })).to_string();
    let answer = publish(&house.sidecar, &headers, body).await;
    assert_problem(&answer, 400, "malformed_event", &[&name[..20], "128"]);
    let key = "k".repeat(1025);
    let headers = [("content-type", STRUCTURED), ("postrider-key", key.as_str())];
    let answer = publish(&house.sidecar, &headers, event("key", json!({})).to_string()).await;
    assert_problem(&answer, 400, "key_too_long", &["1025", "1,024"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_that_may_not_be_published_is_kept_and_told() {
    let house = House::with(Vec::new()).await;
    house.webhook.answer(|_| Answer::status(500));
    house.sidecar.publish_event("e-1", "k").await;
    house.set(Fault::refuse("Publish", Code::PermissionDenied));
    house.webhook.answer(|_| Answer::status(400));
    let letters = format!("projects/{PROJECT}/topics/{}.shop.all.dead-letter", house.topic);
    let says = [letters.as_str(), "pubsub.topics.publish", "roles/pubsub.publisher"];
    let told = |s: &Value| s["reason"].as_str().is_some_and(|why| says.iter().all(|word| why.contains(word)));
    let status =
        house.sidecar.until_subscription("all", "the reason why its dead letter is kept", told).await;
    assert_eq!((&status["dead_lettered"], &status["held"]), (&json!(0), &json!(1)), "{status:#}");
    assert_says(&house.sidecar.output(), &says);
    house.reset();
    let written = |s: &Value| s["dead_lettered"] == json!(1);
    let status = house.sidecar.until_subscription("all", "its dead letter", written).await;
    assert_eq!(status["reason"], Value::Null, "{status:#}");
    assert_eq!(house.sidecar.dead_ids("all").await, ["e-1"]);
}
