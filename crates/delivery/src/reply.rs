//! Events in a webhook's answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::{Outcome, RefusalKind};
use event::Event;
use event::http::Mode;
use http::HeaderMap;
use publish::Item;
use telemetry::{Happened, Telemetry};

use crate::attempt::trace_of;
use crate::push::{Keep, Part, Received, Rest};
use crate::room::{self, Room};
use crate::story::id_of;

/// Longest time that a reply takes to become durable.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(10);
/// What an event's envelope may add to its bytes in an answer.
const ENVELOPE_BYTES_MAX: usize = 64 * 1024;

/// Publishes the events that a webhook answers with.
#[derive(Debug)]
pub(crate) struct Replies {
    topic: Box<str>,
    publisher: publish::Publisher,
    /// Of replies alone: an attempt holds room for what it has sent while it waits for this.
    room: Arc<Room>,
}

/// The deliveries of the attempt that was answered.
pub(crate) struct Cause<'a> {
    pub(crate) telemetry: &'a Telemetry,
    pub(crate) subscription: &'a str,
    pub(crate) parts: &'a [Part<'a>],
}

/// The reply is not durable, and may be later: the delivery is to be tried again.
#[derive(Debug)]
pub(crate) struct Unpublished(pub(crate) String);

impl Replies {
    pub(crate) fn new(topic: &str, publisher: publish::Publisher) -> Self {
        Self { topic: topic.into(), publisher, room: Room::new() }
    }

    /// How much is to be kept of a success with these headers: all of what is a reply, and of anything else no more
    /// than where there are no replies.
    pub(crate) fn keep(&self, headers: &HeaderMap) -> Keep<'_> {
        match event::http::mode(headers) {
            Mode::Binary | Mode::Structured | Mode::Batched => {
                Keep::Whole { bytes_max: self.bytes_max(), room: &self.room }
            }
            Mode::UnsupportedFormat | Mode::Plain | Mode::Lines => Keep::Head,
        }
    }

    /// Most bytes of an answer that can be a reply: the topic's largest event, base64 in an envelope.
    fn bytes_max(&self) -> usize {
        let event = self.publisher.topic(&self.topic).map_or(0, |topic| topic.event_bytes_max);
        event.saturating_add(event / 2).saturating_add(ENVELOPE_BYTES_MAX)
    }

    /// Publishes what a 2xx carries, durably. An answer that is no CloudEvent is no reply. An event that is malformed, or
    /// that its topic refuses for good, is told and dropped, and the delivery is done: the webhook has processed what it
    /// was sent, and processing it again would bring the same reply again. Only what may pass leaves it undone.
    pub(crate) async fn publish(&self, received: Received, cause: &Cause<'_>) -> Result<(), Unpublished> {
        let mode = event::http::mode(&received.headers);
        if matches!(mode, Mode::Plain | Mode::Lines) {
            return Ok(());
        }
        match received.rest {
            // Its headers have told all that there is to say.
            _ if mode == Mode::UnsupportedFormat => {}
            Rest::Complete => {}
            Rest::BrokenOff => return Err(Unpublished("the reply event broke off".into())),
            Rest::NoRoom => {
                let all = room::BYTES_MAX >> 20;
                return Err(Unpublished(format!(
                    "the reply event found no room in time beside the subscription's other replies, which may have \
                     {all} MiB together"
                )));
            }
            Rest::Longer => {
                cause.tell_dropped("it is larger than the reply topic takes");
                return Ok(());
            }
        }
        match read(mode, received) {
            Ok(events) => self.send(events, cause).await,
            Err(why) => {
                cause.tell_dropped(&why);
                Ok(())
            }
        }
    }

    async fn send(&self, events: Vec<Event>, cause: &Cause<'_>) -> Result<(), Unpublished> {
        let mut items: Vec<Item> = events.into_iter().map(|event| cause.reply(event)).collect();
        if let Some(topic) = self.publisher.topic(&self.topic) {
            // One by one: an event that can never be published takes none of its batch with it.
            items.retain_mut(|item| {
                self.publisher
                    .vet(&topic, item)
                    .inspect_err(|why| cause.tell_dropped(&why.to_string()))
                    .is_ok()
            });
        }
        let deadline = Instant::now() + PUBLISH_TIMEOUT;
        while !items.is_empty() {
            // A copy of an event shares its memory.
            let outcomes = match self.publisher.publish(&self.topic, items.clone(), deadline) {
                Ok(outcomes) => outcomes.await,
                Err(error) if error.retry_after().is_some() => {
                    return Err(Unpublished(format!("the reply event was refused: {error}")));
                }
                Err(error) => {
                    items.iter().for_each(|_| cause.tell_dropped(&error.to_string()));
                    return Ok(());
                }
            };
            items = left(items, outcomes, cause)?;
        }
        Ok(())
    }
}

impl Cause<'_> {
    /// The reply continues the trace of the delivery that caused it; of several, none can be told.
    fn reply(&self, event: Event) -> Item {
        let hop = match self.parts {
            [only] => Some(&only.record.hop),
            _ => None,
        };
        Item {
            event,
            key: None,
            traceparent: hop.and_then(|hop| hop.traceparent),
            tracestate: hop.and_then(|hop| hop.tracestate.clone()),
        }
    }

    fn tell_dropped(&self, reason: &str) {
        let first = self.parts.first().map(|part| part.record);
        self.telemetry.tell(Happened::ReplyDropped {
            subscription: self.subscription,
            id: first.map_or("", |record| id_of(&record.body)),
            reason,
            trace: first.and_then(trace_of),
        });
    }
}

/// What is to be published once more: events that were refused only because one before them under their key was, and
/// that one for good.
fn left(items: Vec<Item>, outcomes: Vec<Outcome>, cause: &Cause<'_>) -> Result<Vec<Item>, Unpublished> {
    let mut dropped = Vec::new();
    let mut left = Vec::new();
    for (item, outcome) in items.into_iter().zip(outcomes) {
        match outcome {
            Outcome::Durable(_) => {}
            Outcome::Refused(refusal) => match refusal.kind {
                RefusalKind::TooLarge | RefusalKind::UnknownTopic | RefusalKind::Denied => {
                    dropped.push(refusal.message);
                }
                RefusalKind::AfterFailure => left.push(item),
                RefusalKind::Overloaded | RefusalKind::Unavailable | RefusalKind::Full => {
                    return Err(Unpublished(format!("the reply event was refused: {}", refusal.message)));
                }
            },
            Outcome::Unknown(why) => {
                return Err(Unpublished(format!("the reply event may not be durable: {why}")));
            }
        }
    }
    if dropped.is_empty() && !left.is_empty() {
        return Err(Unpublished("the reply event was refused, and no reason was given".into()));
    }
    dropped.iter().for_each(|why| cause.tell_dropped(why));
    Ok(left)
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures::FutureExt;
    use http::StatusCode;
    use http::header::CONTENT_TYPE;

    use super::*;

    fn replies() -> Replies {
        Replies::new("replies", publish::Publisher::new(publish::Limits::default(), Telemetry::default()))
    }

    fn headers(content_type: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_TYPE, http::HeaderValue::from_static(content_type))])
    }

    #[test]
    fn no_more_is_kept_of_what_is_no_reply_than_without_replies() {
        let replies = replies();
        let mut binary = headers("text/html");
        binary.insert("ce-id", http::HeaderValue::from_static("r1"));
        for headers in [binary, headers(event::http::STRUCTURED), headers(event::http::BATCHED)] {
            assert!(matches!(replies.keep(&headers), Keep::Whole { .. }), "{headers:?}");
        }
        for content_type in
            ["text/html", "application/json", event::http::LINES, "application/cloudevents+avro"]
        {
            assert!(matches!(replies.keep(&headers(content_type)), Keep::Head), "{content_type}");
        }
    }

    #[test]
    fn a_reply_without_room_leaves_its_delivery_undone() {
        let received = Received {
            status: StatusCode::OK,
            headers: headers(event::http::STRUCTURED),
            body: Bytes::new(),
            rest: Rest::NoRoom,
        };
        let telemetry = Telemetry::default();
        let cause = Cause { telemetry: &telemetry, subscription: "billing", parts: &[] };
        let published = replies().publish(received, &cause).now_or_never().expect("at once");
        let Unpublished(why) = published.expect_err("it is not published");
        assert!(why.contains("32 MiB"), "{why}");
    }
}
