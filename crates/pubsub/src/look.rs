//! Looking through what a subscription has not settled, without being its reader: Pub/Sub has no other way to show it.
//!
//! What stands there is pulled, looked at, and given back or settled. So it costs seconds, shows only what no reader
//! holds at that moment, and is for dead letters, of which there are few. It ends when nothing has come for a while.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use broker::{BoxFuture, Browse, Browsed, Error, ErrorKind, Position, Selection};
use google_cloud_pubsub::model::Message;
use google_cloud_pubsub::subscriber::ShutdownToken;
use google_cloud_pubsub::subscriber::handler::Handler;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::project::Project;
use crate::source::now_ms;
use crate::{errors, permissions, record};

/// How long the first message may take to come, and each further one.
const FIRST: Duration = Duration::from_secs(4);
const NEXT: Duration = Duration::from_millis(1500);
/// Most messages that are held at once, and their bytes.
const HELD_MAX: usize = 10_000;
const HELD_BYTES_MAX: usize = 64 << 20;
/// Messages that wait between the streams and whoever looks.
const QUEUE: usize = 64;

/// What is to become of a message.
enum Verdict {
    Settle,
    GiveBack,
}

type Came = Result<(Message, Handler), google_cloud_pubsub::Error>;

/// Shows each message to `see` once, and does as it says. True: there was more than can be held.
async fn look_through(
    project: &Project,
    full: &str,
    mut see: impl FnMut(Message) -> Verdict + Send,
) -> Result<bool, Error> {
    let (sender, mut came) = mpsc::channel(QUEUE);
    let (mut streams, stop) = (JoinSet::new(), CancellationToken::new());
    for _ in 0..project.settings.streams {
        streams.spawn(stream(
            project.clients.subscriber.clone(),
            full.to_owned(),
            project.settings.lease,
            sender.clone(),
            stop.clone(),
        ));
    }
    drop(sender);
    let (mut seen, mut held, mut bytes) = (HashSet::new(), Vec::new(), 0);
    let mut wait = FIRST;
    let end = loop {
        let Ok(next) = tokio::time::timeout(wait, came.recv()).await else { break Ok(false) };
        let (message, handle) = match next {
            Some(Ok(next)) => next,
            Some(Err(error)) => {
                let what = format!("subscription {full} cannot be looked through");
                break Err(errors::error(&what, permissions::CONSUME, &error));
            }
            None => break Ok(false),
        };
        project.pulse.beat();
        wait = NEXT;
        if !seen.insert(message.message_id.clone()) {
            held.push(handle);
            continue;
        }
        let size = record::size(&message);
        match see(message) {
            Verdict::Settle => handle.ack(),
            Verdict::GiveBack => {
                held.push(handle);
                bytes += size;
            }
        }
        if held.len() >= HELD_MAX || bytes >= HELD_BYTES_MAX {
            break Ok(true);
        }
    };
    // No stream is open any more when the first message is given back: it would take it, and be gone with it.
    stop.cancel();
    let ended = streams.join_all().await;
    drop((held, came));
    for shutdown in ended {
        shutdown.shutdown().await;
    }
    end
}

/// Reads until stopped, and closes the stream. Its shutdown sends what was settled, and gives back what is dropped.
async fn stream(
    subscriber: google_cloud_pubsub::client::Subscriber,
    full: String,
    lease: Duration,
    sender: mpsc::Sender<Came>,
    stop: CancellationToken,
) -> ShutdownToken {
    let mut stream = subscriber
        .subscribe(full)
        .set_max_lease_extension(lease)
        .set_max_outstanding_messages(i64::try_from(HELD_MAX).unwrap_or(i64::MAX))
        .set_max_outstanding_bytes(i64::try_from(2 * HELD_BYTES_MAX).unwrap_or(i64::MAX))
        .build();
    let reading = async {
        while let Some(came) = stream.next().await {
            let is_over = came.is_err();
            if sender.send(came).await.is_err() || is_over {
                return;
            }
        }
    };
    tokio::select! {
        () = reading => {}
        () = stop.cancelled() => {}
    }
    stream.shutdown_token()
}

/// What a subscription has not settled, by the time of its publication.
pub(crate) async fn browse(
    project: &Arc<Project>,
    topic: &str,
    subscription: &str,
    what: &Selection,
) -> Result<Box<dyn Browse>, Error> {
    let full = project.subscription(subscription);
    let mut found: Vec<Browsed> = Vec::new();
    let since = what.since.and_then(|since| since.duration_since(std::time::UNIX_EPOCH).ok());
    let more = look_through(project, &full, |message| {
        let published_ms = record::published_ms(&message);
        if since.is_none_or(|since| u128::from(published_ms) >= since.as_millis()) {
            let position = Position::parse(&message.message_id);
            found.push((position, published_ms, record::decode(message, topic)));
        }
        Verdict::GiveBack
    })
    .await?;
    if more {
        tracing::warn!(subscription, shown = found.len(), "more stands there than can be shown at once");
    }
    found.sort_by_cached_key(|(position, published_ms, _)| (*published_ms, position.to_string()));
    let skipped = match &what.from {
        None => 0,
        Some(from) => found.iter().position(|one| one.0 == *from).unwrap_or(found.len()),
    };
    Ok(Box::new(Looked { found: found.split_off(skipped).into() }))
}

#[derive(Debug)]
struct Looked {
    found: VecDeque<Browsed>,
}

impl Browse for Looked {
    fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Vec<Browsed>, Error>> {
        let portion = self.found.drain(..max.min(self.found.len())).collect();
        Box::pin(std::future::ready(Ok(portion)))
    }
}

/// Settles these messages of a subscription that nobody reads here, or all that were published before now. Returns how
/// many.
pub(crate) async fn purge(
    project: &Project,
    subscription: &str,
    positions: Option<&[Position]>,
) -> Result<u64, Error> {
    let full = project.subscription(subscription);
    let (now, mut purged) = (now_ms(), 0);
    let more = look_through(project, &full, |message| {
        let is_meant = match positions {
            None => record::published_ms(&message) <= now,
            Some(positions) => positions.contains(&Position::parse(&message.message_id)),
        };
        if !is_meant {
            return Verdict::GiveBack;
        }
        purged += 1;
        Verdict::Settle
    })
    .await?;
    if more {
        let message = format!(
            "{purged} messages of {full} were settled, and more stand there than can be looked through at once: ask again"
        );
        return Err(Error::new(ErrorKind::Unavailable, message));
    }
    Ok(purged)
}
