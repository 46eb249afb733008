//! Events in answers.

use broker::Body;

use crate::house::{House, TRACE};
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

#[tokio::test]
async fn a_reply_that_cannot_be_published_leaves_the_delivery_undone() {
    let house = House::new();
    let hook = Webhook::start(|_| answer(200, BINARY, "42")).await;
    let mut spec = house.spec("billing", hook.uri());
    spec.reply_topic = Some("nowhere".into());
    house.add(spec).await;
    house.publish("e1", Some("k")).await;
    house.status("billing", |status| status.dead_lettered == 1).await;
    let letters = house.log("b-billing.dead");
    let letter = letters[0].letter.as_ref().unwrap();
    assert_eq!((letter.reason.as_str(), letter.attempts, letter.status), ("attempts_used_up", 5, Some(200)));
    assert!(letter.answer.contains("nowhere"), "{}", letter.answer);
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
