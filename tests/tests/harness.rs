//! The harness, checked: a webhook that does not misbehave as told would make every test of a fault worthless.

use std::time::Duration;

use http::Method;
use postrider_tests::client::{self, Connection};
use postrider_tests::{Answer, Webhook, sha256_hex};

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
