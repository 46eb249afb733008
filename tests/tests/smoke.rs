//! The README's first tour, step by step, and the commands that it names.

use http::Method;
use postrider_tests::client::{self, Answer as Response};
use postrider_tests::{Backend, Postrider, Setup, Webhook, on_each_backend};
use serde_json::{Value, json};

/// What the tour's curl lines send.
async fn publish(sidecar: &Postrider, key: &str, body: &str) -> Response {
    let headers = [("content-type", "application/json"), ("postrider-key", key)];
    sidecar.publish("/v1/topics/orders.created/events", &headers, body).await
}

/// Tells the sample webhook what to answer.
async fn answer_with(sidecar: &Postrider, query: &str) {
    let request = client::request(Method::PUT, &format!("/answer?{query}"), &[], "");
    let answer = client::send(sidecar.sample_webhook(), request).await.expect("the sample webhook answers");
    assert!(answer.status.is_success(), "{query}: {} {}", answer.status, answer.text());
}

/// Runs a command that has to succeed, and returns what it printed.
fn run(sidecar: &Postrider, arguments: &[&str]) -> String {
    let ended = sidecar.command(arguments);
    assert_eq!(ended.code, Some(0), "postrider {}:\n{}", arguments.join(" "), ended.output);
    ended.output
}

#[tokio::test]
async fn the_readmes_tour_works_as_written() {
    let sidecar = Postrider::dev().await;

    let answer = publish(&sidecar, "customer-7", r#"{"total": 12}"#).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("postrider-accepted"), Some("broker"));
    let told = answer.json();
    assert_eq!(told["accepted"], "broker", "{told:#}");
    assert!(told["id"].as_str().is_some_and(|id| !id.is_empty()), "{told:#}");
    let delivered = |count: u64| move |s: &Value| s["delivered"] == json!(count);
    sidecar.until_subscription("sample", "the first event delivered", delivered(1)).await;

    answer_with(&sidecar, "status=500&times=2").await;
    publish(&sidecar, "customer-7", r#"{"total": 13}"#).await;
    sidecar.until_subscription("sample", "the second event delivered", delivered(2)).await;

    answer_with(&sidecar, "status=422&times=1").await;
    publish(&sidecar, "customer-8", r#"{"total": -1}"#).await;
    sidecar.until_subscription("sample", "a dead letter", |s| s["dead_lettered"] == json!(1)).await;

    assert!(run(&sidecar, &["status"]).contains("sample"));
    assert!(run(&sidecar, &["dead-letters", "list", "sample"]).contains("422"));
    let tail = ["tail", "orders.created", "--from", "earliest", "--no-follow", "-o", "json"];
    let tailed = run(&sidecar, &tail);
    assert_eq!(tailed.lines().count(), 3, "three events were published:\n{tailed}");
    run(&sidecar, &["dead-letters", "redrive", "sample"]);
    sidecar.until_subscription("sample", "the redriven event delivered", delivered(3)).await;
    let shown = sidecar.output();
    for words in ["customer-7", "500", "422"] {
        assert!(shown.contains(words), "dev shows {words:?} on each event's way:\n{shown}");
    }
}

#[tokio::test]
async fn dev_finds_its_data_again() {
    let mut sidecar = Postrider::dev().await;
    publish(&sidecar, "k", "1").await;
    sidecar.kill();
    sidecar.start_again().await;
    publish(&sidecar, "k", "2").await;
    let tailed =
        run(&sidecar, &["tail", "orders.created", "--from", "earliest", "--no-follow", "-o", "json"]);
    assert_eq!(tailed.lines().count(), 2, "{tailed}");
}

on_each_backend!(the_commands_speak_with_a_running_sidecar, the_listeners_tell_how_it_stands);

async fn the_commands_speak_with_a_running_sidecar(backend: Backend) {
    let webhook = Webhook::start().await;
    let sidecar =
        Postrider::start(Setup::on(backend).subscription("billing", &webhook.url("/"), json!({}))).await;
    run(&sidecar, &["healthcheck"]);
    run(&sidecar, &["publish", "orders", r#"{"total": 12}"#, "--key", "größe 7", "--id", "e-1"]);
    webhook.until_delivered(1).await;
    let delivered = webhook.attempts().pop().expect("it came just now");
    assert_eq!((delivered.id.as_str(), delivered.key.as_deref()), ("e-1", Some("gr%C3%B6%C3%9Fe%207")));
    assert_eq!(delivered.subscription, "billing");

    run(&sidecar, &["pause", "billing"]);
    sidecar.until_subscription("billing", "a pause", |s| s["state"] == "paused").await;
    let status: Value =
        serde_json::from_str(&run(&sidecar, &["status", "-o", "json"])).expect("JSON is printed");
    assert!(status.to_string().contains("paused"), "{status:#}");
    run(&sidecar, &["resume", "billing"]);
    if backend == Backend::Pubsub {
        let ended = sidecar.command(&["replay", "billing", "--from", "earliest"]);
        assert_eq!(ended.code, Some(1), "Pub/Sub's cursors are not ours to move:\n{}", ended.output);
        assert!(ended.output.contains("unsupported_by_broker"), "the reason is told:\n{}", ended.output);
        return;
    }
    run(&sidecar, &["replay", "billing", "--from", "earliest"]);
    webhook.until("the event again", |attempts| attempts.iter().filter(|a| a.succeeded()).count() == 2).await;
    run(&sidecar, &["drain", "--wait", "5s"]);
}

#[tokio::test]
async fn what_needs_no_sidecar_works_without_one() {
    let sidecar = Postrider::prepare(Setup::new());
    run(&sidecar, &["check", "--config", "postrider.yaml"]);
    assert!(run(&sidecar, &["version"]).contains("embedded"));
    let schema: Value = serde_json::from_str(&run(&sidecar, &["schema"])).expect("JSON is printed");
    assert!(schema["properties"]["subscriptions"].is_object(), "{schema:#}");
    assert!(run(&sidecar, &["explain", "log_full"]).contains("log_full"));
    run(&sidecar, &["completion", "bash"]);
    let ended = sidecar.command(&["status"]);
    assert_eq!(ended.code, Some(1), "nobody listens:\n{}", ended.output);
    assert!(
        ended.output.contains(&sidecar.admin_address().to_string()),
        "the address is told:\n{}",
        ended.output
    );
    assert_eq!(sidecar.command(&["stauts"]).code, Some(64));
}

async fn the_listeners_tell_how_it_stands(backend: Backend) {
    let sidecar = Postrider::start(Setup::on(backend)).await;
    for path in ["/livez", "/startupz", "/readyz", "/readyz?verbose", "/metrics"] {
        let request = client::request(Method::GET, path, &[], "");
        let answer = client::send(sidecar.health(), request).await.expect("the health listener answers");
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }
    for path in ["/", "/v1/status", "/v1/subscriptions", "/v1/config"] {
        sidecar.admin(Method::GET, path).await;
    }
}
