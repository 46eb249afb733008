//! One stream of a subscription.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use broker::{Backoff, Error, ErrorKind};
use google_cloud_pubsub::subscriber::MessageStream;
use google_cloud_pubsub::subscriber::handler::Handler;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Reader;
use super::state::Received;
use crate::{errors, permissions, record};

/// A stream that nobody takes anything from for so long gives back what it holds: another process may have room.
const STALLED: Duration = Duration::from_secs(30);
/// First and longest wait after failures that may pass.
const AGAIN: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(15)];
/// The client lets a message go later than the driver does, who has told it by then.
const LATER: Duration = Duration::from_secs(600);
/// What the server may send beyond the credit, so that a stream never runs dry.
const AHEAD: (i64, i64) = (256, 4 << 20);

/// Why a stream is not read on.
enum End {
    Stopped,
    Stalled,
    Failed(google_cloud_pubsub::Error),
    /// It ended by itself.
    Ended,
}

/// Reads the subscription, one stream after another, until stopped or until it cannot be read.
pub(super) async fn read(reader: Arc<Reader>, tasks: TaskTracker, stop: CancellationToken) {
    let mut backoff = Backoff::between(AGAIN);
    loop {
        let has_room = tokio::select! {
            () = reader.has_room() => true,
            () = stop.cancelled() => false,
        };
        if !has_room {
            return;
        }
        let mut stream = reader.subscribe();
        let began = Instant::now();
        let end = tokio::select! {
            biased;
            () = stop.cancelled() => End::Stopped,
            end = reader.read(&mut stream) => end,
        };
        // It acknowledges what is settled still, and gives back the rest once nothing of it is held here.
        let shutdown = stream.shutdown_token();
        drop(stream);
        match end {
            End::Stopped => return shutdown.shutdown().await,
            End::Stalled | End::Ended => {
                tasks.spawn(async move { shutdown.shutdown().await });
            }
            End::Failed(error) => {
                tasks.spawn(async move { shutdown.shutdown().await });
                if let Some(error) = reader.is_over(&error) {
                    return reader.end(error);
                }
            }
        }
        if began.elapsed() > AGAIN[1] * 2 {
            backoff.reset();
        }
        tokio::select! {
            () = tokio::time::sleep(backoff.wait()) => {}
            () = stop.cancelled() => return,
        }
    }
}

impl Reader {
    fn subscribe(&self) -> MessageStream {
        let settings = &self.project.settings;
        let streams = i64::from(settings.streams);
        let (events, bytes) =
            (i64::from(self.credit.events), i64::try_from(self.credit.bytes).unwrap_or(i64::MAX));
        self.project
            .clients
            .subscriber
            .subscribe(self.full.as_str())
            .set_max_lease_extension(settings.lease)
            .set_max_lease(settings.lease_max + LATER)
            .set_max_outstanding_messages(events / streams + AHEAD.0)
            .set_max_outstanding_bytes(bytes / streams + AHEAD.1)
            .build()
    }

    /// Returns once there is room for more.
    async fn has_room(&self) {
        loop {
            let told = self.room.notified();
            tokio::pin!(told);
            // From here on it is told; what came before, the look sees.
            told.as_mut().enable();
            if self.state.lock().has_room() {
                return;
            }
            told.await;
        }
    }

    async fn read(&self, stream: &mut MessageStream) -> End {
        loop {
            if tokio::time::timeout(STALLED, self.has_room()).await.is_err() {
                return End::Stalled;
            }
            let (message, handle) = match stream.next().await {
                Some(Ok(came)) => came,
                Some(Err(error)) => return End::Failed(error),
                None => return End::Ended,
            };
            self.project.pulse.beat();
            let bytes = record::size(&message);
            let received = Received {
                position: broker::Position::parse(&message.message_id),
                published_ms: record::published_ms(&message),
                bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
                record: Arc::new(record::decode(message, &self.topic)),
            };
            self.take(received, handle);
            self.trouble.lock().take();
        }
    }

    fn take(&self, received: Received, handle: Handler) {
        let now = Instant::now();
        let back = {
            let mut state = self.state.lock();
            if self
                .project
                .pulse
                .doubtful_since()
                .is_some_and(|since| state.was_settled(&received, since, now))
            {
                drop(state);
                self.again.fetch_add(1, Ordering::Relaxed);
                return self.acknowledge(vec![handle]);
            }
            state.receive(received, handle, now)
        };
        // A handle that is dropped gives its message back.
        drop(back);
        self.wake();
    }

    /// Whether this failure ends the source; any other is told and tried again.
    fn is_over(&self, error: &google_cloud_pubsub::Error) -> Option<Error> {
        let what = format!("subscription {} cannot be read", self.full);
        let told = errors::error(&what, permissions::CONSUME, error);
        if matches!(told.kind, ErrorKind::NotFound | ErrorKind::Conflict | ErrorKind::Unsupported) {
            return Some(told);
        }
        let mut trouble = self.trouble.lock();
        if trouble.as_ref() != Some(&told.message) {
            tracing::warn!(subscription = self.name, "{}", told.message);
            *trouble = Some(told.message);
        }
        None
    }
}
