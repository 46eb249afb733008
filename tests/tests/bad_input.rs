//! What a mistake gets: one clear answer that says what to do, and never the loss of anything accepted.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use http::Method;
use postrider_tests::client::{self, Answer as Response};
use postrider_tests::{Ended, Postrider, Setup, Webhook};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const GOOD: [(&str, &str); 5] = [
    ("ce-specversion", "1.0"),
    ("ce-id", "e-1"),
    ("ce-source", "/tests"),
    ("ce-type", "com.example.order.created"),
    ("content-type", "application/json"),
];

const EVENTS: &str = "/v1/topics/orders/events";

/// The headers of a good event, some of them replaced or (with an empty value) taken away.
fn headers<'a>(changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let kept = GOOD.into_iter().filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
    kept.chain(changes.iter().copied().filter(|(_, value)| !value.is_empty())).collect()
}

#[track_caller]
fn assert_problem(answer: &Response, status: u16, says: &[&str]) {
    let text = answer.text();
    assert_eq!(answer.status.as_u16(), status, "{text}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{text}");
    assert!(answer.code().is_some_and(|code| !code.is_empty()), "a problem has a code: {text}");
    for words in says {
        assert!(text.contains(words), "the answer does not say {words:?}: {text}");
    }
}

#[tokio::test]
async fn a_malformed_event_is_a_400_that_names_attribute_and_rule() {
    let sidecar = Postrider::start(Setup::new()).await;
    let cases: [(&[(&str, &str)], &str); 5] = [
        (&[("ce-id", "")], "id"),
        (&[("ce-source", "")], "source"),
        (&[("ce-specversion", "0.3")], "specversion"),
        (&[("ce-time", "yesterday")], "time"),
        (&[("ce-subject", "%C0%A0")], "subject"),
    ];
    for (changes, attribute) in cases {
        let answer = sidecar.publish(EVENTS, &headers(changes), "{}").await;
        assert_problem(&answer, 400, &[attribute]);
    }
    let structured = [("content-type", "application/cloudevents+json")];
    let event = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","Bad_Name":1}"#;
    let answer = sidecar.publish(EVENTS, &structured, event).await;
    assert_problem(&answer, 400, &["Bad_Name"]);
}

#[tokio::test]
async fn one_malformed_entry_refuses_the_whole_batch_and_is_pointed_at() {
    let webhook = Webhook::start().await;
    let sidecar = Postrider::start(Setup::new().subscription("all", &webhook.url("/"), json!({}))).await;
    let batch = [("content-type", "application/cloudevents-batch+json")];
    let good = |id: &str| json!({ "specversion": "1.0", "id": id, "source": "/s", "type": "t" });
    let body = json!([good("1"), good("2"), { "specversion": "1.0", "id": "3", "type": "t" }]).to_string();
    let answer = sidecar.publish(EVENTS, &batch, &body).await;
    assert_problem(&answer, 400, &["source", "2"]);
    assert_eq!(sidecar.publish(EVENTS, &batch, "[]").await.status, 200);
    let answer = sidecar.publish(EVENTS, &batch, &json!([good("4")]).to_string()).await;
    assert!(answer.status.is_success(), "{}", answer.text());
    webhook.until_delivered(1).await;
    sidecar.until_settled("all").await;
    let came: Vec<String> = webhook.attempts().into_iter().map(|attempt| attempt.id).collect();
    assert_eq!(came, ["4"], "of a refused batch nothing is written");
}

#[tokio::test]
async fn an_unknown_topic_is_a_404_with_the_known_ones() {
    let sidecar = Postrider::start(Setup::new().with("/topics/payments", json!({}))).await;
    let answer = sidecar.publish("/v1/topics/order/events", &GOOD, "{}").await;
    assert_problem(&answer, 404, &["order", "orders", "payments"]);
}

#[tokio::test]
async fn form_and_bare_text_are_a_415_with_a_hint() {
    let sidecar = Postrider::start(Setup::new()).await;
    for kind in ["application/x-www-form-urlencoded", "text/plain"] {
        let answer = sidecar.publish(EVENTS, &[("content-type", kind)], "a=1").await;
        assert_problem(&answer, 415, &["content-type"]);
    }
}

#[tokio::test]
async fn an_oversize_event_is_a_413_before_its_body_is_read() {
    let sidecar = Postrider::start(Setup::new().with("/limits/body", json!("64KiB"))).await;
    // Announced: the answer comes although not one byte of the body is ever sent.
    let mut stream = TcpStream::connect(sidecar.app()).await.expect("the app listener accepts");
    let head = format!(
        "POST {EVENTS} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 65537\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("the head is taken");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.expect("an answer comes");
    assert_eq!(&answer, b"HTTP/1.1 413");

    // Not announced: at the first byte past the limit.
    let mut stream = TcpStream::connect(sidecar.app()).await.expect("the app listener accepts");
    let head = format!(
        "POST {EVENTS} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n10001\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("the head is taken");
    stream.write_all(&vec![b'x'; 65_537]).await.expect("the body is taken, up to the limit");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.expect("an answer comes");
    assert_eq!(&answer, b"HTTP/1.1 413");

    let answer = sidecar.publish(EVENTS, &GOOD, "{}").await;
    assert!(answer.status.is_success(), "the next event is taken: {}", answer.text());
}

#[tokio::test]
async fn an_event_that_is_too_large_for_its_topic_is_a_413() {
    let sidecar = Postrider::start(Setup::new().with("/topics/orders/max_event", json!("1KiB"))).await;
    let body = format!("\"{}\"", "x".repeat(2048));
    assert_problem(&sidecar.publish(EVENTS, &GOOD, &body).await, 413, &["orders"]);
}

#[tokio::test]
async fn a_web_page_cannot_publish() {
    let sidecar = Postrider::start(Setup::new()).await;
    for change in [("origin", "https://evil.example"), ("host", "evil.example")] {
        let answer = sidecar.publish(EVENTS, &headers(&[change]), "{}").await;
        assert_problem(&answer, 403, &[]);
    }
    let request = client::request(Method::GET, "/v1/nowhere", &[], "");
    let answer = client::send(sidecar.app(), request).await.expect("the app listener answers");
    assert_problem(&answer, 404, &[]);
}

/// Runs a sidecar that cannot start.
async fn fails(setup: Setup) -> Ended {
    Postrider::prepare(setup).run_to_its_end().await
}

#[tokio::test]
async fn a_bad_configuration_ends_with_64_and_all_of_its_errors() {
    let setup = Setup::new()
        .with("/brokr", json!("local"))
        .with("/broker", json!("nowhere"))
        .with("/limits/body", json!("many"))
        .with("/subscriptions/billing", json!({ "topic": "ordrs", "to": "ftp://x", "concurency": 3 }));
    let ended = fails(setup).await;
    assert_eq!(ended.code, Some(64), "{}", ended.output);
    for words in ["brokr", "nowhere", "many", "ordrs", "ftp", "concurency", "postrider.yaml:"] {
        assert!(ended.output.contains(words), "{words:?} is not told:\n{}", ended.output);
    }
}

#[tokio::test]
async fn a_port_in_use_ends_with_1_and_says_which() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("a bound socket has an address").to_string();
    let ended = fails(Setup::new().with("/listen/app", json!(address))).await;
    assert_eq!(ended.code, Some(1), "{}", ended.output);
    assert!(ended.output.contains(&address), "the address is told:\n{}", ended.output);
}

#[tokio::test]
async fn a_locked_data_directory_ends_with_1_and_harms_nothing() {
    let webhook = Webhook::start().await;
    let first = Postrider::start(Setup::new().subscription("all", &webhook.url("/"), json!({}))).await;
    let data = first.directory().join("data");
    let ended = fails(Setup::new().with("/brokers/local/embedded/path", json!(data))).await;
    assert_eq!(ended.code, Some(1), "{}", ended.output);
    assert!(ended.output.contains(&data.display().to_string()), "the directory is told:\n{}", ended.output);
    first.publish_event("e-1", "k").await;
    webhook.until_delivered(1).await;
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_used_ends_with_1() {
    // A file where the directory should be fails for everybody; missing permissions do not stop root.
    let mut sidecar = Postrider::prepare(Setup::new());
    let data = sidecar.directory().join("data");
    fs::write(&data, "no directory").expect("the test's own directory");
    let ended = sidecar.run_to_its_end().await;
    assert_eq!(ended.code, Some(1), "{}", ended.output);
    assert!(ended.output.contains("data"), "the directory is told:\n{}", ended.output);

    if rustix::process::geteuid().is_root() {
        return;
    }
    let mut sidecar = Postrider::prepare(Setup::new());
    let data = sidecar.directory().join("data");
    fs::create_dir(&data).expect("the test's own directory");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o000)).expect("the test's own directory");
    let ended = sidecar.run_to_its_end().await;
    assert_eq!(ended.code, Some(1), "{}", ended.output);
    assert!(ended.output.contains("data"), "the directory is told:\n{}", ended.output);
}
