//! NDJSON: streamed, in order, up to the first failure.

mod support;

use broker::fake::{Fake, durable, refused};
use broker::{Body, RefusalKind};
use serde_json::json;
use support::{Server, request, settings, structured};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const ORDERS: &str = "/v1/topics/orders/events";
const LINES: (&str, &str) = ("content-type", "application/x-ndjson");

fn line(id: usize) -> String {
    structured(&id.to_string(), "com.example.order", "s")
}

fn lines(count: usize) -> String {
    (0..count).map(|id| line(id) + "\n").collect()
}

#[tokio::test]
async fn a_stream_is_published_in_order_and_counted() {
    let server = Server::start().await;
    let body = format!("{}\r\n\n   \n{}\n{}", line(0), line(1), line(2));
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers = [LINES, ("traceparent", trace), ("postrider-key", "k")];
    let reply = server.post(ORDERS, &headers, body).await;
    assert_eq!((reply.status, reply.json()), (200, json!({"accepted": 3})), "the last line needs no newline");
    assert_eq!(reply.header("postrider-accepted"), Some("broker"));
    assert_eq!(server.driver.ids(), ["0", "1", "2"]);
    for record in server.driver.taken() {
        assert_eq!(record.hop.traceparent.map(|t| t.to_string()).as_deref(), Some(trace));
        assert_eq!(record.key, broker::Key::new("k"));
    }
    assert_eq!(server.post(ORDERS, &[LINES], "").await.json(), json!({"accepted": 0}));
}

#[tokio::test]
async fn a_malformed_line_ends_the_stream_and_what_stands_before_is_durable() {
    let server = Server::start().await;
    let long = structured("x", "com.example.order", &"s".repeat(1025));
    let large = structured("x", "com.example.order", &"s".repeat(100_001));
    let huge = structured("x", "com.example.order", &"s".repeat(200_001));
    for (bad, status, code) in [
        ("{".to_owned(), 400, "malformed_event"),
        (line(9).replace("\"subject\"", "\"deliverat\""), 400, "reserved_attribute"),
        (long, 400, "key_too_long"),
        (large, 413, "event_too_large"),
        (huge, 413, "body_too_large"),
    ] {
        let before = server.driver.ids().len();
        let body = format!("{}\n\n{}\n{bad}\n{}\n", line(0), line(1), line(2));
        let reply = server.post(ORDERS, &[LINES], body).await;
        assert_eq!((reply.status, reply.code().as_str()), (status, code));
        assert_eq!((&reply.json()["accepted"], &reply.json()["line"]), (&json!(2), &json!(4)), "{reply:?}");
        assert_eq!(server.driver.ids()[before..], ["0", "1"], "nothing after the line is written");
    }
}

#[tokio::test]
async fn a_refusal_ends_the_stream_at_its_line() {
    let server = Server::start().await;
    server.driver.will((0..700).map(durable));
    server.driver.will([refused(RefusalKind::Full)]);
    let reply = server.post(ORDERS, &[LINES], lines(20_000)).await;
    assert_eq!((reply.status, reply.code()), (507, "log_full".into()));
    assert_eq!((&reply.json()["accepted"], &reply.json()["line"]), (&json!(700), &json!(701)));
    assert!(server.driver.ids().len() < 15_000, "nothing is written beyond the group that failed");
}

#[tokio::test]
async fn lines_go_to_the_topics_of_their_types() {
    let server = Server::start().await;
    let user = structured("u", "com.example.user", "s");
    let body = format!("{}\n{user}\n{}\n{}\n", line(0), line(1), structured("x", "other", "s"));
    let reply = server.post("/v1/events", &[LINES], body).await;
    assert_eq!((reply.status, reply.code()), (404, "unrouted_type".into()));
    assert_eq!((&reply.json()["accepted"], &reply.json()["line"]), (&json!(3), &json!(4)));
    assert_eq!(server.driver.ids(), ["0", "1", "u"], "one call a topic");
}

#[tokio::test]
async fn lines_may_be_cut_anywhere_and_are_published_as_they_come() {
    let server = Server::start().await;
    let mut connection = server.connect().await;
    let head = format!(
        "POST {ORDERS} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\n\
         connection: close\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    let body = lines(3);
    for (n, piece) in body.as_bytes().chunks(7).enumerate() {
        let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
        connection.write_all(&chunk).await.unwrap();
        if n == 20 {
            // The first line is complete: it is published though the stream goes on.
            while server.driver.ids().is_empty() {
                tokio::task::yield_now().await;
            }
        }
    }
    connection.write_all(b"0\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await.unwrap();
    assert_eq!(support::Reply::parse(&answer).json(), json!({"accepted": 3}));
    let data: Vec<_> = server.driver.taken().into_iter().map(|r| r.body).collect();
    assert!(data.iter().all(|body| matches!(body, Body::Event(event) if event.subject() == Some("s"))));
}

#[tokio::test]
async fn only_one_group_is_under_way_and_it_is_bounded() {
    let server = Server::start_with(Fake::holding(), settings()).await;
    let request = request("POST", ORDERS, &[LINES], lines(20_000).as_bytes());
    let client = support::exchange(server.connect().await, &request);
    let broker = async {
        while server.driver.count() < 20_000 {
            let promise = server.driver.held().await;
            assert!(server.driver.holds_nothing(), "one group at a time");
            let last = *server.driver.calls().last().expect("a call");
            promise.answer((0..last as u64).map(durable).collect());
        }
    };
    let (reply, ()) = tokio::join!(client, broker);
    assert_eq!(reply.json(), json!({"accepted": 20_000}));
    let largest = server.driver.calls().into_iter().max().expect("calls");
    assert!(largest < 5_000, "{largest} events in one group");
}

/// What must come in the end, comes long before.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// Sends the head of a stream and the beginning of it, and leaves it unfinished.
async fn unfinished(server: &Server, beginning: &[u8]) -> tokio::net::TcpStream {
    let mut connection = server.connect().await;
    let head = format!(
        "POST {ORDERS} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\n\
         content-length: 100000000\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).await.expect("the server reads");
    // It may be refused, and closed, before it has been sent.
    let _ = connection.write_all(beginning).await;
    connection
}

async fn head(connection: &mut tokio::net::TcpStream) -> String {
    let mut answer = Vec::new();
    while !answer.windows(4).any(|w| w == b"\r\n\r\n") {
        assert_ne!(connection.read_buf(&mut answer).await.expect("an answer"), 0);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn unfinished_lines_of_all_streams_together_are_bounded() {
    const BODY_BYTES: usize = 2 << 20;
    let limits = postrider_api::Limits { body_bytes: BODY_BYTES, ..support::limits() };
    let server = Server::start_with(Fake::new(), postrider_api::Settings { limits, ..settings() }).await;
    let beginning = vec![b' '; BODY_BYTES - 1];
    let mut connections = Vec::new();
    // Room for sixteen of the largest bodies, and for no more of them.
    for _ in 0..20 {
        connections.push(unfinished(&server, &beginning).await);
    }
    let answers = connections.iter_mut().map(|connection| Box::pin(head(connection)));
    let (refused, _, rest) = futures::future::select_all(answers).await;
    drop(rest);
    assert!(refused.starts_with("HTTP/1.1 429"), "{refused}");
    drop(connections);
    let given_back = async { while server.post(ORDERS, &[LINES], lines(3)).await.status == 429 {} };
    tokio::time::timeout(PATIENCE, given_back).await.expect("what they held is given back");
}

#[tokio::test]
async fn groups_that_wait_for_the_broker_count_with_the_bodies() {
    let server = Server::start_with(Fake::holding(), settings()).await;
    let line = structured("1", "com.example.order", "s")
        .replace("{\"n\":1}", &format!("\"{}\"", "x".repeat(90_000)));
    let beginning = format!("{line}\n").repeat(14);
    let mut connections = Vec::new();
    // A line or more under way and a megabyte gathered in each: the bound is 16 MiB.
    for _ in 0..20 {
        connections.push(unfinished(&server, beginning.as_bytes()).await);
    }
    // No event, so that it is never written: refused for its form as long as there is room for it.
    let body = " ".repeat(190_000);
    let structured = [("content-type", "application/cloudevents+json")];
    let refused = async {
        loop {
            let reply = server.post(ORDERS, &structured, &body).await;
            if reply.status != 400 {
                return reply;
            }
        }
    };
    let reply = tokio::time::timeout(PATIENCE, refused).await.expect("the groups leave no room");
    assert_eq!((reply.status, reply.code()), (429, "overloaded".into()));
}
