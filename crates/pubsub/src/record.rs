//! A record as a message, and back.
//!
//! | Attribute | Value |
//! |---|---|
//! | `ce-…`, `content-type` | the event ([`event::pubsub`]) |
//! | `traceparent`, `tracestate`, `postrider-origin`, `postrider-sequence`, `postrider-foreign`, `postrider-dead-letter-…` | as on any broker ([`broker::headers`]) |
//!
//! The event's key is the ordering key. An attribute's value has 1,024 bytes at the most: the head of an answer in a
//! dead letter, and the reason of foreign bytes, are cut there; a longer `tracestate` is left out, as its specification
//! lets one.

use std::collections::HashMap;

use broker::headers::{self, FOREIGN, HOP_MAX, LETTER_MAX, LetterNames};
use broker::{Body, Key, Record, Refusal, RefusalKind};
use bytes::Bytes;
use event::pubsub::{self, ATTRIBUTE_VALUE_BYTES_MAX, Plain};
use event::{Event, Malformed};
use google_cloud_pubsub::model::Message;

/// What a message takes beside its data and attributes: an estimate, for admission.
const FRAME_BYTES: usize = 64;

/// What the service is given of a record, or why it would not take it. An event is written in structured mode where that
/// is asked for, or where binary mode cannot carry it.
pub(crate) fn encode(record: Record, structured: bool) -> Result<Message, Refusal> {
    let Record { key, body, hop, letter } = record;
    let mut attributes: HashMap<String, String> = HashMap::with_capacity(16);
    let mut put = |name: &str, value: &str| {
        attributes.insert(name.to_owned(), cut(value).to_owned());
    };
    let besides = HOP_MAX + letter.as_ref().map_or(0, |_| LETTER_MAX);
    let data = match body {
        Body::Event(event) if structured || !pubsub::fits_binary(&event, besides) => {
            let (content_type, data) = pubsub::to_structured(&event);
            put(pubsub::CONTENT_TYPE, content_type);
            data
        }
        Body::Event(event) => pubsub::to_binary(&event, &mut put),
        Body::Foreign { bytes, reason } => {
            put(FOREIGN, if reason.is_empty() { "it is no event" } else { &reason });
            bytes
        }
    };
    headers::write_hop(&hop, |name, value| {
        // Cut, it would be another one.
        if value.len() <= ATTRIBUTE_VALUE_BYTES_MAX {
            put(name, value);
        }
    });
    if let Some(letter) = &letter {
        headers::write_letter(letter, LetterNames::OWN, &mut put);
    }
    let key = key.map_or(Ok(String::new()), |key| {
        String::from_utf8(key.as_bytes().to_vec())
            .map_err(|_| refused("its key is not UTF-8, as Pub/Sub wants it".into()))
    })?;
    pubsub::check(&attributes, &key, data.len()).map_err(|large| refused(large.to_string()))?;
    Ok(Message::new().set_data(data).set_ordering_key(key).set_attributes(attributes))
}

fn refused(message: String) -> Refusal {
    Refusal { kind: RefusalKind::TooLarge, message, retry_after: None }
}

/// As much of a value as an attribute takes.
fn cut(value: &str) -> &str {
    &value[..value.floor_char_boundary(ATTRIBUTE_VALUE_BYTES_MAX)]
}

/// Bytes of a message: its data, its attributes and its key.
pub(crate) fn size(message: &Message) -> usize {
    let attributes: usize = message.attributes.iter().map(|(name, value)| name.len() + value.len()).sum();
    message.data.len() + attributes + message.ordering_key.len() + FRAME_BYTES
}

/// When the service took it in, in milliseconds since the Unix epoch; 0 where it does not say.
pub(crate) fn published_ms(message: &Message) -> u64 {
    publish_time_ms(message).and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0)
}

fn publish_time_ms(message: &Message) -> Option<i64> {
    let time = message.publish_time.as_ref()?;
    Some(time.seconds() * 1000 + i64::from(time.nanos()) / 1_000_000)
}

/// The record that came: an event in binary or structured mode, any other bytes wrapped into one, or foreign bytes where
/// it has the marks of an event and is none. `topic` is the topic's own name.
pub(crate) fn decode(message: Message, topic: &str) -> Record {
    let attribute = |name: &str| message.attributes.get(name).map(String::as_bytes);
    let (hop, letter) = (headers::read_hop(attribute), headers::read_letter(LetterNames::OWN, attribute));
    let foreign = message.attributes.get(FOREIGN).cloned();
    let key = Key::new(message.ordering_key.clone());
    let body = match foreign {
        Some(reason) => Body::Foreign { bytes: message.data, reason },
        None => body(&message, topic),
    };
    Record { key, body, hop, letter: letter.map(Box::new) }
}

fn body(message: &Message, topic: &str) -> Body {
    match read(message, topic) {
        Ok(event) => Body::Event(event),
        Err(malformed) => Body::Foreign { bytes: message.data.clone(), reason: malformed.to_string() },
    }
}

fn read(message: &Message, topic: &str) -> Result<Event, Malformed> {
    let data: Bytes = message.data.clone();
    if let Some(event) = pubsub::from_message(&message.attributes, data.clone())? {
        return Ok(event);
    }
    let plain = Plain {
        topic: topic.rsplit('/').next().unwrap_or(topic),
        message_id: &message.message_id,
        publish_time_ms: publish_time_ms(message),
        ordering_key: &message.ordering_key,
    };
    pubsub::from_plain(plain, &message.attributes, data)
}

#[cfg(test)]
mod tests {
    use broker::{Hop, Letter, TraceParent};
    use event::Data;

    use super::*;

    fn event() -> Event {
        let event = Event::builder().id("1").source("/shop").kind("com.example.order").subject("42");
        let event = event.data_content_type("application/octet-stream").data(Data::Binary("{}".into()));
        event.build().expect("the sample is a valid event")
    }

    fn record() -> Record {
        let trace = TraceParent::parse(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        let hop = Hop { traceparent: trace, tracestate: Some("a=b".into()), sequence: 7, ..Hop::default() };
        Record { key: Key::new("customer-1"), body: Body::Event(event()), hop, letter: None }
    }

    #[test]
    fn a_record_comes_back_as_it_went() {
        for structured in [false, true] {
            let message = encode(record(), structured).expect("it fits");
            assert_eq!(message.ordering_key, "customer-1");
            let back = decode(message, "orders");
            assert_eq!((back.key, back.hop), (record().key, record().hop));
            assert!(matches!(back.body, Body::Event(back) if back == event()), "structured: {structured}");
        }
    }

    #[test]
    fn what_an_attribute_cannot_hold_is_cut_or_left_out() {
        let letter = Letter {
            topic: "orders".into(),
            position: "7".into(),
            subscription: "dev.orders.billing".into(),
            reason: "attempts_used_up".into(),
            attempts: 30,
            first_ms: 1,
            last_ms: 2,
            status: None,
            answer: "é".repeat(1000),
        };
        let hop = Hop { tracestate: Some("a=b,".repeat(300).into()), ..record().hop };
        let sent = Record { letter: Some(Box::new(letter.clone())), hop, ..record() };
        let back = decode(encode(sent, false).expect("it fits"), "orders");
        assert_eq!(back.hop.tracestate, None);
        let answer = "é".repeat(512);
        assert_eq!(back.letter.as_deref(), Some(&Letter { answer, ..letter }));
    }

    #[test]
    fn what_pubsub_would_not_take_is_refused_with_both_sizes() {
        let data = Data::Binary(vec![0; 10_000_001].into());
        let large =
            Event::builder().id("1").source("/shop").kind("t").data(data).build().expect("it is valid");
        let refusal =
            encode(Record { body: Body::Event(large), ..record() }, false).expect_err("it is too large");
        assert_eq!(refusal.kind, RefusalKind::TooLarge);
        assert!(
            refusal.message.contains("10000") && refusal.message.contains("9999488"),
            "{}",
            refusal.message
        );
        let key = Key::new(&b"\xff\xfe"[..]);
        let refusal = encode(Record { key, ..record() }, false).expect_err("its key is no text");
        assert!(refusal.message.contains("UTF-8"), "{}", refusal.message);
    }

    #[test]
    fn a_strangers_message_becomes_an_event() {
        let message = Message::new().set_data("hello").set_message_id("4711").set_ordering_key("k");
        let Body::Event(event) = decode(message, "projects/p/topics/orders").body else {
            panic!("it is wrapped")
        };
        assert_eq!((event.id(), event.source(), event.kind()), ("4711", "/pubsub/orders", "orders"));
        let malformed = Message::new().set_data("hello").set_attributes([("ce-id", "1")]);
        assert!(
            matches!(decode(malformed, "orders").body, Body::Foreign { reason, .. } if !reason.is_empty())
        );
    }
}
