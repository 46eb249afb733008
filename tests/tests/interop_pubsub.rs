//! Events cross the Pub/Sub binding between Postrider and others: Google's own client for Python, and the official
//! CloudEvents SDK on it, publish to and receive from the same server.

#[path = "interop/pubsub_house.rs"]
mod house;
#[path = "interop/inbox.rs"]
mod inbox;
#[path = "interop/python.rs"]
mod python;
#[path = "interop/sample.rs"]
mod sample;
#[path = "interop/sdk_pubsub.rs"]
mod sdk;

use postrider_tests::Setup;
use serde_json::{Value, json};

use house::House;
use inbox::blocking;

const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";

/// An event's attributes: the required ones, and more.
fn event(id: &str, more: Value) -> Value {
    let mut event = json!({ "specversion": "1.0", "id": id, "source": "/shop", "type": "t" });
    let (Value::Object(event_map), Value::Object(more)) = (&mut event, more) else { panic!("two objects") };
    event_map.extend(more);
    event
}

/// What an app publishes, one shape each.
async fn publish_all(house: &House) {
    house.publish(&sample::binary("customer%20%227%22%20100%25"), r#"{"total": 12, "name": "zoë"}"#).await;
    let bytes = [
        ("ce-specversion", "1.0"),
        ("ce-id", "bytes"),
        ("ce-source", "/shop"),
        ("ce-type", "t"),
        ("content-type", "image/png"),
    ];
    house.publish(&bytes, &b"\x00\xff\x80"[..]).await;
    for structured in [
        event("no-data", json!({ "flag": true, "n": -7, "partitionkey": "größer" })),
        event("typeless", json!({ "data": { "a": [1] } })),
        event("text", json!({ "datacontenttype": "text/plain", "data": "größer" })),
        // What binary mode cannot carry: a value that is too long, data of no bytes, an event as data.
        event("long", json!({ "note": "ä".repeat(600), "n": -7, "data": { "a": 1 } })),
        event("no-bytes", json!({ "datacontenttype": "image/png", "data_base64": "" })),
        event("nested", json!({ "datacontenttype": STRUCTURED, "data": event("inner", json!({})) })),
    ] {
        house.publish(&[("content-type", STRUCTURED)], structured.to_string()).await;
    }
    let plain = [("content-type", "application/json"), ("idempotency-key", "plain"), ("postrider-key", "k")];
    house.publish(&plain, r#"{"total": 13}"#).await;
    let batch = [event("batch-1", json!({ "data": "1" })), event("batch-2", json!({ "data": ["2"] }))];
    house.publish(&[("content-type", BATCH), ("postrider-key", "b")], json!(batch).to_string()).await;
    let lines = batch.map(|event| event.to_string().replace("batch", "line")).join("\n");
    house.publish(&[("content-type", "application/x-ndjson")], lines).await;
}

/// How many events [`publish_all`] publishes.
const ALL: usize = 13;

/// What the SDK is to read of [`publish_all`], all but "plain" and what binary mode cannot carry. `typed`: as in
/// structured mode, where extensions keep their types, and data of no type is JSON without being said so.
fn readable(mode: &str, typed: bool) -> Vec<Value> {
    let read = |attributes: Value, data: Value, key: Option<&str>| json!({ "mode": mode, "attributes": attributes, "data": data, "key": key });
    let json = |id: &str| {
        event(id, if typed { json!({}) } else { json!({ "datacontenttype": "application/json" }) })
    };
    let no_data = if typed { json!({ "flag": true, "n": -7 }) } else { json!({ "flag": "true", "n": "-7" }) };
    let mut no_data = event("no-data", no_data);
    no_data["partitionkey"] = json!("größer");
    let binary = json!({
        "specversion": "1.0",
        "id": "binary",
        "source": "/shop?x=%20",
        "type": "com.example.order.created",
        "subject": "Größe \"€\" 100%",
        "time": "2026-11-23T14:33:08.500000+01:00",
        "shop": "7",
        "datacontenttype": "application/json; charset=utf-8",
    });
    vec![
        read(binary, json!({ "total": 12, "name": "zoë" }), Some("customer \"7\" 100%")),
        read(event("bytes", json!({ "datacontenttype": "image/png" })), json!({ "base64": "AP+A" }), None),
        read(no_data, Value::Null, Some("größer")),
        read(json("typeless"), json!({ "a": [1] }), None),
        read(event("text", json!({ "datacontenttype": "text/plain" })), json!("größer"), None),
        read(json("batch-1"), json!("1"), Some("b")),
        read(json("batch-2"), json!(["2"]), Some("b")),
        read(json("line-1"), json!("1"), None),
        read(json("line-2"), json!(["2"]), None),
    ]
}

/// The same of what goes structured whatever the mode.
fn readable_structured() -> Vec<Value> {
    let read = |attributes: Value, data: Value| json!({ "mode": "structured", "attributes": attributes, "data": data, "key": null });
    vec![
        read(event("long", json!({ "note": "ä".repeat(600), "n": -7 })), json!({ "a": 1 })),
        read(event("no-bytes", json!({ "datacontenttype": "image/png" })), json!({ "base64": "" })),
        read(event("nested", json!({ "datacontenttype": STRUCTURED })), event("inner", json!({}))),
    ]
}

/// The SDK reads all that [`publish_all`] published as it was meant.
async fn assert_received(house: &House, mode: &str, typed: bool) {
    let received = house.received(ALL).await;
    for event in [readable(mode, typed), readable_structured()].concat() {
        let id = event["attributes"]["id"].as_str().expect("an id");
        assert_eq!(received.get(id), Some(&event), "{id}");
    }
    assert_plain(&received["plain"], mode);
}

/// The event that the sidecar makes of plain JSON: its time is the sidecar's.
fn assert_plain(plain: &Value, mode: &str) {
    let mut plain = plain.clone();
    let time = plain["attributes"].as_object_mut().and_then(|attributes| attributes.remove("time"));
    assert!(time.is_some_and(|time| time.is_string()), "it has a time: {plain:#}");
    let attributes = json!({
        "specversion": "1.0", "id": "plain", "source": "shop", "type": "orders", "datacontenttype": "application/json",
    });
    let expected = json!({ "mode": mode, "attributes": attributes, "data": { "total": 13 }, "key": "k" });
    assert_eq!(plain, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_reads_what_postrider_publishes() {
    let house = House::publishing().await;
    publish_all(&house).await;
    assert_received(&house, "binary", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_reads_what_postrider_writes_in_structured_mode() {
    let structured =
        |setup: Setup, _: &str| setup.with("/brokers/main/pubsub/content_mode", json!("structured"));
    let house = House::start(structured).await;
    publish_all(&house).await;
    assert_received(&house, "structured", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postrider_delivers_what_the_sdk_writes_in_both_modes() {
    let house = House::subscribing().await;
    let attributes = |id: &str, content_type: &str| {
        json!({
            "specversion": "1.0", "id": id, "source": "/sdk?x=%20", "type": "com.example.t",
            "subject": "Größe \"€\" 100%", "time": "2026-11-23T14:33:08.5+01:00", "datacontenttype": content_type,
            "shop": "7",
        })
    };
    let mut lines = Vec::new();
    for mode in ["binary", "structured"] {
        let line = |what: &str, content_type: &str, data: Value, key: Option<&str>| {
            let id = format!("{what}-{mode}");
            json!({ "mode": mode, "attributes": attributes(&id, content_type), "data": data, "key": key })
        };
        lines.extend([
            line("json", "application/json", json!({ "total": 12, "name": "zoë" }), Some("customer-7")),
            line("bytes", "image/png", json!({ "base64": "AP+A" }), Some("größer 100%")),
            line("text", "text/plain", json!("größer"), None),
        ]);
        let mut no_data = line("no-data", "x/y", Value::Null, Some("no-data"));
        no_data["attributes"].as_object_mut().expect("an object").remove("datacontenttype");
        lines.push(no_data);
    }
    house.others_publish(lines).await;

    let delivered = house.delivered(8).await;
    let names = [
        "ce-id",
        "ce-specversion",
        "ce-source",
        "ce-type",
        "ce-subject",
        "ce-time",
        "ce-shop",
        "content-type",
        "postrider-key",
    ];
    for mode in ["binary", "structured"] {
        for (what, content_type, body, key) in [
            ("json", "application/json", None, "customer-7"),
            ("bytes", "image/png", Some(&b"\x00\xff\x80"[..]), "gr%C3%B6%C3%9Fer%20100%25"),
            ("text", "text/plain", Some("größer".as_bytes()), "nothing"),
        ] {
            let id = format!("{what}-{mode}");
            let event = &delivered[&id];
            let subject = "Gr%C3%B6%C3%9Fe%20%22%E2%82%AC%22%20100%25";
            let time = "2026-11-23T14:33:08.500000+01:00";
            assert_eq!(
                event.headers(names),
                [&id, "1.0", "/sdk?x=%2520", "com.example.t", subject, time, "7", content_type, key]
            );
            match body {
                Some(body) => assert_eq!(event.body, body, "{id}"),
                None => assert_eq!(event.json(), json!({ "total": 12, "name": "zoë" }), "{id}"),
            }
        }
        // A webhook needs a body, so what has no data comes structured.
        let no_data = &delivered[&format!("no-data-{mode}")];
        assert_eq!(no_data.headers(["content-type", "postrider-key"]), [STRUCTURED, "no-data"]);
        let mut expected = attributes(&format!("no-data-{mode}"), "");
        expected.as_object_mut().expect("an object").remove("datacontenttype");
        expected["time"] = json!("2026-11-23T14:33:08.500000+01:00");
        assert_eq!(no_data.json(), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keys_events_keep_their_order_both_ways() {
    let house = House::subscribing().await;
    let key = |n: usize| format!("k-{}", n % 2);
    let mut lines = Vec::new();
    for n in 0..20 {
        let mode = if n % 3 == 0 { "structured" } else { "binary" };
        let attributes = json!({ "id": format!("sdk-{n:02}"), "source": "/sdk", "type": "t" });
        lines.push(json!({ "mode": mode, "attributes": attributes, "data": { "n": n }, "key": key(n) }));
    }
    house.others_publish(lines).await;
    for n in 20..40 {
        let id = format!("app-{n}");
        let body = event(&id, json!({ "partitionkey": key(n), "data": { "n": n } })).to_string();
        house.publish(&[("content-type", STRUCTURED)], body).await;
    }
    let ids = |key: &str| -> Vec<String> {
        let all = (0..40).map(|n| if n < 20 { format!("sdk-{n:02}") } else { format!("app-{n}") });
        all.enumerate().filter(|(n, _)| key == format!("k-{}", n % 2)).map(|(_, id)| id).collect()
    };
    let delivered = house.inbox.in_order(40).await;
    let (address, topic) = (house.address, house.topic.clone());
    let received = blocking(move || sdk::receive(address, &topic, 40)).await;
    for key in ["k-0", "k-1"] {
        let of_key = delivered.iter().filter(|event| event.header("postrider-key") == key);
        let came: Vec<&str> = of_key.map(|event| event.header("webhook-id")).collect();
        assert_eq!(came, ids(key), "{key}, to the webhook");
        let of_key = received.iter().filter(|event| event["key"] == key);
        let came: Vec<&str> = of_key.filter_map(|event| event["attributes"]["id"].as_str()).collect();
        assert_eq!(came, ids(key), "{key}, to Google's client");
    }
}

/// A message as Google's client is to publish it.
fn message(attributes: Value, data: &str, key: &str) -> Value {
    json!({ "message": { "attributes": attributes, "data": { "base64": data }, "key": key } })
}

#[tokio::test(flavor = "multi_thread")]
async fn all_spellings_of_the_content_type_are_read() {
    let house = House::subscribing().await;
    let binary = |id: &str, name: &str| {
        let mut attributes =
            json!({ "ce-specversion": "1.0", "ce-id": id, "ce-source": "/others", "ce-type": "t" });
        attributes[name] = json!("text/csv");
        message(attributes, "YSxi", "k")
    };
    let structured = |id: &str, name: &str| {
        let text = event(id, json!({ "datacontenttype": "text/csv", "data": "a,b" })).to_string();
        json!({ "message": { "attributes": { name: "application/CloudEvents+json; charset=UTF-8" }, "data": text } })
    };
    let lines = vec![
        binary("prose", "content-type"),
        binary("examples", "ce-datacontenttype"),
        binary("sdk-go", "Content-Type"),
        structured("structured", "content-type"),
        structured("structured-sdk-go", "Content-Type"),
    ];
    house.others_publish(lines).await;
    let delivered = house.delivered(5).await;
    for id in ["prose", "examples", "sdk-go", "structured", "structured-sdk-go"] {
        let headers = delivered[id].headers(["ce-id", "content-type"]);
        assert_eq!((headers, &delivered[id].body[..]), ([id, "text/csv"], &b"a,b"[..]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_others_are_delivered_as_events_with_what_the_server_knows_of_them() {
    let house = House::subscribing().await;
    let lines = vec![
        message(json!({ "content-type": "text/csv", "trace": "x" }), "YSxiCg==", "customer-7"),
        message(json!({ "Content-Type": "text/csv" }), "YSxiCg==", ""),
        message(json!({ "content-type": "nonsense" }), "AP+A", "größer"),
        message(json!({ "only": "attributes" }), "", "customer-7"),
    ];
    let ids = house.others_publish(lines).await;
    // What Google's client tells of the same messages.
    let seen = house.messages(&house.topic, 4).await;
    let delivered = house.delivered(4).await;
    let (source, topic) = (format!("/pubsub/{}", house.topic), house.topic.as_str());
    let time = |id: &str| seen[id]["time"].as_str().expect("every message has a time");
    let names = [
        "ce-id",
        "ce-source",
        "ce-type",
        "ce-time",
        "ce-pubsubmessageid",
        "ce-pubsubpublishtime",
        "ce-pubsuborderingkey",
        "postrider-key",
        "content-type",
        "ce-trace",
    ];
    for (id, key) in [(&ids[0], "customer-7"), (&ids[1], "nothing")] {
        let (id, time) = (id.as_str(), time(id));
        assert_eq!(
            delivered[id].headers(names),
            [id, &source, topic, time, id, time, key, key, "text/csv", "nothing"]
        );
        assert_eq!(delivered[id].body, &b"a,b\n"[..], "untouched");
    }
    // Without a content type a webhook needs structured mode.
    for (id, key, in_header, data) in
        [(&ids[2], "größer", "gr%C3%B6%C3%9Fer", Some("AP+A")), (&ids[3], "customer-7", "customer-7", None)]
    {
        let time = time(id);
        let mut expected = json!({
            "specversion": "1.0", "id": id, "source": source, "type": topic, "time": time,
            "pubsubmessageid": id, "pubsubpublishtime": time, "pubsuborderingkey": key,
        });
        if let Some(data) = data {
            expected["data_base64"] = json!(data);
        }
        assert_eq!(delivered[id].json(), expected);
        assert_eq!(delivered[id].headers(["content-type", "postrider-key"]), [STRUCTURED, in_header]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_claim_to_be_events_and_are_none_are_dead_lettered_and_stop_nothing() {
    let house = House::subscribing().await;
    let durable = format!("{}.shop.all", house.topic);
    let letters = format!("{durable}.dead-letter");
    house.listen(&letters).await;
    let bad = [
        json!({ "ce-id": "alone" }),
        json!({ "ce-specversion": "1.0", "CE-id": "1", "ce-source": "/s", "ce-type": "t" }),
        json!({ "content-type": "application/cloudevents+avro" }),
        json!({ "content-type": BATCH }),
        json!({ "content-type": STRUCTURED }),
        json!({ "content-type": "text/csv", "Content-type": "text/plain", "ce-id": "1" }),
    ];
    let count = bad.len();
    let mut lines: Vec<Value> =
        bad.iter().map(|attributes| message(attributes.clone(), "eA==", "k")).collect();
    lines.push(message(json!({ "content-type": "text/plain" }), "Z29vZA==", "k"));
    let ids = house.others_publish(lines).await;
    let delivered = house.delivered(1).await;
    assert_eq!(delivered[&ids[count]].body, &b"good"[..], "the same key goes on after each");
    let dead = |s: &Value| s["dead_lettered"] == json!(count);
    house.sidecar.until_subscription("all", "every bad message a dead letter", dead).await;
    let found = house.messages(&letters, count).await;
    for id in &ids[..count] {
        let letter = found
            .values()
            .find(|letter| letter["attributes"]["postrider-dead-letter-position"] == json!(id))
            .unwrap_or_else(|| panic!("{id} has no letter: {found:#?}"));
        assert_eq!(
            (&letter["data"], &letter["key"]),
            (&json!({ "base64": "eA==" }), &json!("k")),
            "untouched"
        );
        let attributes = &letter["attributes"];
        assert_eq!(
            ["topic", "subscription", "reason"]
                .map(|name| &attributes[format!("postrider-dead-letter-{name}")]),
            ["orders", durable.as_str(), "foreign"]
        );
        assert!(attributes["postrider-foreign"].as_str().is_some_and(|why| !why.is_empty()), "{letter:#}");
    }
}
