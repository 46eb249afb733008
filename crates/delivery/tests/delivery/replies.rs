//! Events in answers.

use std::sync::Arc;

use broker::{Body, RefusalKind};

use crate::house::{House, TRACE};
use crate::mischief::{Mischief, Mischievous, id_of};
use crate::webhook::{Webhook, answer, bytes};

const BINARY: &[(&str, &str)] = &[
    ("ce-specversion", "1.0"),
    ("ce-id", "r1"),
    ("ce-source", "/billing"),
    ("ce-type", "order.billed"),
    ("content-type", "text/plain"),
];

fn replies(house: &House) -> Vec<broker::Record> {
    house.log("b-replies")
}

#[tokio::test]
async fn an_event_in_the_answer_is_durable_before_the_delivery_is_done() {
    let structured = r#"{"specversion":"1.0","id":"r1","source":"/billing","type":"order.billed"}"#;
    for (headers, body) in
        [(BINARY, "42"), (&[("content-type", "application/cloudevents+json")][..], structured)]
    {
        let house = House::new();
        let hook = Webhook::start(move |_| answer(200, headers, body)).await;
        let mut spec = house.spec("billing", hook.uri());
        spec.reply_topic = Some("replies".into());
        house.add(spec).await;
        house.publish("e1", Some("k")).await;
        house.status("billing", |status| status.delivered == 1).await;
        let published = replies(&house);
        let Body::Event(event) = &published[0].body else { panic!("{published:?}") };
        assert_eq!((event.id(), event.kind()), ("r1", "order.billed"));
        let trace = published[0].hop.traceparent.map(|trace| trace.to_string());
        assert_eq!(trace.as_deref(), Some(TRACE), "the reply continues the trace");
        assert_eq!(hook.unseen().await.len(), 1);
    }
}

#[tokio::test]
async fn an_answer_that_is_no_event_or_a_malformed_one_is_done_all_the_same() {
    let house = House::new();
    let hook = Webhook::start(|seen| match seen.id() {
        "e1" => answer(200, &[("content-type", "application/json")], "{}"),
        _ => answer(200, &[("ce-specversion", "1.0"), ("ce-id", "r1")], "no source"),
    })
    .await;
    let mut spec = house.spec("billing", hook.uri());
    spec.reply_topic = Some("replies".into());
    house.add(spec).await;
    house.publish("e1", None).await;
    house.publish("e2", None).await;
    house.status("billing", |status| status.delivered == 2).await;
    assert!(replies(&house).is_empty());
}

/// A subscription whose webhook gives this answer, and whose replies go to the topic `replies` of a driver that
/// refuses as it is told to.
async fn answering(
    house: &House,
    mischief: &Mischief,
    headers: &'static [(&str, &str)],
    body: &'static str,
) -> Webhook {
    let mut topic = house.topic("replies", true);
    topic.broker = "another".into();
    topic.driver = Arc::new(Mischievous(house.broker.clone(), mischief.clone()));
    topic.event_bytes_max = 200;
    house.publisher.set_topics(vec![house.topic("orders", true), topic]);
    let hook = Webhook::start(move |_| answer(200, headers, body)).await;
    let mut spec = house.spec("billing", hook.uri());
    spec.reply_topic = Some("replies".into());
    spec.policy.retry.max_attempts = 1000;
    house.add(spec).await;
    hook
}

/// The delivery of `e1` ended well at its first attempt, and the reply to it was dropped for this reason.
async fn is_done_without_its_reply(house: &House, reason: &str) {
    house.status("billing", |status| status.delivered == 1 && status.lag == 0).await;
    assert!(replies(house).is_empty(), "{reason}");
    assert_eq!(house.told.count("AttemptBegun"), 1, "{reason}: asking again brings the same reply again");
    let told = house.told.lines("ReplyDropped");
    let [line] = told.as_slice() else { panic!("{told:?}") };
    assert!(line.contains(r#"subscription: "billing", id: "e1""#) && line.contains(reason), "{line}");
    assert!(house.log("b-billing.dead").is_empty(), "{reason}");
}

const STRUCTURED: &[(&str, &str)] = &[("content-type", "application/cloudevents+json")];
const BATCHED: &[(&str, &str)] = &[("content-type", "application/cloudevents-batch+json")];

#[tokio::test]
async fn a_reply_that_no_topic_takes_is_dropped_loudly_and_the_delivery_is_done() {
    let house = House::new();
    let hook = Webhook::start(|_| answer(200, BINARY, "42")).await;
    let mut spec = house.spec("billing", hook.uri());
    spec.reply_topic = Some("nowhere".into());
    house.add(spec).await;
    house.publish("e1", Some("k")).await;
    is_done_without_its_reply(&house, "nowhere").await;
}

#[tokio::test]
async fn a_reply_that_is_malformed_or_beyond_a_bound_is_dropped_loudly_and_the_delivery_is_done() {
    let event = |more: &str| -> &'static str {
        format!(r#"{{"specversion":"1.0","id":"r1","source":"/b","type":"t",{more}}}"#).leak()
    };
    let wide = event(&format!(r#""data":"{}""#, "x".repeat(300)));
    let keyed = event(&format!(r#""partitionkey":"{}""#, "k".repeat(2000)));
    let beyond_reading = event(&format!(r#""data":"{}""#, "x".repeat(70_000)));
    for (headers, body, reason) in [
        (&[("ce-specversion", "1.0"), ("ce-id", "r1")][..], "no source", "source"),
        (STRUCTURED, "{", ""),
        (STRUCTURED, wide, "takes at most 200"),
        (STRUCTURED, beyond_reading, "larger than the reply topic takes"),
    ] {
        let house = House::new();
        let _hook = answering(&house, &Mischief::default(), headers, body).await;
        house.publish("e1", Some("k")).await;
        is_done_without_its_reply(&house, reason).await;
    }
    let house = House::new();
    let hook = Webhook::start(move |_| answer(200, STRUCTURED, keyed)).await;
    let mut spec = house.spec("billing", hook.uri());
    spec.reply_topic = Some("replies".into());
    house.add(spec).await;
    house.publish("e1", Some("k")).await;
    is_done_without_its_reply(&house, "a key of 2000 bytes").await;
}

#[tokio::test]
async fn a_reply_that_the_broker_refuses_for_good_is_dropped_loudly_and_the_delivery_is_done() {
    for kind in [RefusalKind::TooLarge, RefusalKind::UnknownTopic, RefusalKind::Denied] {
        let house = House::new();
        let mischief = Mischief::default();
        let _hook = answering(&house, &mischief, BINARY, "42").await;
        mischief.refuse.lock().push(("r1", kind));
        house.publish("e1", Some("k")).await;
        is_done_without_its_reply(&house, "refused for a test").await;
    }
}

#[tokio::test]
async fn what_may_pass_is_waited_for() {
    for kind in [RefusalKind::Overloaded, RefusalKind::Unavailable, RefusalKind::Full] {
        let house = House::new();
        let mischief = Mischief::default();
        let _hook = answering(&house, &mischief, BINARY, "42").await;
        mischief.refuse.lock().push(("r1", kind));
        house.publish("e1", Some("k")).await;
        house.status("billing", |status| status.delivered == 1).await;
        assert_eq!((replies(&house).len(), house.told.count("AttemptBegun")), (1, 2), "{kind:?}");
        assert_eq!(house.told.count("ReplyDropped"), 0, "{kind:?}");
    }
    let house = House::new();
    let _hook = answering(&house, &Mischief::default(), BINARY, "42").await;
    house.publisher.set_pending("another", Some("it starts".into()));
    house.publish("e1", Some("k")).await;
    house.told.wait("AttemptBegun", 2).await;
    house.publisher.set_pending("another", None);
    house.status("billing", |status| status.delivered == 1).await;
    assert_eq!((replies(&house).len(), house.told.count("ReplyDropped")), (1, 0));
}

#[tokio::test]
async fn one_bad_reply_takes_no_other_of_its_batch_with_it() {
    let event = |id: &str, data: usize| {
        let data = "x".repeat(data);
        format!(
            r#"{{"specversion":"1.0","id":"{id}","source":"/b","type":"t","partitionkey":"k","data":"{data}"}}"#
        )
    };
    let events = [event("r1", 1), event("wide", 300), event("denied", 1), event("r2", 1), event("r3", 1)];
    let body: &'static str = format!("[{}]", events.join(",")).leak();
    let house = House::new();
    let mischief = Mischief::default();
    let _hook = answering(&house, &mischief, BATCHED, body).await;
    mischief.refuse.lock().push(("denied", RefusalKind::Denied));
    house.publish("e1", None).await;
    house.status("billing", |status| status.delivered == 1).await;
    let published = replies(&house);
    let ids: Vec<&str> = published.iter().map(id_of).collect();
    assert_eq!(ids, ["r1", "r2", "r3"], "in order, each once");
    assert_eq!((house.told.count("AttemptBegun"), house.told.count("ReplyDropped")), (1, 2));
}

#[tokio::test]
async fn a_reply_that_breaks_off_is_asked_for_again() {
    let house = House::new();
    let head = "HTTP/1.1 200 fine\r\nce-specversion: 1.0\r\nce-id: r1\r\nce-source: /b\r\nce-type: t\r\n\
                content-type: text/plain\r\n";
    let answers = vec![
        format!("{head}content-length: 100\r\n\r\nhalf of"),
        format!("{head}content-length: 5\r\n\r\nwhole"),
    ];
    let (uri, _tasks) = bytes(answers).await;
    let mut spec = house.spec("billing", uri);
    spec.reply_topic = Some("replies".into());
    house.add(spec).await;
    house.publish("e1", None).await;
    house.status("billing", |status| status.delivered == 1).await;
    assert_eq!(replies(&house).len(), 1);
    assert_eq!(house.told.count("AttemptBegun"), 2);
}

#[tokio::test]
async fn without_a_reply_topic_answers_are_not_looked_at() {
    let house = House::new();
    let hook = Webhook::start(|_| answer(200, BINARY, "42")).await;
    house.add(house.spec("billing", hook.uri())).await;
    house.publish("e1", None).await;
    house.status("billing", |status| status.delivered == 1).await;
    assert!(replies(&house).is_empty());
}
