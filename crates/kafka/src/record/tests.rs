use broker::{Hop, Letter, Origin, TraceParent};
use event::{Data, Event, Value};
use proptest::prelude::*;

use super::*;

type Raw = Vec<(String, Option<Vec<u8>>)>;

fn collected(headers: &OwnedHeaders) -> Raw {
    headers.iter().map(|h| (h.key.to_owned(), h.value.map(<[u8]>::to_vec))).collect()
}

fn read(headers: &Raw, key: Option<&[u8]>, value: Option<&[u8]>) -> Record {
    decode(Incoming {
        topic: "orders",
        partition: 3,
        offset: 42,
        timestamp: Some(1_700_000_000_123),
        key,
        value: value.map(Bytes::copy_from_slice),
        headers: headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())),
    })
}

fn again(encoded: &Encoded) -> Record {
    let key = encoded.about.key.as_ref().map(|key| key.as_bytes().to_vec());
    read(&collected(&encoded.headers), key.as_deref(), encoded.about.value.as_deref())
}

fn event() -> Event {
    Event::builder()
        .id("a-1")
        .source("/orders")
        .kind("order.created")
        .subject("naïve")
        .data_content_type("application/octet-stream")
        .extension("tenant", Value::String("blue"))
        .data(Data::Binary(Bytes::from_static(b"\x00\xff data")))
        .build()
        .unwrap()
}

fn letter() -> Letter {
    Letter {
        topic: "orders.created".into(),
        position: "3-42".into(),
        subscription: "dev.orders.billing".into(),
        reason: "attempts_used_up".into(),
        attempts: 30,
        first_ms: 1_700_000_000_000,
        last_ms: 1_700_000_360_000,
        status: Some(500),
        answer: "no such\ncustomer: é".into(),
    }
}

fn hop() -> Hop {
    let traceparent = TraceParent::parse(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    Hop { traceparent, tracestate: Some("a=b,c=d".into()), origin: Some(Origin(7)), sequence: 1_000_000 }
}

fn of(body: Body) -> Record {
    Record { key: Key::new("k-1"), body, hop: hop(), letter: Some(Box::new(letter())) }
}

#[test]
fn a_record_comes_back_whole() {
    let encoded = encode(of(Body::Event(event())), false);
    let back = again(&encoded);
    assert_eq!((back.key, &back.hop), (Key::new("k-1"), &hop()));
    assert_eq!(back.letter.as_deref(), Some(&letter()));
    let Body::Event(back) = back.body else { panic!("an event comes back as one") };
    assert_eq!(back, event());
}

#[test]
fn a_structured_record_comes_back_whole() {
    let encoded = encode(of(Body::Event(event())), true);
    let headers = collected(&encoded.headers);
    assert!(
        headers.iter().all(|(name, _)| !name.starts_with("ce_")),
        "the value has the attributes: {headers:?}"
    );
    let back = again(&encoded);
    assert_eq!((back.key, &back.hop), (Key::new("k-1"), &hop()));
    assert_eq!(back.letter.as_deref(), Some(&letter()));
    let Body::Event(back) = back.body else { panic!("an event comes back as one") };
    assert_eq!(back, event());
}

#[test]
fn an_event_within_an_event_is_not_read_instead_of_it() {
    let within = Bytes::from_static(br#"{"specversion":"1.0","id":"within","source":"/s","type":"t"}"#);
    let builder = Event::builder().id("around").source("/s").kind("t");
    let around = builder.data_content_type("application/cloudevents+json").data(Data::Json(within));
    let around = around.build().unwrap();
    let back = again(&encode(of(Body::Event(around.clone())), false));
    let Body::Event(back) = back.body else { panic!("an event comes back as one") };
    assert_eq!(back, around);
}

#[test]
fn kafka_s_own_names_tell_of_a_dead_letter() {
    let headers = collected(&encode(of(Body::Event(event())), false).headers);
    for (name, value) in [
        ("__dlq.errors.topic", "orders.created"),
        ("__dlq.errors.partition", "3"),
        ("__dlq.errors.offset", "42"),
        ("__dlq.errors.group", "dev.orders.billing"),
        ("__dlq.errors.delivery.count", "30"),
        ("__dlq.errors.message", "attempts_used_up: no such\ncustomer: é"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("postrider-origin", "00000000000000000000000000000007"),
        ("postrider-sequence", "1000000"),
    ] {
        let found = last(headers.iter().map(|(n, v)| (n.as_str(), v.as_deref())), name);
        assert_eq!(found.map(String::from_utf8_lossy).as_deref(), Some(value), "{name}");
    }
}

#[test]
fn foreign_bytes_keep_their_reason_on_the_way() {
    let bytes = Bytes::from_static(b"\xff\xfe");
    let encoded =
        encode(of(Body::Foreign { bytes: bytes.clone(), reason: "id: must be there".into() }), false);
    let back = again(&encoded);
    assert!(
        matches!(back.body, Body::Foreign { bytes: b, reason } if b == bytes && reason == "id: must be there")
    );
    assert_eq!(back.letter.as_deref(), Some(&letter()));
}

#[test]
fn sizes_count_what_is_sent() {
    let encoded = encode(of(Body::Event(event())), false);
    let headers = collected(&encoded.headers);
    let counted: usize = headers.iter().map(|(n, v)| n.len() + v.as_ref().map_or(0, Vec::len)).sum();
    assert_eq!(
        encoded.about.bytes,
        counted + "k-1".len() + encoded.about.value.as_ref().map_or(0, Bytes::len)
    );
    assert_eq!(encoded.about.batch_bytes, encoded.about.bytes + 97 + 10 * headers.len());
}

#[test]
fn a_plain_record_is_wrapped_by_where_it_stands() {
    let back = read(&Raw::new(), None, Some(b"{}"));
    let Body::Event(event) = back.body else { panic!("plain bytes are wrapped") };
    assert_eq!(
        (event.id(), event.source(), event.kind(), event.time()),
        ("3-42", "/kafka/orders", "orders", Some("2023-11-14T22:13:20.123Z"))
    );
    assert_eq!((back.key, back.hop, back.letter), (None, Hop::default(), None));
    let Body::Event(event) = read(&Raw::new(), Some(b""), None).body else { panic!("a null value too") };
    assert_eq!(event.data(), None);
}

#[test]
fn a_bad_event_is_foreign_with_the_reason() {
    let headers = vec![("ce_specversion".into(), Some(b"1.0".to_vec())), ("ce_id".into(), None)];
    let Body::Foreign { bytes, reason } = read(&headers, None, Some(b"x")).body else {
        panic!("an event without a source is none")
    };
    assert_eq!(bytes, "x");
    assert!(!reason.is_empty());
}

#[test]
fn bad_headers_of_ours_are_as_if_they_were_not_there() {
    let headers = [
        ("traceparent", &b"nonsense"[..]),
        ("tracestate", b"a=b"),
        ("postrider-origin", b"\xff\xff"),
        ("postrider-sequence", b"-3"),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), Some(value.to_vec()))).into();
    assert_eq!(read(&headers, None, Some(b"x")).hop, Hop::default());
}

#[test]
fn overlong_keys_stay_apart_and_are_short_enough() {
    let long = |last: u8| [vec![b'k'; 5000], vec![last]].concat();
    let (a, b) = (key(&long(1)).unwrap(), key(&long(2)).unwrap());
    assert_ne!(a, b);
    assert_eq!(key(&long(1)), Some(a));
    assert_eq!(b.as_bytes().len(), Key::BYTES_MAX);
    let limit = vec![b'k'; Key::BYTES_MAX];
    assert_eq!(key(&limit).unwrap().as_bytes(), limit);
}

proptest! {
    #[test]
    fn whatever_a_stranger_writes_becomes_a_record(
        headers: Vec<(String, Option<Vec<u8>>)>,
        ours in prop::collection::vec(("(ce_|postrider-|__dlq|trace|content-)[a-z.-]{0,16}", any::<Option<Vec<u8>>>()), 0..6),
        key: Option<Vec<u8>>,
        value: Option<Vec<u8>>,
    ) {
        let all = headers.into_iter().chain(ours).collect();
        let record = read(&all, key.as_deref(), value.as_deref());
        if let Body::Foreign { bytes, .. } = &record.body {
            prop_assert_eq!(&bytes[..], value.as_deref().unwrap_or_default(), "the bytes are untouched");
        }
    }
}
