//! The admin listener before callers who err or do not read, and brokers that are full or do not answer.

mod support;

use std::time::Duration;

use broker::fake::{Fake, refused};
use postrider_api::Limits;
use serde_json::json;
use support::desk::Server;
use support::{limits, request, structured};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

#[tokio::test]
async fn a_place_to_begin_that_is_none_is_the_callers_mistake() {
    let server = Server::start().await;
    for from in ["zzz", "yesterday", "3-4"] {
        let reply = server.get(&format!("/v1/topics/orders/events?from={from}")).await;
        assert_eq!((reply.status, reply.code()), (400, "bad_request".into()), "{from}");
        let detail = reply.json()["detail"].as_str().unwrap().to_owned();
        for part in ["from is earliest, latest, a time", "or a position", from] {
            assert!(detail.contains(part), "{part} in {detail}");
        }
    }
    let reply = server.get("/v1/subscriptions/billing/dead-letters?from=zzz").await;
    assert_eq!((reply.status, reply.code()), (400, "bad_request".into()), "{reply:?}");
    assert!(reply.json()["detail"].as_str().unwrap().contains("from"), "{reply:?}");
}

#[tokio::test]
async fn a_path_that_is_no_text_is_a_problem_like_any_other() {
    let server = Server::start().await;
    for (method, path) in [
        ("GET", "/v1/subscriptions/%ff"),
        ("POST", "/v1/subscriptions/%ff/pause"),
        ("POST", "/v1/subscriptions/%ff/resume"),
        ("POST", "/v1/subscriptions/%ff/seek?to=latest"),
        ("GET", "/v1/subscriptions/%ff/dead-letters"),
        ("DELETE", "/v1/subscriptions/%ff/dead-letters"),
        ("POST", "/v1/subscriptions/%ff/dead-letters/redrive"),
        ("GET", "/v1/topics/%ff/events"),
        ("GET", "/v1/brokers/%ff/subscriptions"),
        ("DELETE", "/v1/brokers/local/subscriptions/%ff"),
    ] {
        let reply = server.send(method, path, &[]).await;
        assert_eq!((reply.status, reply.code()), (400, "bad_request".into()), "{method} {path}");
    }
}

#[tokio::test]
async fn a_broker_that_does_not_answer_holds_no_request_for_ever() {
    let limits = Limits { request_timeout: Duration::from_millis(50), ..limits() };
    let server = Server::start_with(Fake::hanging(), limits).await;
    let reply = server.get("/v1/brokers/local/subscriptions").await;
    assert_eq!((reply.status, reply.code()), (504, "timed_out".into()));
    let reply = server.get("/v1/status").await;
    assert_eq!(reply.status, 200, "other requests are answered");
}

#[tokio::test]
async fn a_client_that_never_reads_its_answer_loses_its_connection() {
    // One place among the connections: the second client is answered once the first one's is gone.
    let limits = Limits { connections: 1, idle_timeout: Duration::from_millis(100), ..limits() };
    let server = Server::start_with(Fake::new(), limits).await;
    let large = structured("1", "com.example.order", "s")
        .replace("{\"n\":1}", &format!("\"{}\"", "x".repeat(90_000)));
    for _ in 0..200 {
        server.publish_text(&large).await;
    }
    let mut deaf = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
    deaf.write_all(&request("GET", "/v1/topics/orders/events", &[], b"")).await.unwrap();
    let second = tokio::time::timeout(Duration::from_secs(30), server.get("/v1/status")).await;
    assert_eq!(second.expect("the first connection is given up").status, 200);
    drop(deaf);
}

#[tokio::test]
async fn status_names_a_topic_that_refuses_and_why_until_one_is_durable() {
    let server = Server::start().await;
    server.desk.driver.will([refused(broker::RefusalKind::Full)]);
    server.publish(&["a"]).await;
    let topics = server.get("/v1/status").await.json()["topics"].clone();
    let (orders, users) = (&topics[0], &topics[1]);
    assert_eq!((&orders["name"], &orders["full"]["reason"]), (&json!("orders"), &json!("the fake refuses")));
    for time in ["since", "last"] {
        assert!(orders["full"][time].as_str().is_some_and(|time| time.ends_with('Z')), "{orders}");
    }
    assert_eq!(users["full"], json!(null), "that topic alone");
    server.publish(&["b"]).await;
    assert_eq!(server.get("/v1/status").await.json()["topics"][0]["full"], json!(null));
    // A dead-letter topic is not published to by the API, but an operator must see that it is full.
    let letters = server.publisher.topic("orders.dead-letter").expect("configured");
    server.desk.driver.will([refused(broker::RefusalKind::Full)]);
    let record = server.desk.driver.taken().remove(0);
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    server.publisher.forward(&letters, record, None, deadline).expect("taken").await;
    let status = server.get("/v1/status").await.json();
    assert_eq!(status["topics"][2]["name"], "orders.dead-letter");
    assert_eq!(status["topics"][2]["full"]["reason"], "the fake refuses");
}
