//! The yardstick of publishing to Pub/Sub: Google's publisher with nothing around it. One task hands messages over while
//! fewer than so many are under way, and hears their answers.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use google_cloud_auth::credentials::anonymous;
use google_cloud_pubsub::client::{BasePublisher, Publisher};
use google_cloud_pubsub::error::PublishError;
use google_cloud_pubsub::model::Message;
use google_cloud_pubsub::publisher::PublishFuture;
use serde::{Deserialize, Serialize};

use super::{asked, load::Done, say};
use crate::amount::{Amount, Share};
use crate::samples::{KEYS, Record};

/// Messages that are published to warm up: one of every key, for each of which the client has a task.
pub(crate) const WARM_UP: u64 = KEYS;
/// What travels in a request at the most, and how long a message waits for others: as Postrider has it.
const REQUEST_MESSAGES: u32 = 1000;
const REQUEST_BYTES: u32 = 4 << 20;
const LINGER: Duration = Duration::from_millis(5);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    /// `http://HOST:PORT`.
    pub(crate) endpoint: String,
    /// Its full name.
    pub(crate) topic: String,
    /// Whether messages have ordering keys.
    pub(crate) keyed: bool,
    /// Whether events name their keys in an attribute, as those of a batch do.
    pub(crate) names_keys: bool,
    /// Most messages under way at once.
    pub(crate) in_flight: u64,
    pub(crate) amount: Amount,
}

/// When it is ready it tells how many messages it has published to warm up.
pub(super) fn play(spec: &Spec) -> Result<()> {
    let runtime = super::google::runtime()?;
    let sender = runtime.block_on(Sender::new(spec))?;
    // As everything of the client: on the runtime's own thread.
    let send = |mut sender: Sender, amount| {
        runtime.block_on(runtime.spawn(async move {
            let done = sender.send_all(amount).await?;
            anyhow::Ok((sender, done))
        }))?
    };
    let (sender, warmed) = send(sender, Amount::Items(WARM_UP))?;
    say(&warmed.events)?;
    if asked()?.is_none() {
        return Ok(());
    }
    let (_sender, done) = send(sender, spec.amount)?;
    say(&done)?;
    while asked()?.is_some() {}
    Ok(())
}

struct Sender {
    publisher: Publisher,
    /// One of each key, with its data. They are sent in turns.
    records: Vec<(Record, Bytes)>,
    keyed: bool,
    in_flight: usize,
    sent: u64,
}

impl Sender {
    async fn new(spec: &Spec) -> Result<Self> {
        let client = BasePublisher::builder()
            .with_endpoint(spec.endpoint.as_str())
            .with_credentials(anonymous::Builder::new().build());
        let publisher = client.build().await.context("Google's client cannot be made")?;
        let publisher = publisher
            .publisher(spec.topic.as_str())
            .set_message_count_threshold(REQUEST_MESSAGES)
            .set_byte_threshold(REQUEST_BYTES)
            .set_delay_threshold(LINGER)
            .build();
        let record = |number| {
            let record = Record::new(number, spec.names_keys);
            let data = Bytes::copy_from_slice(record.payload.as_bytes());
            (record, data)
        };
        let records = (0..KEYS).map(record).collect();
        let in_flight = usize::try_from(spec.in_flight)?;
        Ok(Self { publisher, records, keyed: spec.keyed, in_flight, sent: 0 })
    }

    async fn send_all(&mut self, amount: Amount) -> Result<Done> {
        let (began, share) = (Instant::now(), Share::begin(amount));
        let mut under_way = FuturesUnordered::new();
        let mut events = 0;
        while share.take().is_some() {
            while under_way.len() >= self.in_flight {
                acknowledged(under_way.next().await)?;
            }
            under_way.push(self.publish());
            events += 1;
        }
        while let Some(answer) = under_way.next().await {
            acknowledged(Some(answer))?;
        }
        Ok(Done { events, seconds: began.elapsed().as_secs_f64(), latency: None })
    }

    fn publish(&mut self) -> PublishFuture {
        let (record, data) = &self.records[(self.sent % KEYS) as usize];
        let message = Message::new()
            .set_data(data.clone())
            .set_ordering_key(if self.keyed { record.key.as_str() } else { "" })
            .set_attributes(record.attributes(self.sent));
        self.sent += 1;
        self.publisher.publish(message)
    }
}

fn acknowledged(answer: Option<Result<String, PublishError>>) -> Result<()> {
    answer.transpose().map(drop).context("Pub/Sub does not acknowledge")
}
