//! What a request looks like.

use std::sync::Arc;

use broker::Key;
use event::{Event, Value};
use parking_lot::Mutex;
use postrider_delivery::Mode;
use publish::Item;

use crate::house::{House, TRACE, event};
use crate::webhook::{Seen, Webhook, answer, status};

/// What one event looks like in a mode.
async fn delivered(mode: Mode, item: Item) -> Seen {
    let house = House::new();
    let hook = Webhook::start(|_| status(200)).await;
    let mut spec = house.spec("billing", hook.uri());
    spec.webhook.mode = mode;
    house.add(spec).await;
    house.publish_item(item).await;
    hook.next().await
}

fn item(event: Event, key: &str) -> Item {
    let key = Key::new(key.to_owned());
    let traceparent = broker::TraceParent::parse(TRACE.as_bytes());
    Item { event, key, traceparent, tracestate: Some("a=b".into()) }
}

#[tokio::test]
async fn binary_mode_carries_the_event_and_the_hop() {
    let seen = delivered(Mode::Binary, item(event("e1"), "größe 1")).await;
    for (name, value) in [
        ("content-type", "application/json"),
        ("ce-id", "e1"),
        ("ce-type", "order.created"),
        ("postrider-subscription", "billing"),
        ("postrider-topic", "orders"),
        ("postrider-attempt", "1"),
        ("postrider-key", "gr%C3%B6%C3%9Fe%201"),
        ("webhook-id", "e1"),
        ("traceparent", TRACE),
        ("tracestate", "a=b"),
    ] {
        assert_eq!(seen.header(name), value, "{name}");
    }
    assert!(seen.header("webhook-timestamp").parse::<u64>().unwrap() > 1_700_000_000, "seconds");
    assert_eq!(seen.body, r#"{"order":"e1"}"#);
    assert_eq!(seen.path, "/hook?x=1");
}

#[tokio::test]
async fn the_hop_is_never_taken_from_the_events_attributes() {
    let started = "00-11111111111111111111111111111111-2222222222222222-01";
    let with = |id: &str| {
        let builder = Event::builder().id(id).source("/s").kind("t").data_content_type("text/plain");
        let builder = builder.data(event::Data::Binary("x".into()));
        builder.extension("traceparent", Value::String(started)).build().unwrap()
    };
    let seen = delivered(Mode::Binary, item(with("e1"), "")).await;
    assert_eq!((seen.header("traceparent"), seen.header("ce-traceparent")), (TRACE, started));
    let without = Item { event: with("e2"), key: None, traceparent: None, tracestate: None };
    let seen = delivered(Mode::Binary, without).await;
    assert_eq!((seen.header("traceparent"), seen.header("ce-traceparent")), ("", started));
    assert_eq!(seen.header("postrider-key"), "");
}

#[tokio::test]
async fn structured_mode_and_events_without_data() {
    let seen = delivered(Mode::Structured, item(event("e1"), "k")).await;
    assert_eq!(seen.header("content-type"), "application/cloudevents+json");
    assert_eq!(event::json::from_bytes(seen.body).unwrap().id(), "e1");
    let empty = Event::builder().id("e2").source("/s").kind("t").build().unwrap();
    let seen = delivered(Mode::Binary, item(empty, "k")).await;
    assert_eq!(seen.header("content-type"), "application/cloudevents+json", "binary mode cannot carry it");
    assert_eq!(event::json::from_bytes(seen.body).unwrap().id(), "e2");
}

#[tokio::test]
async fn raw_mode_sends_the_data_alone_and_foreign_bytes_too() {
    let seen = delivered(Mode::Raw, item(event("e1"), "k")).await;
    assert_eq!((seen.header("content-type"), seen.header("ce-id")), ("application/json", ""));
    assert_eq!((seen.header("webhook-id"), &seen.body[..]), ("e1", &br#"{"order":"e1"}"#[..]));

    let house = House::new();
    let hook = Webhook::start(|_| status(200)).await;
    let mut spec = house.spec("billing", hook.uri());
    spec.webhook.mode = Mode::Raw;
    house.add(spec).await;
    house.publish_foreign(b"\x00anything").await;
    let seen = hook.next().await;
    assert_eq!(
        (seen.header("content-type"), &seen.body[..]),
        ("application/octet-stream", &b"\x00anything"[..])
    );
    house.status("billing", |status| status.delivered == 1).await;
}

#[tokio::test]
async fn a_batch_is_judged_as_one_and_its_poison_alone() {
    let house = House::stored();
    let ids = |seen: &Seen| -> Vec<String> {
        let events = event::json::batch_from_bytes(seen.body.clone()).unwrap();
        events.iter().map(|event| event.id().to_owned()).collect()
    };
    let hook = Webhook::start(move |seen| match ids(seen).iter().any(|id| id == "poison") {
        true => answer(400, &[], "poison"),
        false => status(200),
    })
    .await;
    let mut spec = house.spec("billing", hook.uri());
    spec.webhook.mode = Mode::Batch { events: 10 };
    house.add(spec).await;
    house.subscriptions.pause("billing").unwrap();
    house.told.wait("Paused", 1).await;
    for number in 0..5 {
        house.publish(&format!("e{number}"), Some(&format!("k{number}"))).await;
    }
    house.publish("poison", Some("p")).await;
    house.subscriptions.resume("billing").unwrap();
    house.status("billing", |status| status.delivered == 5 && status.dead_lettered == 1).await;
    let requests = hook.unseen().await;
    assert!(requests.iter().any(|seen| ids(seen).len() > 1), "several events go in one request");
    for seen in requests {
        assert_eq!(seen.header("content-type"), "application/cloudevents-batch+json");
        let alone = ids(&seen).len() == 1;
        assert_eq!(seen.header("traceparent") == TRACE, alone, "a trace and a key stand for one event alone");
        assert_eq!(!seen.header("postrider-key").is_empty(), alone);
    }
    assert_eq!(house.log("b-billing.dead").len(), 1, "one bad event does not condemn its batch");
}

#[tokio::test]
async fn a_batch_beyond_a_requests_size_goes_in_several_one_after_another() {
    let house = House::stored();
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let (seen_sizes, mut failed) = (sizes.clone(), false);
    let hook = Webhook::start(move |seen| {
        let events = event::json::batch_from_bytes(seen.body.clone()).unwrap();
        let ids: Vec<String> = events.iter().map(|event| event.id().to_owned()).collect();
        let fails = ids.len() < 9 && !std::mem::replace(&mut failed, true);
        seen_sizes.lock().push((ids, seen.body.len(), fails));
        status(if fails { 500 } else { 200 })
    })
    .await;
    let mut spec = house.spec("billing", hook.uri());
    spec.webhook.mode = Mode::Batch { events: 100 };
    house.add(spec).await;
    house.subscriptions.pause("billing").unwrap();
    house.told.wait("Paused", 1).await;
    for number in 0..20 {
        house.publish_large(&format!("e{number:02}"), Some("k")).await;
    }
    house.subscriptions.resume("billing").unwrap();
    house.status("billing", |status| status.delivered == 20 && status.lag == 0).await;
    let requests = std::mem::take(&mut *sizes.lock());
    assert!(requests.iter().all(|(_, bytes, _)| *bytes <= 9 << 20), "a request is bounded");
    assert!(requests.iter().any(|(ids, ..)| ids.len() > 1), "several go in one request");
    let done = requests.into_iter().filter(|(_, _, failed)| !failed).flat_map(|(ids, ..)| ids);
    let expected = (0..20).map(|number| format!("e{number:02}"));
    assert!(done.eq(expected), "in order, each once, and nothing behind one that failed");
}
