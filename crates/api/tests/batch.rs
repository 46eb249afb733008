//! Batches: all validated before the first write, results in order.

mod support;

use broker::fake::{durable, refused};
use broker::{Outcome, RefusalKind};
use serde_json::json;
use support::{Server, structured};

const ORDERS: &str = "/v1/topics/orders/events";
const BATCH: (&str, &str) = ("content-type", "application/cloudevents-batch+json");

fn batch(events: &[String]) -> String {
    format!("[{}]", events.join(","))
}

fn orders(ids: &[&str]) -> String {
    batch(&ids.iter().map(|id| structured(id, "com.example.order", "s")).collect::<Vec<_>>())
}

#[tokio::test]
async fn a_batch_is_answered_in_order() {
    let server = Server::start().await;
    let reply = server.post(ORDERS, &[BATCH], orders(&["a", "b"])).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(
        reply.json(),
        json!({"results": [
            {"id": "a", "source": "/shop", "accepted": "broker", "position": "0"},
            {"id": "b", "source": "/shop", "accepted": "broker", "position": "1"},
        ]})
    );
    assert_eq!(server.driver.calls(), [2], "one call");
    let reply = server.post(ORDERS, &[BATCH], "[]").await;
    assert_eq!((reply.status, reply.json()), (200, json!({"results": []})));
    let reply = server.post(ORDERS, &[BATCH, ("prefer", "return=minimal")], orders(&["c"])).await;
    assert_eq!((reply.status, reply.body.as_str()), (204, ""));
}

#[tokio::test]
async fn one_malformed_entry_refuses_all() {
    let server = Server::start().await;
    let good = structured("a", "com.example.order", "s");
    let large = structured("b", "com.example.order", &"s".repeat(100_001));
    let long = structured("b", "com.example.order", &"s".repeat(1025));
    let delayed = good.replace("\"subject\"", "\"deliverat\"");
    for (bad, status, code) in [
        (good.replace("\"id\"", "\"ID\""), 400, "malformed_event"),
        (large, 413, "event_too_large"),
        (long, 400, "key_too_long"),
        (delayed, 400, "reserved_attribute"),
    ] {
        let reply = server.post(ORDERS, &[BATCH], batch(&[good.clone(), bad])).await;
        assert_eq!((reply.status, reply.code().as_str()), (status, code));
        assert_eq!(reply.json()["index"], 1, "the entry is named: {reply:?}");
    }
    let reply = server.post(ORDERS, &[BATCH], "{}").await;
    assert_eq!((reply.status, reply.code()), (400, "malformed_event".into()));
    assert!(server.driver.taken().is_empty(), "nothing was written");
}

#[tokio::test]
async fn failures_are_told_entry_by_entry() {
    let server = Server::start().await;
    let outcomes = || {
        [
            durable(0),
            refused(RefusalKind::Full),
            refused(RefusalKind::AfterFailure),
            Outcome::Unknown("gone".into()),
        ]
    };
    server.driver.will(outcomes());
    let body = orders(&["a", "b", "c", "d"]);
    let reply = server.post(ORDERS, &[BATCH], &body).await;
    assert_eq!(reply.status, 207);
    let json = reply.json();
    assert_eq!(json["failed"], 3);
    assert_eq!(json["results"][0]["accepted"], "broker");
    let codes = |n: usize| (json["results"][n]["status"].clone(), json["results"][n]["code"].clone());
    assert_eq!(codes(1), (json!(507), json!("log_full")));
    assert_eq!(codes(2), (json!(503), json!("after_failure")));
    assert_eq!(codes(3), (json!(504), json!("outcome_unknown")));
    assert!(reply.header("retry-after").is_some());
    server.driver.will(outcomes());
    let reply = server.post(ORDERS, &[BATCH, ("prefer", "handling=strict")], &body).await;
    assert_eq!((reply.status, &reply.json()["failed"]), (504, &json!(3)), "the worst status instead of 207");
}

#[tokio::test]
async fn entries_go_to_the_topics_of_their_types_with_results_in_order() {
    let server = Server::start().await;
    let mixed = batch(&[
        structured("a", "com.example.order", "s"),
        structured("b", "com.example.user", "s"),
        structured("c", "com.example.order", "s"),
    ]);
    let reply = server.post("/v1/events", &[BATCH], mixed).await;
    let json = reply.json();
    let ids: Vec<_> = json["results"].as_array().unwrap().iter().map(|r| r["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["a", "b", "c"]);
    assert_eq!(server.driver.ids(), ["a", "c", "b"], "one call a topic");
    let unrouted = batch(&[structured("d", "com.example.order", "s"), structured("e", "other", "s")]);
    let reply = server.post("/v1/events", &[BATCH], unrouted).await;
    assert_eq!(
        (reply.status, reply.code(), &reply.json()["index"]),
        (404, "unrouted_type".into(), &json!(1))
    );
    assert_eq!(server.driver.ids().len(), 3, "nothing of a refused batch is written");
}
