//! The harness, checked: a webhook that does not misbehave as told would make every test of a fault worthless.

use std::time::Duration;

use http::Method;
use postrider_tests::checker::{Budget, assert_holds};
use postrider_tests::client::{self, Connection};
use postrider_tests::evidence::{Evidence, Refusal};
use postrider_tests::{Answer, Load, Plan, Webhook, sha256_hex};

fn post(headers: &[(&str, &str)]) -> http::Request<http_body_util::Full<bytes::Bytes>> {
    client::request(Method::POST, "/hook", headers, "data")
}

#[tokio::test]
async fn a_webhook_answers_as_scripted_and_keeps_the_log() {
    let webhook = Webhook::scripted(|seen| match seen.attempt.attempt {
        1 => Answer::status(503).header("retry-after", "7").body("later"),
        _ => Answer::status(204).after(Duration::from_millis(5)),
    })
    .await;
    let common = [("ce-id", "e-1"), ("ce-seq", "4"), ("postrider-key", "k"), ("postrider-subscription", "s")];
    let trace = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    let mut connection = Connection::open(webhook.address()).await.expect("a connection");
    for (attempt, status) in [("1", 503), ("2", 204)] {
        let headers: Vec<_> = common.into_iter().chain([trace, ("postrider-attempt", attempt)]).collect();
        let answer = connection.send(post(&headers)).await.expect("an answer");
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("retry-after"), (status == 503).then_some("7"));
    }
    webhook.until_delivered(1).await;
    let attempts = webhook.attempts_at("/hook");
    assert_eq!(
        attempts.iter().map(|a| (a.attempt, a.status)).collect::<Vec<_>>(),
        [(1, Some(503)), (2, Some(204))]
    );
    let first = &attempts[0];
    assert_eq!((first.id.as_str(), first.seq, first.key.as_deref()), ("e-1", Some(4), Some("k")));
    assert_eq!(first.trace.as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
    assert_eq!(first.sha256, sha256_hex(b"data"));
    assert!(first.end.is_some_and(|end| end >= first.start && end <= attempts[1].start));
}

#[tokio::test]
async fn resets_and_garbage_are_errors_of_the_transport() {
    for fault in [Answer::reset(), Answer::garbage()] {
        let webhook = Webhook::scripted(move |_| fault.clone()).await;
        let answer = client::send(webhook.address(), post(&[])).await;
        assert!(answer.is_err(), "{answer:?}");
        webhook.until_quiet().await;
        assert_eq!(webhook.attempts()[0].status, None, "the sender saw no status");
    }
}

#[tokio::test]
async fn a_hanging_attempt_ends_when_its_connection_closes() {
    let webhook = Webhook::scripted(|_| Answer::hang()).await;
    let mut connection = Connection::open(webhook.address()).await.expect("a connection");
    let hanging = tokio::time::timeout(Duration::from_millis(50), connection.send(post(&[]))).await;
    assert!(hanging.is_err(), "no answer comes");
    webhook.until("an open attempt", |attempts| attempts.len() == 1 && attempts[0].end.is_none()).await;
    drop(connection);
    webhook.until_quiet().await;
    assert_eq!(webhook.attempts()[0].status, None);
}

#[tokio::test]
async fn an_endless_answer_is_as_long_as_told() {
    const BYTES: u64 = 3 << 20;
    let webhook = Webhook::scripted(|_| Answer::endless(200, BYTES)).await;
    let answer = client::send(webhook.address(), post(&[])).await.expect("an answer");
    assert_eq!(answer.body.len() as u64, BYTES);
}

/// A webhook stands in for the sidecar: what publishers send must itself keep every promise, or no test of one means
/// anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishers_are_sequential_per_key_and_know_what_they_were_told() {
    let sidecar = Webhook::scripted(|_| match fastrand::u8(..10) {
        0 => Answer::status(503).header("retry-after", "0").body(r#"{"code":"overloaded"}"#),
        1 => Answer::status(504).body(r#"{"code":"outcome_unknown"}"#),
        2 => Answer::reset(),
        _ => Answer::status(200),
    })
    .await;
    let plan = Plan { keys: 5, events_per_key: Some(40), ..Plan::default() };
    let log_a = Load::start(sidecar.address(), &plan).finish().await;
    assert_eq!(log_a.accepted(), 200);
    assert!(log_a.published.iter().any(|event| event.sends > 1), "resets and 504 are sent again");
    let told = Refusal { status: 503, code: Some("overloaded".into()), retry_after: true };
    assert!(log_a.refusals.contains(&told), "refusals are kept");
    assert!(log_a.refusals.iter().all(|refusal| *refusal == told), "an unknown outcome is no refusal");
    let evidence = Evidence {
        published: log_a.published,
        refusals: log_a.refusals,
        attempts: sidecar.attempts(),
        ..Evidence::default()
    };
    assert_holds(&evidence, Budget { in_flight: 0, unflushed: 0 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishers_stop_when_told_and_survive_an_outage() {
    let sidecar = Webhook::start().await;
    let address = sidecar.address();
    let load = Load::start(address, &Plan { keys: 3, ..Plan::default() });
    load.until_accepted(20).await;
    sidecar.stop().await;
    let back = Webhook::start_at(address).await;
    load.until_accepted(load.accepted() + 20).await;
    let log_a = load.stop().await;
    assert!(log_a.published.iter().all(|event| event.accepted), "each event is brought to an end");
    assert!(!back.attempts().is_empty(), "publishers found the way back");
}
