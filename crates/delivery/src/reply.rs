//! Events in a webhook's answer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use event::Event;
use event::http::Mode;
use publish::Item;

use crate::push::{Part, Received, Rest};

/// Longest time that a reply takes to become durable.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(10);
/// What an event's envelope may add to its bytes in an answer.
const ENVELOPE_BYTES_MAX: usize = 64 * 1024;

/// Publishes the events that a webhook answers with.
#[derive(Debug)]
pub(crate) struct Replies {
    topic: Box<str>,
    publisher: publish::Publisher,
    /// Whether a malformed reply was told already. The first is worth a warning, the thousandth is noise.
    told: AtomicBool,
}

/// The reply is not durable: the delivery is to be tried again.
#[derive(Debug)]
pub(crate) struct Unpublished(pub(crate) String);

impl Replies {
    pub(crate) fn new(topic: &str, publisher: publish::Publisher) -> Self {
        Self { topic: topic.into(), publisher, told: AtomicBool::new(false) }
    }

    /// Most bytes of an answer that can be a reply: the topic's largest event, base64 in an envelope.
    pub(crate) fn bytes_max(&self) -> usize {
        let event = self.publisher.topic(&self.topic).map_or(0, |topic| topic.event_bytes_max);
        event.saturating_add(event / 2).saturating_add(ENVELOPE_BYTES_MAX)
    }

    /// Publishes what a 2xx carries, durably. An answer that is no CloudEvent is no reply. One that claims to be an
    /// event and is malformed or too large is told and dropped, and the delivery is done: the webhook has processed the
    /// event, and processing it again would bring the same malformed reply again.
    pub(crate) async fn publish(
        &self,
        subscription: &str,
        received: Received,
        parts: &[Part<'_>],
    ) -> Result<(), Unpublished> {
        let mode = event::http::mode(&received.headers);
        if matches!(mode, Mode::Plain | Mode::Lines) {
            return Ok(());
        }
        match received.rest {
            Rest::Complete => {}
            Rest::BrokenOff => return Err(Unpublished("the reply event broke off".into())),
            Rest::Longer => {
                self.tell(subscription, "it is larger than the reply topic takes");
                return Ok(());
            }
        }
        match read(mode, received) {
            Ok(events) => self.send(events, parts).await,
            Err(why) => {
                self.tell(subscription, &why);
                Ok(())
            }
        }
    }

    async fn send(&self, events: Vec<Event>, parts: &[Part<'_>]) -> Result<(), Unpublished> {
        // The reply continues the trace of the delivery that caused it; of several, none can be told.
        let hop = match parts {
            [only] => Some(&only.record.hop),
            _ => None,
        };
        let item = |event| Item {
            event,
            key: None,
            traceparent: hop.and_then(|hop| hop.traceparent),
            tracestate: hop.and_then(|hop| hop.tracestate.clone()),
        };
        let items: Vec<Item> = events.into_iter().map(item).collect();
        if items.is_empty() {
            return Ok(());
        }
        let outcomes = self
            .publisher
            .publish(&self.topic, items, Instant::now() + PUBLISH_TIMEOUT)
            .map_err(|error| Unpublished(format!("the reply event was refused: {error}")))?
            .await;
        match outcomes.into_iter().find(|outcome| !outcome.is_durable()) {
            None => Ok(()),
            Some(broker::Outcome::Refused(refusal)) => {
                Err(Unpublished(format!("the reply event was refused: {}", refusal.message)))
            }
            Some(other) => Err(Unpublished(format!("the reply event may not be durable: {other:?}"))),
        }
    }

    fn tell(&self, subscription: &str, why: &str) {
        if !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                subscription,
                why,
                "a reply event was dropped; later ones are logged at debug level"
            );
        } else {
            tracing::debug!(subscription, why, "a reply event was dropped");
        }
    }
}

fn read(mode: Mode, received: Received) -> Result<Vec<Event>, String> {
    let body = received.body;
    match mode {
        Mode::Binary => event::http::from_binary(&received.headers, body).map(|event| vec![event]),
        Mode::Structured => event::json::from_bytes(body).map(|event| vec![event]),
        Mode::Batched => event::json::batch_from_bytes(body).map_err(|(_, why)| why),
        Mode::UnsupportedFormat => return Err("its format is not supported".into()),
        Mode::Plain | Mode::Lines => return Ok(Vec::new()),
    }
    .map_err(|why| why.to_string())
}
