//! The yardstick of delivery from Pub/Sub: Google's subscriber hands each message, as a request with the headers that
//! Postrider sends, to connections that POST it, each one at a time. What is answered is acknowledged, and nobody waits for
//! that, as Postrider does not. No order, no retries: the least that could be called delivery.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use google_cloud_auth::credentials::anonymous;
use google_cloud_pubsub::client::Subscriber;
use google_cloud_pubsub::model::Message;
use google_cloud_pubsub::subscriber::handler::Handler;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::post::{self, Parts, Post, Target};
use super::{asked, note, say};

/// What is extended at a time, as Postrider's default.
const LEASE: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    /// `http://HOST:PORT`.
    pub(crate) endpoint: String,
    /// Its own name, which deliveries tell.
    pub(crate) topic: String,
    /// Its full name.
    pub(crate) subscription: String,
    pub(crate) to: SocketAddr,
    /// Most requests open at once.
    pub(crate) concurrency: usize,
}

type Requests = mpsc::Sender<(Post, Handler)>;

pub(super) fn play(spec: &Spec) -> Result<()> {
    let runtime = super::google::runtime()?;
    let requests = post::connections(&runtime, spec.to, spec.concurrency, Handler::ack);
    let client = Subscriber::builder()
        .with_endpoint(spec.endpoint.as_str())
        .with_credentials(anonymous::Builder::new().build());
    let client = runtime.block_on(client.build()).context("Google's client cannot be made")?;
    let target = Target::new(spec.to, &spec.topic)?;
    let subscription = spec.subscription.clone();
    runtime.spawn(async move {
        let reading = read_all(client, subscription, target, requests).await;
        reading.inspect_err(|error| note(&format!("bare subscriber: {error:#}")))
    });
    say(&())?;
    while asked()?.is_some() {}
    runtime.shutdown_background();
    Ok(())
}

async fn read_all(
    client: Subscriber,
    subscription: String,
    target: Target,
    requests: Requests,
) -> Result<()> {
    let mut stream = client.subscribe(subscription).set_max_lease_extension(LEASE).build();
    while let Some((message, handler)) = stream.next().await.transpose()? {
        let request = post(&target, &message)?;
        if requests.send((request, handler)).await.is_err() {
            break;
        }
    }
    Ok(())
}

fn post(target: &Target, message: &Message) -> Result<Post> {
    let attributes = message.attributes.iter();
    let key = message.ordering_key.as_bytes();
    target.post(Parts {
        payload: message.data.clone(),
        key: (!key.is_empty()).then_some(key),
        attributes: attributes.map(|(name, value)| (name.as_str(), value.as_bytes())),
        timestamp: message.publish_time.as_ref().map_or(0, |time| time.seconds()),
    })
}
