//! What runs in a process of its own, and the few words that it exchanges with its parent: a line of JSON each.

pub(crate) mod append;
mod axum;
mod consumer;
mod google;
pub(crate) mod load;
mod post;
pub(crate) mod poster;
pub(crate) mod producer;
mod properties;
pub(crate) mod publisher;
pub(crate) mod subscriber;
pub(crate) mod webhook;

use std::io::{BufRead, Write};

use anyhow::Result;
use serde::{Deserialize, Serialize};

/// A role, with all that it has to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    /// HTTP requests over kept-alive connections.
    Load(load::Spec),
    /// The yardstick of a publish over HTTP: a bare axum server.
    Axum,
    /// The yardstick of publishing to Kafka: a bare librdkafka producer.
    Producer(producer::Spec),
    /// The same on Pub/Sub: Google's bare publisher.
    Publisher(publisher::Spec),
    /// The yardstick of delivery: a bare librdkafka consumer that POSTs.
    Consumer(consumer::Spec),
    /// The same on Pub/Sub: Google's bare subscriber.
    Subscriber(subscriber::Spec),
    /// The yardstick of delivery alone: a bare loop that POSTs.
    Poster(poster::Spec),
    /// Our log, or a bare file as its yardstick.
    Append(append::Spec),
    /// What deliveries are sent to.
    Webhook(webhook::Spec),
}

pub(crate) use consumer::Spec as Consumer;
pub(crate) use properties::Properties;

impl Role {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Load(_) => "load",
            Self::Axum => "bare axum server",
            Self::Producer(_) => "bare producer",
            Self::Publisher(_) => "bare publisher",
            Self::Consumer(_) => "bare consumer",
            Self::Subscriber(_) => "bare subscriber",
            Self::Poster(_) => "bare loop",
            Self::Append(_) => "appender",
            Self::Webhook(_) => "webhook",
        }
    }

    /// Plays the role until the parent closes our standard input.
    pub(crate) fn play(self) -> Result<()> {
        match self {
            Self::Load(spec) => load::play(&spec),
            Self::Axum => axum::play(),
            Self::Producer(spec) => producer::play(&spec),
            Self::Publisher(spec) => publisher::play(&spec),
            Self::Consumer(spec) => consumer::play(&spec),
            Self::Subscriber(spec) => subscriber::play(&spec),
            Self::Poster(spec) => poster::play(&spec),
            Self::Append(spec) => append::play(&spec),
            Self::Webhook(spec) => webhook::play(&spec),
        }
    }
}

/// What a parent asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ask {
    /// Do your work and say what came of it.
    Go,
    /// (Webhook) Forget what you have seen.
    Reset,
    /// (Webhook) Say what you have seen, now.
    Seen,
    /// (Webhook) Wait until you have seen so many events, and say what you have seen then, or when nothing has come for
    /// half a minute.
    Until(u64),
}

/// A role that is an address.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct At {
    pub(crate) address: std::net::SocketAddr,
}

/// Tells the parent something.
fn say<T: Serialize>(what: &T) -> Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(&line)?;
    Ok(stdout.flush()?)
}

/// Tells whoever runs the benchmarks what went wrong.
pub(crate) fn note(line: &str) {
    // With standard error gone there is nobody left to tell.
    drop(writeln!(std::io::stderr(), "{line}"));
}

/// Waits for the parent's next question. `None`: there are no more, and the role is over.
fn asked() -> Result<Option<Ask>> {
    let mut line = String::new();
    if std::io::stdin().lock().read_line(&mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(serde_json::from_str(&line)?))
}
