//! Every way to publish one event, and every outcome.

mod support;

use std::time::Duration;

use broker::fake::{Fake, durable, refused};
use broker::{Body, Key, Outcome, RefusalKind};
use event::{Data, Value};
use postrider_api::Settings;
use support::{BINARY, Server, settings, structured};

const ORDERS: &str = "/v1/topics/orders/events";

fn taken(server: &Server) -> (broker::Record, event::Event) {
    let record = server.driver.taken().pop().expect("a record was published");
    let Body::Event(event) = record.body.clone() else { panic!("an event was published") };
    (record, event)
}

#[tokio::test]
async fn a_binary_event_is_durable_and_told_where() {
    let server = Server::start().await;
    let mut headers = BINARY.to_vec();
    headers.extend([("ce-subject", "s%20t"), ("ce-tenant", "7"), ("postrider-key", "k")]);
    let reply = server.post(ORDERS, &headers, r#"{"total": 42}"#).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.body, r#"{"id":"1","source":"/shop","accepted":"broker","position":"0"}"#);
    assert_eq!(reply.header("postrider-accepted"), Some("broker"));
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let (record, event) = taken(&server);
    assert_eq!(record.key, Key::new("k"), "the publisher's key goes before the topic's");
    assert_eq!(event.subject(), Some("s t"));
    assert_eq!(event.attribute("tenant"), Some(Value::String("7")));
    assert_eq!(event.data(), Some(&Data::Binary(r#"{"total": 42}"#.into())), "the body is untouched");
}

#[tokio::test]
async fn a_structured_event_is_taken() {
    let server = Server::start().await;
    let headers = [("content-type", "Application/CloudEvents+JSON; charset=utf-8")];
    let reply = server.post(ORDERS, &headers, structured("7", "com.example.order", "s")).await;
    assert_eq!((reply.status, &reply.json()["id"]), (200, &"7".into()));
    assert_eq!(taken(&server).0.key, Key::new("s"), "the topic's key names the subject");
}

#[tokio::test]
async fn a_plain_body_is_wrapped_untouched() {
    let server = Server::start().await;
    let headers = [("content-type", "application/xml"), ("idempotency-key", "\"abc-1\"")];
    let reply = server.post(ORDERS, &headers, "<a/>\r\n").await;
    assert_eq!((reply.status, &reply.json()["id"]), (200, &"abc-1".into()), "{reply:?}");
    let (_, event) = taken(&server);
    assert_eq!((event.source(), event.kind()), ("shop", "orders"));
    assert_eq!(event.data_content_type(), Some("application/xml"));
    assert_eq!(event.data(), Some(&Data::Binary("<a/>\r\n".into())));
    assert!(event.time().is_some());
    let first = server.post(ORDERS, &[("content-type", "application/json")], "1").await.json();
    let second = server.post(ORDERS, &[("content-type", "application/json")], "1").await.json();
    assert_ne!(first["id"], second["id"], "without a key each request is another event");
}

#[tokio::test]
async fn what_a_web_page_or_curl_sends_by_mistake_is_415_with_a_hint() {
    let server = Server::start().await;
    for content_type in ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"]
    {
        let reply = server.post(ORDERS, &[("content-type", content_type)], "a=b").await;
        assert_eq!((reply.status, reply.code()), (415, "unsupported_media_type".into()));
        assert!(reply.json()["detail"].as_str().unwrap().contains("curl"), "{reply:?}");
    }
    let reply = server.post(ORDERS, &[], "a=b").await;
    assert_eq!(reply.status, 415, "no content-type at all");
    let reply = server.post(ORDERS, &[("content-type", "application/cloudevents+avro")], "x").await;
    assert_eq!((reply.status, reply.code()), (415, "unsupported_media_type".into()));
    let reply = server.post("/v1/events", &[("content-type", "application/json")], "1").await;
    assert_eq!((reply.status, reply.code()), (415, "unsupported_media_type".into()));
    let mut headers = BINARY.to_vec();
    headers.push(("content-encoding", "gzip"));
    let reply = server.post(ORDERS, &headers, "x").await;
    assert_eq!((reply.status, reply.code()), (415, "unsupported_encoding".into()));
    assert!(server.driver.taken().is_empty());
    headers = BINARY.to_vec();
    headers[0] = ("content-type", "text/plain");
    assert_eq!(
        server.post(ORDERS, &headers, "x").await.status,
        200,
        "with ce- headers text is an event's data"
    );
}

#[tokio::test]
async fn a_malformed_event_names_attribute_and_rule() {
    let server = Server::start().await;
    let without_id: Vec<_> = BINARY.into_iter().filter(|(name, _)| *name != "ce-id").collect();
    let reply = server.post(ORDERS, &without_id, "1").await;
    assert_eq!((reply.status, reply.code()), (400, "malformed_event".into()));
    assert_eq!(reply.json()["attribute"], "id");
    assert!(reply.json()["rule"].is_string());
    let headers = [("content-type", "application/cloudevents+json")];
    let reply = server.post(ORDERS, &headers, "{").await;
    assert_eq!((reply.status, reply.code()), (400, "malformed_event".into()));
    let mut headers = BINARY.to_vec();
    headers.push(("ce-deliverat", "2030-01-01T00:00:00Z"));
    let reply = server.post(ORDERS, &headers, "1").await;
    assert_eq!((reply.status, reply.code()), (400, "reserved_attribute".into()));
    assert_eq!(reply.json()["attribute"], "deliverat");
    let key = "k".repeat(1025);
    let mut headers = BINARY.to_vec();
    headers.push(("postrider-key", &key));
    let reply = server.post(ORDERS, &headers, "1").await;
    assert_eq!((reply.status, reply.code()), (400, "key_too_long".into()));
    assert!(server.driver.taken().is_empty(), "nothing that was refused is written");
}

#[tokio::test]
async fn the_topic_is_found_by_path_or_by_type() {
    let server = Server::start().await;
    assert_eq!(server.post("/v1/topics/%6frders/events", &BINARY, "1").await.status, 200);
    let reply = server.post("/v1/topics/nowhere/events", &BINARY, "1").await;
    assert_eq!((reply.status, reply.code()), (404, "unknown_topic".into()));
    assert_eq!(reply.json()["topics"], serde_json::json!(["orders", "users"]), "the known topics are named");
    let reply = server.post("/v1/topics/orders.dead-letter/events", &BINARY, "1").await;
    assert_eq!(reply.status, 404, "internal topics are not published to");
    assert_eq!(server.post("/v1/events", &BINARY, "1").await.status, 200);
    let mut headers = BINARY.to_vec();
    headers[4] = ("ce-type", "com.example.nothing");
    let reply = server.post("/v1/events", &headers, "1").await;
    assert_eq!((reply.status, reply.code()), (404, "unrouted_type".into()));
    assert_eq!(server.post("/", &BINARY, "1").await.code(), "not_found");
    let reply = server.raw(&support::request("GET", ORDERS, &[], b"")).await;
    assert_eq!((reply.code().as_str(), reply.header("allow")), ("method_not_allowed", Some("post")));
}

#[tokio::test]
async fn an_oversize_body_is_refused_by_its_announced_length_before_it_is_read() {
    let server = Server::start().await;
    // The body never comes: an answer shows that it was not waited for.
    let head = format!(
        "POST {ORDERS} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                        expect: 100-continue\r\ncontent-length: 200001\r\n\r\n"
    );
    let reply = server.raw(head.as_bytes()).await;
    assert_eq!((reply.status, reply.code()), (413, "body_too_large".into()));
    let head = format!(
        "POST {ORDERS} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                        transfer-encoding: chunked\r\nconnection: close\r\n\r\n30d41\r\n{}\r\n0\r\n\r\n",
        "x".repeat(0x30d41)
    );
    let reply = server.raw(head.as_bytes()).await;
    assert_eq!(
        (reply.status, reply.code()),
        (413, "body_too_large".into()),
        "at the first byte past the limit"
    );
    let reply = server.post(ORDERS, &BINARY, "x".repeat(150_000)).await;
    assert_eq!((reply.status, reply.code()), (413, "event_too_large".into()), "the topic's own bound");
    assert!(server.driver.taken().is_empty());
}

#[tokio::test]
async fn every_outcome_of_the_broker_has_its_status() {
    let server = Server::start().await;
    for (outcome, status, code) in [
        (refused(RefusalKind::UnknownTopic), 404, "topic_not_on_broker"),
        (refused(RefusalKind::TooLarge), 413, "event_too_large"),
        (refused(RefusalKind::Denied), 403, "broker_denied"),
        (refused(RefusalKind::Overloaded), 503, "broker_busy"),
        (refused(RefusalKind::Unavailable), 503, "broker_unavailable"),
        (refused(RefusalKind::Full), 507, "log_full"),
        (Outcome::Unknown("the connection broke".into()), 504, "outcome_unknown"),
    ] {
        server.driver.will([outcome]);
        let reply = server.post(ORDERS, &BINARY, "1").await;
        assert_eq!((reply.status, reply.code().as_str()), (status, code));
    }
    server.driver.will([Outcome::Unknown("the connection broke".into())]);
    let detail = server.post(ORDERS, &BINARY, "1").await.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("the same id"), "{detail}");
    server.publisher.set_pending("local", Some("starting".into()));
    let reply = server.post(ORDERS, &BINARY, "1").await;
    assert_eq!((reply.status, reply.code()), (503, "broker_pending".into()));
}

#[tokio::test]
async fn a_broker_that_does_not_answer_is_an_unknown_outcome() {
    let limits = postrider_api::Limits { request_timeout: Duration::from_millis(50), ..support::limits() };
    let server = Server::start_with(Fake::holding(), Settings { limits, ..settings() }).await;
    let reply = server.post(ORDERS, &BINARY, "1").await;
    assert_eq!((reply.status, reply.code()), (504, "outcome_unknown".into()));
}

#[tokio::test]
async fn a_body_that_does_not_come_times_out() {
    let limits = postrider_api::Limits { request_timeout: Duration::from_millis(50), ..support::limits() };
    let server = Server::start_with(Fake::new(), Settings { limits, ..settings() }).await;
    let head = format!(
        "POST {ORDERS} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                        connection: close\r\ncontent-length: 5\r\n\r\n12"
    );
    let reply = server.raw(head.as_bytes()).await;
    assert_eq!((reply.status, reply.code()), (408, "request_timeout".into()));
}

#[tokio::test]
async fn who_wants_no_body_gets_none() {
    let server = Server::start().await;
    let mut headers = BINARY.to_vec();
    headers.push(("prefer", "return=minimal"));
    let reply = server.post(ORDERS, &headers, "1").await;
    assert_eq!((reply.status, reply.body.as_str()), (204, ""));
    assert_eq!(reply.header("postrider-accepted"), Some("broker"));
}

#[tokio::test]
async fn the_trace_goes_with_the_event_as_hop_headers() {
    let server = Server::start().await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut headers = BINARY.to_vec();
    headers.extend([("traceparent", trace), ("tracestate", "a=1")]);
    assert_eq!(server.post(ORDERS, &headers, "1").await.status, 200);
    let (record, event) = taken(&server);
    assert_eq!(record.hop.traceparent.map(|t| t.to_string()).as_deref(), Some(trace));
    assert_eq!(record.hop.tracestate.as_deref(), Some("a=1"));
    assert_eq!(event.attribute("traceparent"), None, "the hop's trace is no attribute");
}

#[tokio::test]
async fn a_client_that_disconnects_cancels_nothing() {
    let server = Server::start_with(Fake::holding(), settings()).await;
    let connection = {
        use tokio::io::AsyncWriteExt;
        let mut connection = server.connect().await;
        connection.write_all(&support::request("POST", ORDERS, &BINARY, b"1")).await.unwrap();
        connection
    };
    let promise = server.driver.held().await;
    drop(connection);
    promise.answer(vec![durable(0)]);
    // What was under way is waited for, though nobody is there to be answered.
    server.publisher.close(std::time::Instant::now() + Duration::from_secs(20)).await;
    assert_eq!(server.driver.ids(), ["1"]);
}

#[tokio::test]
async fn refusals_are_counted_under_configured_names_only() {
    let metrics = telemetry::Metrics::new("test");
    let telemetry = telemetry::Telemetry::new(vec![Box::new(metrics.clone())]);
    let driver = Fake::new();
    let publisher = publish::Publisher::new(publish::Limits::default(), telemetry.clone());
    publisher.set_topics(vec![support::topic(&driver, "orders", &[])]);
    let tasks = tokio_util::task::TaskTracker::new();
    let app = postrider_api::App::new(publisher, telemetry, settings(), tasks.clone());
    let listener = postrider_api::Listener::bind("127.0.0.1:0").await.unwrap();
    let address = ("127.0.0.1", listener.port().unwrap());
    let stop = tokio_util::sync::CancellationToken::new();
    postrider_api::serve(listener, app, support::limits(), &tasks, &stop);
    for (path, headers) in [
        (ORDERS, &BINARY[..1]),
        (ORDERS, &BINARY[..3]),
        ("/v1/topics/somebodys-secret/events", &BINARY[..]),
        (ORDERS, &BINARY[..]),
    ] {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        support::exchange(stream, &support::request("POST", path, headers, b"1")).await;
    }
    let page = metrics.encode();
    for line in [
        r#"postrider_refused_events_total{topic="orders",code="malformed_event"} 1"#,
        r#"postrider_refused_events_total{topic="",code="unknown_topic"} 1"#,
        r#"messaging_client_sent_messages_total{messaging_destination_name="orders",postrider_broker="local",postrider_accepted="broker"} 2"#,
    ] {
        assert!(page.lines().any(|l| l == line), "missing {line} in\n{page}");
    }
    assert!(!page.contains("secret"), "what a request says is no label");
}
