//! Promise 6, the part of it that is a shutdown: it loses nothing, and takes no longer than it is given.

use std::time::Duration;

use http::Method;
use postrider_tests::{Answer, Backend, Postrider, Setup, Webhook, client, on_each_backend};
use serde_json::json;

on_each_backend!(
    an_open_attempt_ends_before_the_process_does_and_readiness_is_withdrawn_meanwhile,
    a_second_signal_ends_it_at_once_and_what_was_open_comes_again,
    drain_waits_for_the_open_attempt_and_publishing_goes_on,
);

fn setup(backend: Backend, webhook: &Webhook) -> Setup {
    Setup::on(backend).subscription("billing", &webhook.url("/"), json!({}))
}

/// A sidecar with one attempt open, whose answer takes a while.
async fn with_an_open_attempt(backend: Backend, answer: Answer) -> (Postrider, Webhook) {
    let webhook = Webhook::scripted(move |_| answer.clone()).await;
    let sidecar = Postrider::start(setup(backend, &webhook)).await;
    sidecar.publish_event("slow", "key").await;
    webhook.until("the attempt has begun", |attempts| !attempts.is_empty()).await;
    (sidecar, webhook)
}

async fn ready(sidecar: &Postrider) -> Option<u16> {
    let request = client::request(Method::GET, "/readyz", &[], "");
    client::send(sidecar.health(), request).await.ok().map(|answer| answer.status.as_u16())
}

async fn an_open_attempt_ends_before_the_process_does_and_readiness_is_withdrawn_meanwhile(backend: Backend) {
    let (mut sidecar, webhook) =
        with_an_open_attempt(backend, Answer::status(200).after(Duration::from_secs(2))).await;
    assert_eq!(ready(&sidecar).await, Some(200));
    sidecar.terminate();
    // Publishing goes on while the last attempt is open: the app may have something to say still.
    while ready(&sidecar).await == Some(200) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(
        ready(&sidecar).await,
        Some(503),
        "a process that ends is not ready, and says so until it is gone"
    );
    sidecar.publish_event("late", "other").await;
    let ended = sidecar.wait_for_its_end().await;
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    let slow: Vec<_> = webhook.attempts().into_iter().filter(|attempt| attempt.id == "slow").collect();
    assert!(slow.len() == 1 && slow[0].succeeded(), "the open attempt was let end: {slow:?}");

    webhook.answer(|_| Answer::status(200));
    sidecar.start_again().await;
    webhook
        .until("what was published last", |attempts| attempts.iter().any(|a| a.id == "late" && a.succeeded()))
        .await;
    sidecar.until_settled("billing").await;
    assert_eq!(
        webhook.attempts().iter().filter(|a| a.id == "slow").count(),
        1,
        "it was settled before the end"
    );
}

async fn a_second_signal_ends_it_at_once_and_what_was_open_comes_again(backend: Backend) {
    let (mut sidecar, webhook) = with_an_open_attempt(backend, Answer::hang()).await;
    sidecar.terminate();
    while ready(&sidecar).await == Some(200) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    sidecar.terminate();
    let ended = sidecar.wait_for_its_end().await;
    assert_eq!(ended.code, Some(1), "{}", ended.output);
    assert!(ended.output.contains("second signal"), "it says why:\n{}", ended.output);

    webhook.answer(|_| Answer::status(200));
    sidecar.start_again().await;
    webhook
        .until("the event again", |attempts| attempts.iter().any(|a| a.id == "slow" && a.succeeded()))
        .await;
}

async fn drain_waits_for_the_open_attempt_and_publishing_goes_on(backend: Backend) {
    let (sidecar, webhook) =
        with_an_open_attempt(backend, Answer::status(200).after(Duration::from_secs(1))).await;
    let ended = sidecar.command(&["drain", "--wait", "20s"]);
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    assert!(
        webhook.attempts().iter().any(|a| a.id == "slow" && a.succeeded()),
        "drained means that it has ended"
    );
    sidecar.publish_event("after", "key").await;
    assert_eq!(sidecar.subscription("billing").await["state"], json!("drained"));
    assert!(webhook.attempts().iter().all(|a| a.id != "after"), "nothing is delivered after a drain");
}
