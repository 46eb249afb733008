//! The yardstick of delivery: a librdkafka consumer on a thread of its own hands each record, as a request with the
//! headers that Postrider sends, to connections that POST it, each one at a time. Offsets are committed by librdkafka.
//! No order, no retries, no progress beyond the order of reading: the least that could be called delivery.

use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Headers;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::post::{self, Parts, Post, Target};
use super::properties::{Properties, config};
use super::{asked, say};

/// Longest wait for a record before a look at whether it is over.
const POLL: Duration = Duration::from_millis(100);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) bootstrap: String,
    /// Beyond where to begin (at the earliest record) and how often to commit (every 100 ms).
    pub(crate) properties: Properties,
    pub(crate) topic: String,
    pub(crate) group: String,
    pub(crate) to: SocketAddr,
    /// Most requests open at once.
    pub(crate) concurrency: usize,
}

type Requests = mpsc::Sender<(Post, ())>;

pub(super) fn play(spec: &Spec) -> Result<()> {
    let consumer: BaseConsumer = config(&spec.bootstrap, &spec.properties)
        .set("group.id", &spec.group)
        .set("auto.offset.reset", "earliest")
        .set("auto.commit.interval.ms", "100")
        .create()?;
    consumer.subscribe(&[&spec.topic])?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let requests = post::connections(&runtime, spec.to, spec.concurrency, |()| ());
    let reading = read_all(consumer, spec, requests)?;
    say(&())?;
    while asked()?.is_some() {}
    // Those that post end with the runtime, and with them the channel, which ends the thread that reads.
    runtime.shutdown_timeout(Duration::from_secs(1));
    reading.join().map_err(|_| anyhow::anyhow!("the thread that reads panicked"))?
}

fn read_all(consumer: BaseConsumer, spec: &Spec, requests: Requests) -> Result<JoinHandle<Result<()>>> {
    let target = Target::new(spec.to, &spec.topic)?;
    let read = move || {
        while !requests.is_closed() {
            let Some(message) = consumer.poll(POLL).transpose()? else { continue };
            let headers = message.headers().into_iter().flat_map(Headers::iter);
            let request = target.post(Parts {
                payload: Bytes::copy_from_slice(message.payload().unwrap_or_default()),
                key: message.key(),
                attributes: headers.filter_map(|header| Some((header.key, header.value?))),
                timestamp: message.timestamp().to_millis().unwrap_or(0) / 1000,
            })?;
            if requests.blocking_send((request, ())).is_err() {
                break;
            }
        }
        Ok(())
    };
    std::thread::Builder::new().name("reading".into()).spawn(read).context("a thread starts")
}
