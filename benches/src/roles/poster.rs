//! The yardstick of delivery from a log that costs nothing: connections that POST requests built beforehand, each one at a
//! time, for as many events as are asked for.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use rdkafka::message::Headers;
use serde::{Deserialize, Serialize};

use super::post::{Connection, Parts, Post, Target};
use super::{asked, note, say};
use crate::amount::{Amount, Share};
use crate::samples::Record;

/// Different requests; they are sent in turns.
const REQUESTS: u64 = 1000;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) to: SocketAddr,
    /// Most requests open at once.
    pub(crate) concurrency: usize,
    pub(crate) events: u64,
}

/// It begins at once: the webhook counts.
pub(super) fn play(spec: &Spec) -> Result<()> {
    let target = Target::new(spec.to, "orders")?;
    let request = |number| {
        let record = Record::new(number, false);
        let headers = record.headers(number, None);
        target.post(Parts {
            payload: Bytes::copy_from_slice(record.payload.as_bytes()),
            key: Some(record.key.as_bytes()),
            attributes: headers.iter().filter_map(|header| Some((header.key, header.value?))),
            timestamp: 1_772_000_000,
        })
    };
    let requests: Arc<[Post]> = (0..REQUESTS).map(request).collect::<Result<Vec<_>>>()?.into();
    let share = Arc::new(Share::begin(Amount::Items(spec.events)));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    for _ in 0..spec.concurrency {
        let posting = post_all(spec.to, Arc::clone(&share), Arc::clone(&requests));
        runtime
            .spawn(async move { posting.await.inspect_err(|error| note(&format!("bare loop: {error:#}"))) });
    }
    say(&())?;
    while asked()?.is_some() {}
    Ok(())
}

async fn post_all(to: SocketAddr, share: Arc<Share>, requests: Arc<[Post]>) -> Result<()> {
    let mut connection = Connection::to(to).await?;
    while let Some(number) = share.take() {
        connection.send(requests[(number % REQUESTS) as usize].clone()).await?;
    }
    Ok(())
}
