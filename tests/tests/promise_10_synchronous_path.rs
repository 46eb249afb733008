//! Promise 10. The pod's synchronous path never suffers: a broker's outage does not make the pod unready. It is told in
//! status, metrics and answers. `gate: broker` asks for the opposite.
//!
//! On brokers that can be away: the embedded one is the process itself.

use std::time::{Duration, Instant};

use http::Method;
use postrider_tests::client::{self, Answer};
use postrider_tests::webhook::patience;
use postrider_tests::{Backend, Postrider, Remote, Setup, Webhook, on_each_backend_but_embedded, tell};
use serde_json::{Value, json};

on_each_backend_but_embedded!(
    a_broker_that_is_away_is_told_everywhere_and_the_pod_stays_ready,
    a_gate_asks_for_the_opposite,
    a_broker_that_was_never_there_keeps_nobody_from_starting,
);

/// Publishes are answered soon, whatever the broker does.
fn soon(setup: Setup) -> Setup {
    setup.with("/limits/request_timeout", json!("2s"))
}

async fn get(sidecar: &Postrider, path: &str) -> Answer {
    let request = client::request(Method::GET, path, &[], "");
    client::send(sidecar.health(), request).await.expect("the health listener answers")
}

async fn publish(sidecar: &Postrider, id: &str) -> Answer {
    let headers = [("content-type", "application/json"), ("idempotency-key", id)];
    sidecar.publish("/v1/topics/orders/events", &headers, "{}").await
}

async fn broker(sidecar: &Postrider) -> Value {
    sidecar.admin(Method::GET, "/v1/status").await["brokers"][0].clone()
}

/// Waits until the broker's health is told to be this; `/readyz` says the same all the while.
async fn until_health(sidecar: &Postrider, health: &str, ready: impl Fn(u16) -> bool) -> Value {
    let began = Instant::now();
    let mut probes = 0;
    let mut slowest = Duration::ZERO;
    loop {
        let probed = Instant::now();
        let status = get(sidecar, "/readyz").await.status.as_u16();
        slowest = slowest.max(probed.elapsed());
        probes += 1;
        assert!(ready(status), "/readyz is {status} before the broker is told to be {health}");
        let broker = broker(sidecar).await;
        if broker["health"] == json!(health) {
            tell(&format!("{health} after {:?}: {probes} probes, the slowest {slowest:?}", began.elapsed()));
            return broker;
        }
        assert!(began.elapsed() < patience(), "the broker is never told to be {health}: {broker:#}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until the broker's metric has this value: it is looked at once in a while.
async fn until_metric(sidecar: &Postrider, value: f64) {
    let began = Instant::now();
    loop {
        let metrics = get(sidecar, "/metrics").await.text();
        let line = metrics.lines().find(|line| line.starts_with("postrider_broker_up{")).unwrap_or_default();
        if line.rsplit(' ').next().and_then(|told| told.parse().ok()) == Some(value) {
            return;
        }
        assert!(began.elapsed() < patience(), "postrider_broker_up never became {value}: {line}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn a_broker_that_is_away_is_told_everywhere_and_the_pod_stays_ready(backend: Backend) {
    let remote = Remote::start(backend);
    let webhook = Webhook::start().await;
    let setup = soon(remote.setup()).subscription("billing", &webhook.url("/"), json!({}));
    let sidecar = Postrider::start(setup).await;
    assert_eq!(publish(&sidecar, "before").await.status, 200);
    let is_ready = |status| status == 200;

    // It answers nothing, as behind a network that drops everything.
    remote.pause();
    let answer = publish(&sidecar, "unknown").await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_deref()),
        (504, Some("outcome_unknown")),
        "{}",
        answer.text()
    );
    remote.resume();
    until_health(&sidecar, "up", is_ready).await;

    // It is gone.
    remote.kill();
    let down = until_health(&sidecar, "down", is_ready).await;
    for field in ["reason", "since"] {
        assert!(down[field].as_str().is_some_and(|text| !text.is_empty()), "{field} is told: {down:#}");
    }
    until_metric(&sidecar, 0.0).await;
    let verbose = get(&sidecar, "/readyz?verbose").await;
    assert_eq!(verbose.status, 200, "{}", verbose.text());
    let answer = publish(&sidecar, "refused").await;
    assert!(matches!(answer.status.as_u16(), 503 | 504), "{} {}", answer.status, answer.text());
    assert!(answer.code().is_some(), "{}", answer.text());
    assert!(answer.status != 503 || answer.header("retry-after").is_some(), "a 503 says when to come back");
    assert_eq!(get(&sidecar, "/livez").await.status, 200);

    remote.restart();
    until_health(&sidecar, "up", is_ready).await;
    let began = Instant::now();
    while publish(&sidecar, "after").await.status != 200 {
        assert!(began.elapsed() < patience(), "events are taken again once the broker is back");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    until_metric(&sidecar, 1.0).await;
    // Before and after; what was unknown may have come, too.
    webhook.until_delivered(2).await;
}

async fn a_gate_asks_for_the_opposite(backend: Backend) {
    let remote = Remote::start(backend);
    let setup = soon(remote.setup()).with("/readiness/gate", json!("broker"));
    let sidecar = Postrider::start(setup).await;
    remote.kill();
    until_readyz(&sidecar, 503).await;
    assert_eq!(get(&sidecar, "/livez").await.status, 200, "a restart would not bring the broker back");
    remote.restart();
    until_readyz(&sidecar, 200).await;
}

async fn until_readyz(sidecar: &Postrider, status: u16) {
    let began = Instant::now();
    loop {
        let answer = get(sidecar, "/readyz").await;
        if answer.status == status {
            return;
        }
        assert!(began.elapsed() < patience(), "/readyz never became {status}: {}", answer.text());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn a_broker_that_was_never_there_keeps_nobody_from_starting(backend: Backend) {
    // Nobody listens on a port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    let nobody = free.expect("a port is free").to_string();
    let webhook = Webhook::start().await;
    let setup = match backend {
        Backend::Embedded => panic!("the embedded broker is always there"),
        Backend::Kafka => Setup::on_kafka(&nobody),
        Backend::Pubsub => Setup::on_pubsub(&nobody),
    };
    let setup = soon(setup).with("/readiness/broker_wait", json!("1s"));
    let sidecar = Postrider::start(setup.subscription("billing", &webhook.url("/"), json!({}))).await;
    let pending = broker(&sidecar).await;
    assert_eq!(pending["health"], "pending", "{pending:#}");
    assert_eq!(sidecar.subscription("billing").await["state"], "pending");
    let answer = publish(&sidecar, "early").await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.header("retry-after").is_some(), "a 503 says when to come back: {}", answer.text());
    assert!(answer.code().is_some(), "{}", answer.text());
}
