//! Promise 5. One sick webhook hurts nobody else, and an outage never floods the dead letters.

use std::time::Duration;

use http::Method;
use postrider_tests::checker::{Budget, assert_holds};
use postrider_tests::webhook::patience;
use postrider_tests::{Answer, Backend, Load, Plan, Postrider, Setup, Webhook, evidence, on_each_backend};
use serde_json::{Value, json};

on_each_backend!(
    a_webhook_that_answers_503_hurts_nobody_else,
    a_webhook_that_resets_connections_hurts_nobody_else,
    a_webhook_that_answers_garbage_hurts_nobody_else,
    a_webhook_that_hangs_hurts_nobody_else,
    a_webhook_that_is_not_there_yet_gets_its_events_when_it_is,
    retry_after_is_kept_to,
    a_410_pauses_the_subscription_loudly_and_loses_nothing,
    a_gigabyte_of_an_answer_is_not_taken_in,
);

const NO_FAULT: Budget = Budget { in_flight: 0, unflushed: 0 };
const EVENTS: usize = 16 * 15;

fn plan() -> Plan {
    Plan { keys: 16, events_per_key: Some(15), ..Plan::default() }
}

/// A sick webhook beside a healthy one: the healthy one gets everything, and the sick one too once it is well again.
async fn beside_a_healthy_one(backend: Backend, sickness: impl Fn() -> Answer + Send + Sync + 'static) {
    let healthy = Webhook::start().await;
    let sick = Webhook::scripted(move |_| sickness()).await;
    // Should an attempt be spent on the outage, it would show: five are all that an event has.
    let few = json!({ "retry": { "max_attempts": 5 } });
    let setup = Setup::on(backend).subscription("healthy", &healthy.url("/"), few.clone());
    let setup = setup.subscription("sick", &sick.url("/"), few);
    let sidecar = Postrider::start(setup).await;
    let log_a = Load::start(sidecar.app(), &plan()).finish().await;

    healthy.until_delivered(EVENTS).await;
    let waits = |s: &Value| s["breaker"] != "closed" && backend.shows_backlog(s, EVENTS);
    sidecar.until_subscription("sick", "a breaker that opened and everything waiting", waits).await;
    assert_eq!(sidecar.subscription("healthy").await["breaker"], "closed");
    let tried = sick.attempts().len();
    assert!(tried < EVENTS, "the breaker spares the sick webhook: {tried} attempts");
    assert_eq!(sidecar.dead_ids("sick").await, Vec::<String>::new(), "an outage makes no dead letters");

    sick.answer(|_| Answer::status(204));
    for (name, webhook) in [("sick", &sick), ("healthy", &healthy)] {
        let evidence = evidence(&sidecar, name, webhook, log_a.clone(), 0).await;
        assert_eq!(evidence.dead, Vec::<String>::new(), "an outage makes no dead letters");
        assert_holds(&evidence, NO_FAULT);
    }
}

async fn a_webhook_that_answers_503_hurts_nobody_else(backend: Backend) {
    beside_a_healthy_one(backend, || Answer::status(503)).await;
}

async fn a_webhook_that_resets_connections_hurts_nobody_else(backend: Backend) {
    beside_a_healthy_one(backend, Answer::reset).await;
}

async fn a_webhook_that_answers_garbage_hurts_nobody_else(backend: Backend) {
    beside_a_healthy_one(backend, Answer::garbage).await;
}

async fn a_webhook_that_hangs_hurts_nobody_else(backend: Backend) {
    let healthy = Webhook::start().await;
    let sick = Webhook::scripted(|_| Answer::hang()).await;
    let setup = Setup::on(backend).subscription("healthy", &healthy.url("/"), json!({}));
    let setup = setup.subscription("sick", &sick.url("/"), json!({ "timeout": "60s" }));
    let sidecar = Postrider::start(setup).await;
    let log_a = Load::start(sidecar.app(), &plan()).finish().await;
    healthy.until_delivered(EVENTS).await;
    sidecar.until_subscription("sick", "everything waiting", |s| backend.shows_backlog(s, EVENTS)).await;
    assert_holds(&evidence(&sidecar, "healthy", &healthy, log_a, 0).await, NO_FAULT);
}

async fn a_webhook_that_is_not_there_yet_gets_its_events_when_it_is(backend: Backend) {
    let sick = Webhook::start().await;
    let (url, address) = (sick.url("/"), sick.address());
    sick.stop().await;
    let more = json!({ "retry": { "max_attempts": 5 } });
    let sidecar = Postrider::start(Setup::on(backend).subscription("billing", &url, more)).await;
    for n in 0..20 {
        sidecar.publish_event(&format!("e-{n}"), &format!("k-{n}")).await;
    }
    sidecar.until_subscription("billing", "a breaker that opened", |s| s["breaker"] != "closed").await;
    let webhook = Webhook::start_at(address).await;
    webhook.until_delivered(20).await;
    assert_eq!(
        sidecar.dead_ids("billing").await,
        Vec::<String>::new(),
        "a refused connection spends nothing"
    );
}

async fn retry_after_is_kept_to(backend: Backend) {
    const ASKED: Duration = Duration::from_secs(1);
    let webhook = Webhook::scripted(|seen| match seen.attempt.attempt {
        1 => Answer::status(429).header("retry-after", &ASKED.as_secs().to_string()),
        _ => Answer::status(204),
    })
    .await;
    let sidecar =
        Postrider::start(Setup::on(backend).subscription("billing", &webhook.url("/"), json!({}))).await;
    sidecar.publish_event("e-1", "k").await;
    webhook.until_delivered(1).await;
    let attempts = webhook.attempts();
    assert_eq!(attempts.len(), 2, "{attempts:#?}");
    let waited = Duration::from_nanos(attempts[1].start - attempts[0].end.expect("it was answered"));
    assert!(waited >= ASKED, "the webhook asked for {ASKED:?} and got {waited:?}");
}

async fn a_410_pauses_the_subscription_loudly_and_loses_nothing(backend: Backend) {
    let webhook = Webhook::scripted(|_| Answer::status(410)).await;
    let sidecar =
        Postrider::start(Setup::on(backend).subscription("billing", &webhook.url("/"), json!({}))).await;
    sidecar.publish_event("e-1", "k").await;
    let paused = sidecar.until_subscription("billing", "a pause", |s| s["state"] == "paused").await;
    assert!(paused["reason"].as_str().is_some_and(|why| why.contains("410")), "status says why: {paused:#}");
    assert_eq!(paused["lag"], 1);
    webhook.answer(|_| Answer::status(204));
    sidecar.admin(Method::POST, "/v1/subscriptions/billing/resume").await;
    webhook.until_delivered(1).await;
}

async fn a_gigabyte_of_an_answer_is_not_taken_in(backend: Backend) {
    let webhook = Webhook::scripted(|seen| match seen.attempt.attempt {
        1 => Answer::endless(500, 1 << 30),
        2 => Answer::garbage(),
        _ => Answer::status(204),
    })
    .await;
    let sidecar =
        Postrider::start(Setup::on(backend).subscription("billing", &webhook.url("/"), json!({}))).await;
    sidecar.publish_event("e-1", "k").await;
    webhook.until_delivered(1).await;
    assert_eq!(webhook.attempts().len(), 3, "a monstrous answer is one failed attempt");
    if let Some(peak_bytes) = sidecar.memory_peak_bytes() {
        assert!(peak_bytes < 256 << 20, "the sidecar grew to {} MiB", peak_bytes >> 20);
    }
}

/// On the embedded broker alone: on others a topic's room is not ours to bound.
#[tokio::test]
async fn a_full_topic_answers_507_alone_and_takes_events_again_when_it_has_drained() {
    let webhook = Webhook::scripted(|_| Answer::status(503)).await;
    let setup = Setup::new().subscription("sick", &webhook.url("/"), json!({}));
    let setup = setup.with("/brokers/local/embedded/max_bytes_per_topic", json!("1MiB"));
    let sidecar = Postrider::start(setup.with("/topics/payments", json!({}))).await;
    let body = format!("\"{}\"", "x".repeat(16_384));
    let headers = [("content-type", "application/json"), ("postrider-key", "k")];
    let mut accepted = 0;
    let refusal = loop {
        let answer = sidecar.publish("/v1/topics/orders/events", &headers, &body).await;
        if !answer.status.is_success() {
            break answer;
        }
        accepted += 1;
        assert!(accepted < 1_000, "16 MiB were taken where 1 MiB may wait");
    };
    assert_eq!(
        (refusal.status.as_u16(), refusal.code().as_deref()),
        (507, Some("log_full")),
        "{}",
        refusal.text()
    );
    let other = sidecar.publish("/v1/topics/payments/events", &headers, &body).await;
    assert!(other.status.is_success(), "another topic is not full: {}", other.text());
    let status = sidecar.admin(Method::GET, "/v1/status").await;
    assert!(status.to_string().contains("sick"), "status names the subscription: {status:#}");

    webhook.answer(|_| Answer::status(204));
    webhook.until_delivered(accepted).await;
    // The last delivery is settled a moment after it was answered.
    let began = std::time::Instant::now();
    loop {
        let answer = sidecar.publish("/v1/topics/orders/events", &headers, &body).await;
        if answer.status.is_success() {
            return;
        }
        assert!(
            began.elapsed() < patience(),
            "a topic that has drained takes events again: {}",
            answer.text()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
