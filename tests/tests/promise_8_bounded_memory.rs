//! Promise 8. Memory stays bounded, whatever the backlog and however long the stream.

use postrider_tests::client::{self, Answer as Response};
use postrider_tests::{Answer, Backend, Postrider, Setup, Webhook, on_each_backend};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

on_each_backend!(a_long_stream_and_the_backlog_it_leaves_are_not_held_in_memory,);

const EVENTS: usize = 8_192;
const EVENT_BYTES: usize = 8_192;

/// Streams so many events of so many bytes in one request, a line each, and returns the head and body of the answer.
async fn stream(sidecar: &Postrider) -> String {
    let stream = TcpStream::connect(sidecar.app()).await.expect("the app listener accepts");
    let (mut reader, mut writer) = stream.into_split();
    let send = async {
        let head = "POST /v1/topics/orders/events HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
            content-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n";
        writer.write_all(head.as_bytes()).await?;
        let pad = "x".repeat(EVENT_BYTES);
        for n in 0..EVENTS {
            let event = json!({
                "specversion": "1.0", "id": n.to_string(), "source": "/tests", "type": "t",
                "partitionkey": (n % 100).to_string(), "data": pad,
            });
            let line = format!("{event}\n");
            writer.write_all(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes()).await?;
        }
        writer.write_all(b"0\r\n\r\n").await
    };
    let receive = async {
        let mut answer = String::new();
        reader.read_to_string(&mut answer).await.map(|_| answer)
    };
    let (sent, answer) = tokio::join!(send, receive);
    let answer = answer.expect("an answer comes");
    sent.unwrap_or_else(|error| panic!("the stream was cut off ({error}) with {answer}"));
    answer
}

async fn a_long_stream_and_the_backlog_it_leaves_are_not_held_in_memory(backend: Backend) {
    const GROWTH_MAX: u64 = 40 << 20;
    let webhook = Webhook::scripted(|_| Answer::hang()).await;
    let more = json!({ "timeout": "60s" });
    let setup = Setup::on(backend).subscription("stuck", &webhook.url("/"), more);
    let setup = setup.with("/limits/publish", json!({ "bytes": "4MiB" }));
    let sidecar = Postrider::start(setup).await;
    let Some(before) = sidecar.memory_peak_bytes() else { return };

    let answer = stream(&sidecar).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
    assert!(
        body.contains(&format!("\"accepted\":{EVENTS}")),
        "all are accepted, and answered once: {answer}"
    );
    let all_wait = |s: &Value| backend.shows_backlog(s, EVENTS);
    sidecar.until_subscription("stuck", "the whole backlog", all_wait).await;

    let grown = sidecar.memory_peak_bytes().expect("it runs still") - before;
    let streamed = (EVENTS * EVENT_BYTES) as u64;
    assert!(
        grown < GROWTH_MAX,
        "{} MiB were streamed and memory grew by {} MiB",
        streamed >> 20,
        grown >> 20
    );
}

#[tokio::test]
async fn half_a_request_holds_nobody_up() {
    let sidecar = Postrider::start(Setup::new()).await;
    // A client that sends half of a request and nothing more.
    let mut half = TcpStream::connect(sidecar.app()).await.expect("the app listener accepts");
    half.write_all(b"POST /v1/topics/orders/events HTTP/1.1\r\nhost: loc")
        .await
        .expect("the bytes are taken");
    sidecar.publish_event("e-1", "k").await;
    let request = client::request(http::Method::GET, "/livez", &[], "");
    let alive: Response = client::send(sidecar.health(), request).await.expect("the health listener answers");
    assert_eq!(alive.status, 200);
}
