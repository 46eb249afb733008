//! The admin and health listeners.

mod support;

use std::time::Duration;

use serde_json::json;
use support::desk::Server;
use support::{Reply, request, structured};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

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
    let list = server.get("/v1/brokers/local/subscriptions").await.json();
    assert_eq!(list["subscriptions"].as_array().map(Vec::len), Some(1), "the other is there: {list}");
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
    server
        .publish_text(&structured("d", "com.example.order", "s").replace("{\"n\":1}", "{\r\n\"n\":\n1}"))
        .await;
    let last = server.get("/v1/topics/orders/events?from=3").await;
    let data = lines(&last).first().map(|line| line["event"]["data"].clone());
    assert_eq!(data, Some(json!({"n": 1})), "line breaks in an event end no line: {last:?}");
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
