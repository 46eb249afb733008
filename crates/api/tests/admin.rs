//! The admin and health listeners.

mod support;

use std::sync::Arc;
use std::time::Duration;

use broker::{Driver, Start};
use delivery::{Mode, Push, Spec, Subscriptions, Webhook};
use parking_lot::Mutex;
use postrider_api::{Admin, Health, House, Limits, Listener, Readiness, serve};
use serde_json::json;
use support::fake::{Fake, refused};
use support::{Reply, exchange, limits, request, structured};
use telemetry::Telemetry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

#[derive(Debug)]
struct Desk {
    driver: Arc<Fake>,
    drained: Mutex<Option<Duration>>,
}

impl House for Desk {
    fn service(&self) -> &str {
        "shop"
    }
    fn version(&self) -> &str {
        "1.2.3"
    }
    fn brokers(&self) -> Vec<(String, Arc<dyn Driver>)> {
        vec![("local".into(), self.driver.clone())]
    }
    fn config(&self) -> serde_json::Value {
        json!({"service": "shop", "token": "<redacted>"})
    }
    fn drain(&self, wait: Duration) {
        *self.drained.lock() = Some(wait);
    }
}

struct Server {
    port: u16,
    health: u16,
    desk: Arc<Desk>,
    publisher: publish::Publisher,
    readiness: Readiness,
    stop: CancellationToken,
}

impl Server {
    async fn start() -> Self {
        Self::start_with(Fake::new(), limits()).await
    }

    async fn start_with(driver: Arc<Fake>, limits: Limits) -> Self {
        let desk = Arc::new(Desk { driver: driver.clone(), drained: Mutex::default() });
        let publisher = support::publisher(&driver);
        let push = Push::new([]);
        let subscriptions = Subscriptions::new(publisher.clone(), Telemetry::default(), push);
        subscriptions.add(billing(&driver)).expect("the server starts");
        let readiness = Readiness::new();
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let admin =
            Admin::new(desk.clone(), publisher.clone(), subscriptions, readiness.clone(), &[], stop.clone());
        let listener = Listener::bind("127.0.0.1:0").await.expect("the server starts");
        let port = listener.port().expect("the server starts");
        serve(listener, admin, limits, &tasks, &stop);
        let metrics = telemetry::Metrics::new("1.2.3");
        let listener = Listener::bind("127.0.0.1:0").await.expect("the server starts");
        let health = listener.port().expect("the server starts");
        serve(listener, Health::new(readiness.clone(), move || metrics.encode()), limits, &tasks, &stop);
        Self { port, health, desk, publisher, readiness, stop }
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.expect("the server starts");
        exchange(stream, &request(method, path, headers, b"")).await
    }

    async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[]).await
    }

    async fn probe(&self, path: &str) -> Reply {
        let stream = TcpStream::connect(("127.0.0.1", self.health)).await.expect("the server starts");
        // A kubelet probes the pod's address, whatever that is.
        exchange(stream, &request("GET", path, &[("host", "10.1.2.3:3581")], b"")).await
    }

    async fn publish(&self, ids: &[&str]) {
        let items = ids.iter().map(|id| publish::Item {
            event: event::json::from_bytes(structured(id, "com.example.order", "s").into()).expect("valid"),
            key: None,
            traceparent: None,
            tracestate: None,
        });
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        self.publisher.publish("orders", items.collect(), deadline).expect("taken").await;
    }
}

fn billing(driver: &Arc<Fake>) -> Spec {
    Spec {
        name: "billing".into(),
        durable: broker::Subscription {
            name: "shop.billing".into(),
            topic: "orders".into(),
            start: Start::Earliest,
            ordered: true,
            until: None,
        },
        topic: "orders".into(),
        broker: "local".into(),
        driver: driver.clone(),
        webhook: Webhook {
            uri: "http://127.0.0.1:9/".parse().expect("a URI"),
            mode: Mode::Binary,
            encoding: event::http::Encoding::Percent,
            timeout: Duration::from_secs(1),
            answers: vec![],
        },
        policy: policy(),
        dead_letter: publish::Topic { open: false, ..support::topic(driver, "orders.dead-letter", &[]) },
        reply_topic: None,
        app: None,
    }
}

fn policy() -> engine::Policy {
    let second = Duration::from_secs(1);
    engine::Policy {
        ordering: engine::Ordering::Key,
        concurrency: 1,
        mode: engine::Mode::Single,
        retry: engine::Retry {
            initial: second,
            max: second,
            max_attempts: 1,
            max_age: second,
            retry_after_max: second,
            budget_floor_per_second: 1,
            budget_ratio: 0.2,
        },
        breaker: engine::Breaker {
            consecutive: 5,
            success_ratio: 0.2,
            over: second,
            open: second,
            open_max: second,
            pause_probe: second,
        },
        window: engine::Window { initial: 1 },
        dead_letter: engine::DeadLetter { max_per_minute: 1, after: engine::AfterDeadLetter::Continue },
        buffer: 10,
    }
}

#[tokio::test]
async fn the_first_page_lists_every_endpoint() {
    let server = Server::start().await;
    let page = server.get("/").await.json();
    let paths: Vec<_> = page["endpoints"].as_array().unwrap().iter().map(|e| e["path"].clone()).collect();
    assert!(paths.contains(&json!("/v1/status")) && paths.contains(&json!("/v1/drain")), "{paths:?}");
    let reply = server.get("/nothing").await;
    assert_eq!((reply.status, reply.code()), (404, "not_found".into()));
    let reply = server.send("DELETE", "/v1/status", &[]).await;
    assert_eq!((reply.status, reply.code()), (405, "method_not_allowed".into()));
    assert_eq!(server.get("/v1/openapi.json").await.json()["info"]["title"], "Postrider");
}

#[tokio::test]
async fn status_tells_brokers_topics_and_subscriptions() {
    let server = Server::start().await;
    server.publisher.set_pending("local", Some("billing is not ensured".into()));
    let status = server.get("/v1/status").await.json();
    assert_eq!(
        (&status["service"], &status["version"], &status["ready"]),
        (&json!("shop"), &json!("1.2.3"), &json!(false))
    );
    let broker = json!({"name": "local", "health": "pending", "reason": "billing is not ensured"});
    assert_eq!(status["brokers"], json!([broker]));
    assert_eq!(status["topics"][0]["name"], "orders");
    assert_eq!(status["subscriptions"][0]["name"], "billing");
    server.publisher.set_pending("local", None);
    assert_eq!(server.get("/v1/status").await.json()["brokers"], json!([{"name": "local", "health": "up"}]));
    assert_eq!(
        server.get("/v1/subscriptions").await.json()["subscriptions"][0]["durable_name"],
        "shop.billing"
    );
    assert_eq!(server.get("/v1/subscriptions/billing").await.json()["topic"], "orders");
    let reply = server.get("/v1/subscriptions/nothing").await;
    assert_eq!((reply.status, reply.code()), (404, "unknown_subscription".into()));
    assert_eq!(server.get("/v1/config").await.json()["token"], "<redacted>");
}

#[tokio::test]
async fn an_operators_word_says_how_far_it_reaches() {
    let server = Server::start().await;
    let reply = server.send("POST", "/v1/subscriptions/billing/pause", &[]).await;
    assert_eq!(reply.json(), json!({"subscription": "billing", "state": "paused", "scope": "process"}));
    let reply = server.send("POST", "/v1/subscriptions/billing/resume", &[]).await;
    assert_eq!((reply.status, &reply.json()["scope"]), (200, &json!("process")));
    let reply = server.send("POST", "/v1/subscriptions/billing/seek?to=2026-01-31T12:00:00Z", &[]).await;
    assert_eq!((reply.status, &reply.json()["scope"]), (200, &json!("subscription")), "{reply:?}");
    for bad in ["/v1/subscriptions/billing/seek", "/v1/subscriptions/billing/seek?to=soon"] {
        assert_eq!(server.send("POST", bad, &[]).await.code(), "bad_request", "{bad}");
    }
    let reply = server.send("POST", "/v1/drain?wait=1500ms", &[]).await;
    assert_eq!((reply.status, reply.json()), (202, json!({"draining": true, "scope": "process"})));
    assert_eq!(*server.desk.drained.lock(), Some(Duration::from_millis(1500)));
}

#[tokio::test]
async fn a_misspelt_filter_selects_nothing() {
    let server = Server::start().await;
    let path = "/v1/subscriptions/billing/dead-letters";
    let reply = server.send("DELETE", &format!("{path}?staus=500"), &[]).await;
    assert_eq!((reply.status, reply.code()), (400, "bad_request".into()));
    assert!(reply.json()["detail"].as_str().unwrap().contains("staus"), "{reply:?}");
    assert_eq!(server.get(&format!("{path}?status=many")).await.code(), "bad_request");
    let letters = server.get(&format!("{path}?limit=5")).await;
    assert_eq!((letters.status, &letters.json()["total"]), (200, &json!(0)), "{letters:?}");
}

#[tokio::test]
async fn web_pages_change_nothing_and_other_hosts_read_nothing() {
    let server = Server::start().await;
    let origin = [("origin", "http://localhost:3580")];
    let reply = server.send("POST", "/v1/subscriptions/billing/pause", &origin).await;
    assert_eq!((reply.status, reply.code()), (403, "origin_not_allowed".into()));
    assert_eq!(
        server.send("GET", "/v1/status", &origin).await.status,
        200,
        "the page reads its own listener"
    );
    let reply = server.send("GET", "/v1/status", &[("host", "evil.example")]).await;
    assert_eq!((reply.status, reply.code()), (403, "host_not_allowed".into()));
}

#[tokio::test]
async fn unused_subscriptions_are_listed_and_deleted() {
    let server = Server::start().await;
    let list = server.get("/v1/brokers/local/subscriptions").await.json();
    assert_eq!(
        list["subscriptions"][1],
        json!({"name": "shop.old", "topic": "orders", "lag": 3, "open": false})
    );
    let reply = server.send("DELETE", "/v1/brokers/local/subscriptions/shop.old", &[]).await;
    assert_eq!(reply.json(), json!({"deleted": "shop.old"}));
    assert_eq!(*server.desk.driver.deleted.lock(), ["shop.old"]);
    let reply = server.send("DELETE", "/v1/brokers/local/subscriptions/shop.billing", &[]).await;
    assert_eq!((reply.status, reply.code()), (409, "conflict".into()));
    assert_eq!(server.get("/v1/brokers/other/subscriptions").await.code(), "unknown_broker");
}

/// The lines of a streamed answer, whose body comes in chunks.
fn lines(reply: &Reply) -> Vec<serde_json::Value> {
    reply
        .body
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[tokio::test]
async fn a_topic_is_browsed_line_by_line() {
    let server = Server::start().await;
    server.publish(&["a", "b", "c"]).await;
    let reply = server.get("/v1/topics/orders/events").await;
    assert_eq!(reply.header("content-type"), Some("application/x-ndjson"));
    let all = lines(&reply);
    assert_eq!(all.len(), 3, "{reply:?}");
    assert_eq!((&all[0]["position"], &all[0]["key"]), (&json!("0"), &json!("s")));
    assert_eq!(all[0]["time"], "2023-11-14T22:13:20Z");
    assert_eq!((&all[0]["event"]["id"], &all[0]["event"]["data"]), (&json!("a"), &json!({"n": 1})));
    let ids = |reply: Reply| lines(&reply).iter().map(|l| l["event"]["id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(server.get("/v1/topics/orders/events?from=1&limit=1").await), ["b"]);
    assert_eq!(ids(server.get("/v1/topics/orders/events?from=latest").await).len(), 0);
    let reply = server.get("/v1/topics/nowhere/events").await;
    assert_eq!((reply.status, reply.code()), (404, "unknown_topic".into()));
    assert_eq!(reply.json()["topics"], json!(["orders", "users"]), "the known ones are named");
}

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
        let event = event::json::from_bytes(large.clone().into()).expect("valid");
        let item = publish::Item { event, key: None, traceparent: None, tracestate: None };
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        server.publisher.publish("orders", vec![item], deadline).expect("taken").await;
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

#[tokio::test]
async fn a_stream_that_follows_shows_what_comes_and_ends_at_shutdown() {
    let server = Server::start().await;
    server.publish(&["before"]).await;
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
    let path = "/v1/topics/orders/events?from=latest&follow=true";
    stream.write_all(&request("GET", path, &[], b"")).await.unwrap();
    let mut answer = Vec::new();
    while !answer.windows(4).any(|w| w == b"\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0);
    }
    server.publish(&["after"]).await;
    while !answer.ends_with(b"}\n\r\n") {
        assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0);
    }
    server.stop.cancel();
    stream.read_to_end(&mut answer).await.unwrap();
    let ids: Vec<_> = lines(&Reply::parse(&answer)).iter().map(|l| l["event"]["id"].clone()).collect();
    assert_eq!(ids, ["after"]);
}

#[tokio::test]
async fn probes_tell_what_they_were_told() {
    let server = Server::start().await;
    assert_eq!(server.probe("/livez").await.status, 200, "a process that answers lives");
    assert_eq!(server.probe("/startupz").await.status, 503);
    assert_eq!(server.probe("/readyz").await.status, 503);
    server.readiness.set_started();
    server.readiness.set_check("broker local", false, "billing is not\nensured");
    server.readiness.set_check("app", true, "up");
    assert_eq!(server.probe("/startupz").await.status, 200);
    let reply = server.probe("/readyz?verbose").await;
    let text = "[+] app: up\n[-] broker local: billing is not\\u{a}ensured\nnot ready\n";
    assert_eq!((reply.status, reply.body.as_str()), (503, text));
    server.readiness.set_ready(true);
    assert_eq!(server.probe("/readyz").await.status, 200);
    let metrics = server.probe("/metrics").await;
    assert!(metrics.body.contains("postrider_build_info{version=\"1.2.3\"} 1"), "{metrics:?}");
    assert!(metrics.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    assert_eq!(server.probe("/v1/status").await.code(), "not_found", "nothing else is told there");
}
