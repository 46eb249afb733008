//! A sidecar and Google's client on one topic of the same server.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Method;
use postrider_tests::{Postrider, Setup, client};
use serde_json::{Value, json};

use crate::inbox::{Delivered, Inbox, blocking};
use crate::sdk;

/// A topic, a subscription of others on it, and a sidecar that knows the topic as `orders`.
pub(crate) struct House {
    pub(crate) topic: String,
    pub(crate) address: &'static str,
    pub(crate) sidecar: Postrider,
    pub(crate) inbox: Inbox,
}

impl House {
    /// With a sidecar that only publishes.
    pub(crate) async fn publishing() -> Self {
        Self::start(|setup, _| setup).await
    }

    /// With a sidecar that delivers what comes to the webhook.
    pub(crate) async fn subscribing() -> Self {
        Self::start(|setup, to| setup.subscription("all", to, json!({}))).await
    }

    pub(crate) async fn start(subscribe: impl FnOnce(Setup, &str) -> Setup) -> Self {
        let topic = format!("interop-{:016x}", fastrand::u64(..));
        let named = topic.clone();
        let address = blocking(move || {
            let pubsub = brokers::pubsub::shared();
            pubsub.create_topic(&named).expect("a topic is created");
            pubsub.address()
        })
        .await;
        let inbox = Inbox::open().await;
        let setup = Setup::on_pubsub(address)
            .with("/names/prefix", json!(format!("{topic}.")))
            .with("/topics/orders/names/main", json!(topic));
        let sidecar = Postrider::start(subscribe(setup, &inbox.url())).await;
        let house = Self { topic, address, sidecar, inbox };
        house.listen(&house.topic).await;
        house
    }

    /// Makes a subscription of others on a topic, with its name and with message ordering.
    pub(crate) async fn listen(&self, topic: &str) {
        let topic = topic.to_owned();
        let ordered = r#""enableMessageOrdering":true"#;
        blocking(move || {
            let pubsub = brokers::pubsub::shared();
            pubsub.create_subscription(&topic, &topic, ordered).expect("a subscription is created");
        })
        .await;
    }

    pub(crate) async fn publish(&self, headers: &[(&str, &str)], body: impl Into<Bytes>) {
        let request = client::request(Method::POST, "/v1/topics/orders/events", headers, body);
        let answer = client::send(self.sidecar.app(), request).await.expect("the app listener answers");
        assert_eq!(answer.status, 200, "{headers:?}: {}", answer.text());
    }

    /// What the SDK reads of the topic, by the events' ids: events of different keys have no order.
    pub(crate) async fn received(&self, count: usize) -> BTreeMap<String, Value> {
        let (address, topic) = (self.address, self.topic.clone());
        let events = blocking(move || sdk::receive(address, &topic, count)).await;
        let id =
            |event: &Value| event["attributes"]["id"].as_str().expect("every event has an id").to_owned();
        let by_id: BTreeMap<_, _> = events.into_iter().map(|event| (id(&event), event)).collect();
        assert_eq!(by_id.len(), count, "nothing comes twice: {by_id:#?}");
        by_id
    }

    /// What others find on a topic, as messages, by their ids.
    pub(crate) async fn messages(&self, topic: &str, count: usize) -> BTreeMap<String, Value> {
        let (address, topic) = (self.address, topic.to_owned());
        let messages = blocking(move || sdk::messages(address, &topic, count)).await;
        let id = |message: &Value| message["id"].as_str().expect("every message has an id").to_owned();
        messages.into_iter().map(|message| (id(&message), message)).collect()
    }

    /// Others publish these; returns the messages' ids.
    pub(crate) async fn others_publish(&self, lines: Vec<Value>) -> Vec<String> {
        let (address, topic) = (self.address, self.topic.clone());
        blocking(move || sdk::publish(address, &topic, &lines)).await
    }

    pub(crate) async fn delivered(&self, count: usize) -> BTreeMap<String, Delivered> {
        self.inbox.by_id(count).await
    }
}
