//! Events cross the Kafka binding between Postrider and others: kcat, which knows records, and the official CloudEvents
//! SDK for Python, over a client that is not librdkafka.

#[path = "interop/inbox.rs"]
mod inbox;
#[path = "interop/kcat.rs"]
mod kcat;
#[path = "interop/python.rs"]
mod python;
#[path = "interop/sample.rs"]
mod sample;
#[path = "interop/sdk_kafka.rs"]
mod sdk;

use std::collections::BTreeMap;

use postrider_tests::{Postrider, Setup};
use serde_json::{Value, json};

use inbox::{Delivered, Inbox, blocking};

const STRUCTURED: &str = "application/cloudevents+json";

/// A topic of one partition, which gives all that is written to it one order, and a sidecar that knows it as `orders`.
struct House {
    topic: String,
    bootstrap: &'static str,
    sidecar: Postrider,
    inbox: Inbox,
}

impl House {
    /// With a sidecar that only publishes.
    async fn publishing() -> Self {
        Self::start(|setup, _| setup).await
    }

    /// With a sidecar that delivers what comes to the webhook, one event after another.
    async fn subscribing(mode: &str) -> Self {
        let more = json!({ "concurrency": 1, "mode": mode });
        Self::start(|setup, to| setup.subscription("all", to, more)).await
    }

    async fn start(subscribe: impl FnOnce(Setup, &str) -> Setup) -> Self {
        let topic = format!("interop-{:016x}", fastrand::u64(..));
        let named = topic.clone();
        let bootstrap = blocking(move || {
            let kafka = brokers::shared();
            kafka.create_topic(&named, 1, &[]).expect("a topic is created");
            kafka.bootstrap()
        })
        .await;
        let inbox = Inbox::open().await;
        let servers: Vec<&str> = bootstrap.split(',').collect();
        let setup = Setup::new()
            .with("/service", json!(topic))
            .with("/broker", json!("main"))
            .with("/brokers/main/kafka/bootstrap_servers", json!(servers))
            .with("/topics/orders/names", json!({ "main": topic }));
        let sidecar = Postrider::start(subscribe(setup, &inbox.url())).await;
        Self { topic, bootstrap, sidecar, inbox }
    }

    async fn publish(&self, headers: &[(&str, &str)], body: &str) {
        let answer = self.sidecar.publish("/v1/topics/orders/events", headers, body).await;
        assert_eq!(answer.status, 200, "{headers:?}: {}", answer.text());
    }

    /// Work of another program on the topic.
    async fn outside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&'static str, &str) -> T + Send + 'static,
    ) -> T {
        let (bootstrap, topic) = (self.bootstrap, self.topic.clone());
        blocking(move || work(bootstrap, &topic)).await
    }

    /// What the webhook was sent, by the events' ids, once so many have come: events of different keys have no order.
    async fn delivered(&self, count: usize) -> BTreeMap<String, Delivered> {
        self.inbox.by_id(count).await
    }
}

/// What an app publishes: a binary event with all that a header has to encode, one without data, one that is structured
/// and has a type without a name, and plain JSON.
async fn publish_all(house: &House) {
    house.publish(&sample::binary("customer-7"), r#"{"total": 12}"#).await;
    let structured = [("content-type", STRUCTURED)];
    house
        .publish(
            &structured,
            r#"{"specversion":"1.0","id":"no-data","source":"/shop","type":"t","flag":true,"n":-7}"#,
        )
        .await;
    let typeless = r#"{"specversion":"1.0","id":"typeless","source":"/shop","type":"t","data":{"a": [1]}}"#;
    house.publish(&structured, typeless).await;
    let plain = [("content-type", "application/json"), ("idempotency-key", "plain"), ("postrider-key", "k")];
    house.publish(&plain, r#"{"total": 13}"#).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kcat_reads_what_postrider_publishes_with_the_headers_of_the_binding() {
    let house = House::publishing().await;
    publish_all(&house).await;
    let records = house.outside(|bootstrap, topic| kcat::consume(bootstrap, topic, 4)).await;
    let [binary, no_data, typeless, plain] = records.as_slice() else { panic!("four records: {records:#?}") };

    assert_eq!(
        binary.of_the_event(),
        [
            ("ce_id", "binary"),
            ("ce_shop", "7"),
            ("ce_source", "/shop?x=%20"),
            ("ce_specversion", "1.0"),
            ("ce_subject", "Größe \"€\" 100%"),
            ("ce_time", "2026-11-23T14:33:08.5+01:00"),
            ("ce_type", "com.example.order.created"),
            ("content-type", "application/json; charset=utf-8"),
        ],
        "UTF-8 as it is, and nothing percent-encoded"
    );
    assert_eq!(binary.key.as_deref(), Some("customer-7"));
    assert_eq!(binary.value.as_deref(), Some(r#"{"total": 12}"#));

    assert_eq!((no_data.key.as_deref(), no_data.value.as_deref()), (None, None), "no data is a null value");
    let [flag, number] = ["ce_flag", "ce_n"].map(|name| no_data.header(name));
    assert_eq!((flag, number), (Some("true"), Some("-7")));
    assert_eq!(no_data.header("content-type"), None);

    assert_eq!(typeless.header("content-type"), Some("application/json"), "what the JSON format implies");
    assert_eq!(typeless.value.as_deref(), Some(r#"{"a": [1]}"#));

    assert_eq!((plain.header("ce_id"), plain.header("ce_type")), (Some("plain"), Some("orders")));
    assert_eq!((plain.key.as_deref(), plain.value.as_deref()), (Some("k"), Some(r#"{"total": 13}"#)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_reads_what_postrider_publishes() {
    let house = House::publishing().await;
    publish_all(&house).await;
    let events = house.outside(|bootstrap, topic| sdk::consume(bootstrap, topic, 4)).await;
    let [binary, no_data, typeless, plain] = events.as_slice() else { panic!("four events: {events:#?}") };
    assert_eq!(
        *binary,
        json!({
            "attributes": {
                "specversion": "1.0",
                "id": "binary",
                "source": "/shop?x=%20",
                "type": "com.example.order.created",
                "subject": "Größe \"€\" 100%",
                "time": "2026-11-23T14:33:08.500000+01:00",
                "shop": "7",
                "datacontenttype": "application/json; charset=utf-8",
            },
            "data": { "total": 12 },
            "key": "customer-7",
        })
    );
    assert_eq!(no_data["data"], Value::Null);
    assert_eq!(
        (&no_data["attributes"]["id"], &no_data["attributes"]["flag"]),
        (&json!("no-data"), &json!("true"))
    );
    assert_eq!(typeless["data"], json!({ "a": [1] }));
    assert_eq!((&plain["attributes"]["type"], &plain["data"]), (&json!("orders"), &json!({ "total": 13 })));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_reads_what_postrider_writes_in_structured_mode() {
    let structured =
        |setup: Setup, _: &str| setup.with("/brokers/main/kafka/content_mode", json!("structured"));
    let house = House::start(structured).await;
    publish_all(&house).await;
    let events = house.outside(|bootstrap, topic| sdk::consume(bootstrap, topic, 4)).await;
    let [binary, no_data, typeless, plain] = events.as_slice() else { panic!("four events: {events:#?}") };
    let attributes = &binary["attributes"];
    assert_eq!(
        [&attributes["id"], &attributes["subject"], &attributes["datacontenttype"]],
        ["binary", "Größe \"€\" 100%", "application/json; charset=utf-8"]
    );
    assert_eq!([&binary["data"], &plain["data"]], [&json!({ "total": 12 }), &json!({ "total": 13 })]);
    assert_eq!((&no_data["data"], &no_data["attributes"]["id"]), (&Value::Null, &json!("no-data")));
    assert_eq!(
        (&typeless["data"], &typeless["attributes"]["id"]),
        (&json!({ "a": [1] }), &json!("typeless"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn postrider_delivers_what_the_sdk_writes_in_both_modes() {
    let house = House::subscribing("binary").await;
    let attributes = |id: &str| {
        json!({
            "specversion": "1.0", "id": id, "source": "/sdk", "type": "com.example.t", "subject": "Größe",
            "time": "2026-11-23T14:33:08+00:00", "datacontenttype": "application/json", "shop": "7",
        })
    };
    let mut events = Vec::new();
    for mode in ["binary", "structured"] {
        let order = json!({ "total": 12, "name": "zoë" });
        events.push(
            json!({ "mode": mode, "attributes": attributes(mode), "data": order, "key": "customer-7" }),
        );
    }
    let mut bytes = attributes("bytes");
    bytes["datacontenttype"] = json!("application/octet-stream");
    events.push(json!({ "mode": "structured", "attributes": bytes, "data": { "base64": "AP+A" } }));
    let mut keyed = attributes("keyed");
    keyed["partitionkey"] = json!("p-1");
    events.push(json!({ "mode": "binary", "attributes": keyed, "data": { "a": 1 } }));
    house.outside(move |bootstrap, topic| sdk::produce(bootstrap, topic, &events)).await;

    let delivered = house.delivered(4).await;
    let names = ["ce-id", "ce-source", "ce-type", "ce-subject", "ce-shop", "content-type", "postrider-key"];
    for id in ["binary", "structured"] {
        let event = &delivered[id];
        assert_eq!(
            event.headers(names),
            [id, "/sdk", "com.example.t", "Gr%C3%B6%C3%9Fe", "7", "application/json", "customer-7"]
        );
        assert_eq!(event.json(), json!({ "total": 12, "name": "zoë" }), "{id}");
    }
    assert_eq!(delivered["binary"].header("ce-time"), "2026-11-23T14:33:08Z");
    assert_eq!(delivered["bytes"].headers(["ce-id", "postrider-key"]), ["bytes", "nothing"]);
    assert_eq!(delivered["bytes"].body, &b"\x00\xff\x80"[..]);
    assert_eq!(
        delivered["keyed"].headers(["ce-id", "ce-partitionkey", "postrider-key"]),
        ["keyed", "p-1", "p-1"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn postrider_delivers_what_kcat_writes_plain_or_as_events() {
    let house = House::subscribing("binary").await;
    house
        .outside(|bootstrap, topic| {
            let put = |key, headers: &[(&str, Option<&str>)], value| {
                kcat::produce(bootstrap, topic, key, headers, value);
            };
            put(Some("k"), &[("content-type", Some("text/csv")), ("x", None)], Some("a,b\n1,2\n"));
            put(None, &[("content-type", Some("nonsense"))], Some("plain"));
            put(Some("tombstone"), &[], None);
            let event = [
                ("ce_specversion", Some("1.0")),
                ("ce_id", Some("e-1")),
                ("ce_source", Some("/kcat")),
                ("ce_type", Some("t")),
                ("ce_subject", Some("100% größe")),
                ("Content-Type", Some("text/plain")),
            ];
            put(Some("k"), &event, Some("hello"));
            let format = [("content-type", Some("application/CloudEvents+json; charset=UTF-8"))];
            let text = r#"{"specversion":"1.0","id":"e-2","source":"/kcat","type":"t","data":{"a":1}}"#;
            put(Some("k"), &format, Some(text));
        })
        .await;
    let delivered = house.delivered(5).await;
    let names = ["ce-id", "ce-source", "ce-type", "content-type", "postrider-key"];
    let source = format!("/kafka/{}", house.topic);
    let topic = house.topic.as_str();
    let wrapped = |id, content_type, key| [id, source.as_str(), topic, content_type, key];

    assert_eq!(delivered["0-0"].headers(names), wrapped("0-0", "text/csv", "k"));
    assert_eq!(delivered["0-0"].body, &b"a,b\n1,2\n"[..], "untouched");
    assert_ne!(delivered["0-0"].header("ce-time"), "nothing", "the record's time is the event's");
    // Without a content type a webhook needs structured mode.
    let [plain, tombstone] = ["0-1", "0-2"].map(|id| delivered[id].json());
    assert_eq!((&plain["id"], &plain["source"]), (&json!("0-1"), &json!(source)));
    assert_eq!((&plain["data_base64"], &plain["datacontenttype"]), (&json!("cGxhaW4="), &Value::Null));
    assert_eq!((&tombstone["id"], &tombstone["data"]), (&json!("0-2"), &Value::Null));
    assert_eq!(delivered["0-2"].headers(["content-type", "postrider-key"]), [STRUCTURED, "tombstone"]);

    assert_eq!(delivered["e-1"].headers(names), ["e-1", "/kcat", "t", "text/plain", "k"]);
    assert_eq!(
        (delivered["e-1"].header("ce-subject"), &delivered["e-1"].body[..]),
        ("100%25%20gr%C3%B6%C3%9Fe", &b"hello"[..])
    );
    assert_eq!(delivered["e-2"].headers(names), ["e-2", "/kcat", "t", "application/json", "k"]);
    assert_eq!(delivered["e-2"].body, &br#"{"a":1}"#[..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_claim_to_be_events_and_are_none_are_dead_lettered_and_stop_nothing() {
    let house = House::subscribing("binary").await;
    let bad: [(&str, (&str, Option<&str>)); 5] = [
        ("ce_id alone", ("ce_id", Some("1"))),
        ("a null header", ("ce_id", None)),
        ("another format", ("content-type", Some("application/cloudevents+avro"))),
        ("a batch", ("content-type", Some("application/cloudevents-batch+json"))),
        ("no JSON", ("content-type", Some(STRUCTURED))),
    ];
    let count = bad.len();
    house
        .outside(move |bootstrap, topic| {
            for (value, header) in bad {
                kcat::produce(bootstrap, topic, Some("k"), &[header], Some(value));
            }
            kcat::produce(bootstrap, topic, Some("k"), &[("content-type", Some("text/plain"))], Some("good"));
        })
        .await;
    let delivered = house.delivered(1).await;
    assert_eq!(delivered[&format!("0-{count}")].body, &b"good"[..], "the same key goes on after each");
    let dead = |s: &Value| s["dead_lettered"] == json!(count);
    house.sidecar.until_subscription("all", "every bad record a dead letter", dead).await;
    let letters = house.sidecar.dead_letters("all").await;
    assert_eq!(
        letters["groups"],
        json!([{ "reason": "foreign", "status": null, "count": count }]),
        "{letters:#}"
    );

    let letter_topic = format!("{}.all.dead-letter", house.topic);
    let records = house.outside(move |bootstrap, _| kcat::consume(bootstrap, &letter_topic, count)).await;
    let values: Vec<_> = records.iter().filter_map(|record| record.value.as_deref()).collect();
    assert_eq!(values, ["ce_id alone", "a null header", "another format", "a batch", "no JSON"], "untouched");
    for record in &records {
        let reason = record.header("__dlq.errors.message").unwrap_or_default();
        assert!(reason.contains("foreign: "), "the reason stands where Kafka's own tools look: {record:?}");
        assert_eq!(record.header("__dlq.errors.topic"), Some("orders"));
    }
}
