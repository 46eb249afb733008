//! The bindings to brokers.

use bytes::Bytes;
use postrider_event::{Data, Event, kafka, pubsub};
use proptest::prelude::*;

use super::{builder, bytes_of, changes, event, mutated, use_up};

/// A Kafka record in binary mode: its headers and its value.
pub(crate) fn record(event: &Event) -> (Vec<(String, Vec<u8>)>, Option<Bytes>) {
    let mut headers = Vec::new();
    let value = kafka::to_binary(event, |name, value| headers.push((name.to_owned(), value.to_vec())));
    (headers, value.cloned())
}

/// A Pub/Sub message in binary mode: its attributes and its data.
pub(crate) fn message(event: &Event) -> (Vec<(String, String)>, Bytes) {
    let mut attributes = Vec::new();
    let data = pubsub::to_binary(event, |name, value| attributes.push((name.to_owned(), value.to_owned())));
    (attributes, data)
}

/// Attributes as an iterator gives a map's.
fn pairs(attributes: &[(String, String)]) -> impl Iterator<Item = (&String, &String)> + Clone {
    attributes.iter().map(|(name, value)| (name, value))
}

proptest! {
    #[test]
    fn a_binary_record_keeps_every_attribute_as_text_and_the_data(builder in builder(), empty in any::<bool>()) {
        let mut event = builder.clone().build().expect("made to be valid");
        // HTTP has no data of no bytes; a record has.
        if empty && matches!(event.data(), Some(Data::Binary(_))) {
            event = builder.data(Data::Binary(Bytes::new())).build().expect("data of no bytes is data");
        }
        let (headers, value) = record(&event);
        let headers = headers.iter().map(|(name, value)| (&**name, Some(&**value)));
        let read = kafka::from_message(headers, value).expect("what is written is read").expect("it is marked");
        let expected: Vec<_> = event.attributes().map(|(name, value)| (name, value.to_text())).collect();
        let implied = matches!((event.data(), event.data_content_type()), (Some(Data::Json(_)), None));
        let got: Vec<_> = read.attributes().filter(|(name, _)| !implied || *name != "datacontenttype").collect();
        prop_assert!(got.iter().map(|(name, value)| (*name, value.to_text())).eq(expected), "{read:?}");
        prop_assert_eq!(bytes_of(&read), bytes_of(&event), "null and empty stay apart");
        prop_assert!(!implied || read.data_content_type() == Some("application/json"));
        prop_assert_eq!(record(&read), record(&event), "a second hop changes nothing");
    }

    #[test]
    fn a_structured_record_keeps_all(event in event()) {
        let (content_type, value) = kafka::to_structured(&event);
        let headers = [("content-type", Some(content_type.as_bytes())), ("ce_id", None)];
        let read = kafka::from_message(headers, Some(value)).expect("what is written is read").expect("it is marked");
        prop_assert!(read.attributes().eq(event.attributes()), "{read:?}");
        prop_assert_eq!(bytes_of(&read), bytes_of(&event));
    }

    #[test]
    fn damaged_and_arbitrary_records_never_panic_and_are_read_whole_or_not_at_all(
        event in event(),
        header in any::<prop::sample::Index>(),
        damage in changes(),
        in_name in any::<bool>(),
        arbitrary in proptest::collection::vec(
            ("(ce_|CE_|content-type|Content-Type|[a-z_]{0,4})[a-z_\\PC]{0,4}", proptest::option::of(proptest::collection::vec(any::<u8>(), 0..12))),
            0..4,
        ),
    ) {
        let (headers, value) = record(&event);
        let mut headers: Vec<(Vec<u8>, Option<Vec<u8>>)> =
            headers.into_iter().map(|(name, value)| (name.into_bytes(), Some(value))).collect();
        headers.extend(arbitrary.into_iter().map(|(name, value)| (name.into_bytes(), value)));
        let (name, content) = header.get(&headers).clone();
        let at = header.index(headers.len());
        headers[at] = if in_name {
            (mutated(name, &damage), content)
        } else {
            (name, content.map(|content| mutated(content, &damage)))
        };
        let pairs = || headers.iter().map(|(name, value)| (&**name, value.as_deref()));
        if let Ok(Some(read)) = kafka::from_message(pairs(), value.clone()) {
            use_up(&read);
            let (headers, value) = record(&read);
            let again = headers.iter().map(|(name, value)| (&**name, Some(&**value)));
            prop_assert_eq!(kafka::from_message(again, value), Ok(Some(read)), "what is taken is sound");
        }
        let plain = Event::builder().id("0-1").source("/kafka/t").kind("t");
        let wrapped = kafka::from_plain(plain, pairs(), value.clone()).expect("any record is wrapped");
        prop_assert_eq!(bytes_of(&wrapped), value.as_ref());
        use_up(&wrapped);
    }

    #[test]
    fn a_message_keeps_every_attribute_as_text_and_the_data(event in event(), besides in 0..120_usize) {
        let fits = pubsub::fits_binary(&event, besides);
        let (attributes, data) = message(&event);
        prop_assert!(!fits || pubsub::check(pairs(&attributes), "", data.len()).is_ok());
        prop_assert!(!fits || attributes.len() + besides <= pubsub::ATTRIBUTES_MAX);
        // All that this strategy makes has some bytes of data or none, so that all of it is read as it is written.
        let read = pubsub::from_message(pairs(&attributes), data).expect("what is written is read").expect("it is marked");
        let expected: Vec<_> = event.attributes().map(|(name, value)| (name, value.to_text())).collect();
        let implied = matches!((event.data(), event.data_content_type()), (Some(Data::Json(_)), None));
        let got: Vec<_> = read.attributes().filter(|(name, _)| !implied || *name != "datacontenttype").collect();
        prop_assert!(got.iter().map(|(name, value)| (*name, value.to_text())).eq(expected), "{read:?}");
        prop_assert_eq!(bytes_of(&read), bytes_of(&event));
        prop_assert!(!implied || read.data_content_type() == Some("application/json"));
        prop_assert_eq!(message(&read), message(&event), "a second hop changes nothing");

        let (content_type, data) = pubsub::to_structured(&event);
        let read = pubsub::from_message([("content-type", content_type), ("ce-id", "")], data);
        let read = read.expect("what is written is read").expect("it is marked");
        prop_assert!(read.attributes().eq(event.attributes()), "{read:?}");
        prop_assert_eq!(bytes_of(&read), bytes_of(&event));
    }

    #[test]
    fn any_message_at_all_is_read_whole_or_not_at_all_and_can_be_wrapped(
        event in event(),
        damaged in any::<prop::sample::Index>(),
        damage in changes(),
        arbitrary in proptest::collection::vec(("(ce-|CE-|content-type|Content-Type|\\PC{0,4})[a-z_\\PC]{0,4}", "\\PC{0,12}"), 0..4),
        topic in "\\PC{1,8}",
        publish_time_ms in proptest::option::of(any::<i64>()),
        ordering_key: String,
        data in proptest::collection::vec(any::<u8>(), 0..20),
    ) {
        let (mut attributes, _) = message(&event);
        attributes.extend(arbitrary);
        let (name, value) = damaged.get(&attributes).clone();
        let value = String::from_utf8_lossy(&mutated(value.into_bytes(), &damage)).into_owned();
        let at = damaged.index(attributes.len());
        attributes[at] = (name, value);
        let data = Bytes::from(data);
        if let Ok(Some(read)) = pubsub::from_message(pairs(&attributes), data.clone()) {
            use_up(&read);
            let (attributes, data) = message(&read);
            prop_assert_eq!(pubsub::from_message(pairs(&attributes), data), Ok(Some(read)), "what is taken is sound");
        }
        let _ = pubsub::check(pairs(&attributes), &ordering_key, data.len());
        for topic in ["orders", &topic] {
            let plain = pubsub::Plain { topic, message_id: "1", publish_time_ms, ordering_key: &ordering_key };
            let wrapped = pubsub::from_plain(plain, pairs(&attributes), data.clone());
            prop_assert!(wrapped.is_ok() || topic != "orders", "{:?}", wrapped);
            if let Ok(wrapped) = wrapped {
                prop_assert_eq!(bytes_of(&wrapped), Some(&data).filter(|data| !data.is_empty()));
                use_up(&wrapped);
            }
        }
    }
}
