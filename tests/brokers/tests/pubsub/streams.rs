//! What the server hands out over streams: everything, in a key's order, and no more than was asked for.

use std::collections::{BTreeMap, BTreeSet};

use super::grpc::{Client, PATIENCE, message};
use brokers::pubsub::{self, PROJECT, Shared, rest};
use tonic::Code;

/// The server, a client of it, and a topic with a subscription of the same name. None where neither Docker nor Go is here.
async fn prepared(name: &str, settings: &'static str) -> Option<(&'static Shared, Client)> {
    if !pubsub::is_possible() {
        return None;
    }
    let name = name.to_owned();
    let server = tokio::task::spawn_blocking(move || {
        let server = pubsub::shared();
        server.create_topic(&name).expect("a topic of our own");
        server.create_subscription(&name, &name, settings).expect("a subscription of our own");
        server
    });
    let server = server.await.expect("a server");
    Some((server, Client::connect(&server.endpoint()).await))
}

fn texts(count: usize) -> BTreeSet<String> {
    (0..count).map(|n| n.to_string()).collect()
}

async fn publish_texts(client: &Client, topic: &str, count: usize) {
    let messages = (0..count).map(|n| message(&n.to_string(), "")).collect();
    assert_eq!(client.publish(topic, messages).await.expect("it is taken"), count);
}

#[tokio::test]
async fn everything_is_handed_out_and_never_more_than_was_asked_for() {
    let Some((_, client)) = prepared("bounded", "").await else { return };
    let mut stream = client.stream("bounded", 3).await.unwrap();
    publish_texts(&client, "bounded", 100).await;
    let mut held = Vec::new();
    let mut seen = BTreeSet::new();
    while seen.len() < 100 {
        let received = stream.next().await.unwrap();
        assert!(seen.insert(received.text()), "{} came twice", received.text());
        held.push(received.ack_id);
        assert!(held.len() <= 3, "3 were asked for");
        if held.len() == 3 || seen.len() > 97 {
            client.acknowledge("bounded", &held.remove(0)).await.unwrap();
        }
    }
    assert_eq!(seen, texts(100));
}

#[tokio::test]
async fn streams_share_what_there_is() {
    let Some((_, client)) = prepared("shared-out", "").await else { return };
    let mut first = client.stream("shared-out", 10).await.unwrap();
    let mut second = client.stream("shared-out", 10).await.unwrap();
    publish_texts(&client, "shared-out", 20).await;
    let mut seen = BTreeSet::new();
    for _ in 0..10 {
        seen.insert(first.next().await.unwrap().text());
        seen.insert(second.next().await.unwrap().text());
    }
    assert_eq!(seen, texts(20), "each message goes to one of them");
}

#[tokio::test]
async fn a_keys_messages_come_in_their_order() {
    let Some((_, client)) = prepared("ordered", r#""enableMessageOrdering":true"#).await else { return };
    let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut messages = Vec::new();
    for n in 0..60 {
        let key = format!("key-{}", n % 7);
        messages.push(message(&n.to_string(), &key));
        expected.entry(key).or_default().push(n.to_string());
    }
    client.publish("ordered", messages).await.unwrap();
    let mut stream = client.stream("ordered", 0).await.unwrap();
    let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for _ in 0..60 {
        let received = stream.next().await.unwrap();
        let key = received.message.as_ref().expect("it has content").ordering_key.clone();
        seen.entry(key).or_default().push(received.text());
        client.acknowledge("ordered", &received.ack_id).await.unwrap();
    }
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn what_is_given_back_comes_again_and_its_old_ack_id_is_dead() {
    let Some((_, client)) = prepared("given-back", "").await else { return };
    let mut stream = client.stream("given-back", 1).await.unwrap();
    publish_texts(&client, "given-back", 1).await;
    let first = stream.next().await.unwrap();
    client.modify("given-back", &first.ack_id, 0).await.unwrap();
    let again = stream.next().await.unwrap();
    assert_ne!(first.ack_id, again.ack_id);
    client.acknowledge("given-back", &first.ack_id).await.unwrap();
    client.modify("given-back", &again.ack_id, 0).await.unwrap();
    let third = stream.next().await.expect("the old id has settled nothing");
    client.acknowledge("given-back", &third.ack_id).await.unwrap();
}

#[tokio::test]
async fn the_stream_of_a_deleted_subscription_ends() {
    let Some((server, client)) = prepared("deleted", "").await else { return };
    let mut stream = client.stream("deleted", 0).await.unwrap();
    let path = format!("/v1/projects/{PROJECT}/subscriptions/deleted");
    let deleted = tokio::task::spawn_blocking(move || rest::call(server.address(), "DELETE", &path, ""));
    assert_eq!(deleted.await.unwrap().unwrap().status, 200);
    assert_eq!(stream.next().await.unwrap_err().code(), Code::NotFound);
    assert_eq!(client.stream("deleted", 0).await.err().map(|status| status.code()), Some(Code::NotFound));
}

#[tokio::test]
async fn a_client_that_does_not_read_hinders_nobody() {
    let Some((server, client)) = prepared("unread", "").await else { return };
    let idle = Client::connect(&server.endpoint()).await;
    let unread = idle.stream("unread", 0).await.unwrap();
    let large = "x".repeat(20_000);
    for _ in 0..10 {
        client.publish("unread", vec![message(&large, ""); 50]).await.unwrap();
    }
    let mut stream = client.stream("unread", 0).await.unwrap();
    unread.ping();
    // 64 and what fits on its way are the other's; all the rest comes here.
    for _ in 0..300 {
        let received = stream.next().await.unwrap();
        client.acknowledge("unread", &received.ack_id).await.unwrap();
    }
    tokio::time::timeout(PATIENCE, client.publish("unread", vec![message("still", "")]))
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn what_the_service_refuses_is_refused() {
    let Some((_, client)) = prepared("refused", "").await else { return };
    let too_large = message(&"x".repeat(10_000_001), "");
    for (why, messages) in [
        ("no message", vec![]),
        ("an empty message", vec![message("", "")]),
        ("more than 10 MB", vec![too_large]),
        ("a key of 1,025 bytes", vec![message("a", &"k".repeat(1025))]),
        ("1,001 messages", vec![message("a", ""); 1001]),
    ] {
        let refused = client.publish("refused", messages).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{why}: {refused:?}");
    }
    let missing = client.publish("not-there", vec![message("a", "")]).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound, "{missing:?}");
}
