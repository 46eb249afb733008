//! What a broker carries comes out as it went in.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use event::{Data, Event, Value};

use super::Fixture;
use super::bench::{AMPLE, Bench};
use super::samples::{number, of_event, record, records, sized};
use crate::{Body, ErrorKind, Hop, Key, Letter, Origin, Outcome, Payload, Record, Settle, TraceParent};

/// An event with every kind of attribute, and this data.
fn event(number: u64, data: Option<Data>, media_type: Option<&str>) -> Event {
    let mut builder = Event::builder()
        .id(number.to_string())
        .source("https://example.com/gr%C3%B6%C3%9Fe?a=b#c")
        .kind("com.example.order.created")
        .subject("order/4711 \"quoted\" 100 % \u{1f40e}")
        .time("2026-02-03T04:05:06.789+01:00")
        .extension("flag", Value::Boolean(true))
        .extension("count", Value::Integer(-2_147_483_648))
        .extension("comexampleextension1", Value::String("a value, with: punctuation; and=more"))
        .extension("partitionkey", Value::String("customer-1"));
    if let Some(media_type) = media_type {
        builder = builder.data_content_type(media_type);
    }
    if let Some(data) = data {
        builder = builder.data(data);
    }
    builder.build().expect("the sample is a valid event")
}

fn body_event(record: &Record) -> &Event {
    match &record.body {
        Body::Event(event) => event,
        Body::Foreign { reason, .. } => panic!("an event went in, foreign bytes came out: {reason}"),
    }
}

/// Attributes by their text, but for the content type that JSON data may be given on its way.
fn attributes(event: &Event) -> Vec<(String, String)> {
    let named = event.attributes().filter(|(name, _)| *name != "datacontenttype");
    let mut texts: Vec<_> =
        named.map(|(name, value)| (name.to_owned(), value.to_text().into_owned())).collect();
    texts.sort();
    texts
}

fn assert_same(sent: &Event, came: &Event, exact: bool) {
    if exact {
        assert_eq!(sent, came, "an event travels untouched");
        return;
    }
    assert_eq!(attributes(sent), attributes(came), "every attribute travels");
    if sent.data_content_type().is_some() {
        assert_eq!(sent.data_content_type(), came.data_content_type(), "the content type travels");
    }
    let bytes = |e: &Event| e.data().map(|d| d.bytes().clone()).unwrap_or_default();
    assert_eq!(bytes(sent), bytes(came), "data travels verbatim");
}

/// Publishes records of different keys, and returns them as they came, in the order in which they were sent.
async fn round_trip<F: Fixture>(bench: &Bench<F>, sent: Vec<Record>) -> Vec<Record> {
    let topic = bench.topic().await;
    let subscription = bench.subscription(&topic).await;
    let count = sent.len();
    let positions = bench.publish(&topic, sent).await;
    let mut source = bench.open(&subscription, AMPLE).await;
    let held = source.hold(count).await;
    let came = positions.iter().map(|position| {
        let one = held.iter().find(|h| h.position() == position);
        one.expect("lines 1 and 5: a record comes under its outcome's position").record().clone()
    });
    came.collect()
}

/// Events of every shape: attributes of all types, data verbatim, data that is empty, and none at all.
pub async fn events_travel_untouched<F: Fixture>(fixture: F) {
    let bench = Bench::new(fixture).await;
    let json = Bytes::from_static(b" {\"b\" : 1.0,\"a\":[ 1e2, \"\\u00e9\" ] }\n");
    let binary = Bytes::from((0..=255).collect::<Vec<u8>>());
    let shapes = [
        (Some(Data::Json(json.clone())), None),
        (Some(Data::Json(json.clone())), Some("application/json")),
        (Some(Data::Binary(json)), Some("Application/Vnd.Example+JSON; charset=utf-8")),
        (Some(Data::Binary(binary.clone())), Some("application/octet-stream")),
        (Some(Data::Binary(binary)), None),
        (Some(Data::Binary(Bytes::new())), Some("text/plain")),
        (None, None),
        (None, Some("application/json")),
    ];
    let sent: Vec<Record> = (1..)
        .zip(shapes)
        .map(|(n, (data, media_type))| of_event(Some(&format!("key-{n}")), n, event(n, data, media_type)))
        .collect();
    let came = round_trip(&bench, sent.clone()).await;
    for (sent, came) in sent.iter().zip(&came) {
        assert_same(body_event(sent), body_event(came), bench.fixture.exact_events());
    }
}

/// Large events travel whole, up to 900 KiB or what the broker takes.
pub async fn large_events_travel_untouched<F: Fixture>(fixture: F) {
    let bench = Bench::new(fixture).await;
    // Room for the attributes and for whatever frame the broker puts around them.
    let bytes = (900 << 10).min(bench.can.record_bytes_max.saturating_sub(4096));
    let sent = vec![sized(Some("a"), 1, bytes), sized(Some("b"), 2, 1), sized(None, 3, bytes)];
    let came = round_trip(&bench, sent.clone()).await;
    for (sent, came) in sent.iter().zip(&came) {
        assert_same(body_event(sent), body_event(came), bench.fixture.exact_events());
    }
}

/// Keys of any bytes travel; a broker that takes no such key refuses it, and writes nothing.
pub async fn keys_travel_untouched<F: Fixture>(fixture: F) {
    let bench = Bench::new(fixture).await;
    let topic = bench.topic().await;
    let subscription = bench.subscription(&topic).await;
    let keys: [&[u8]; 5] = [
        b"plain",
        "gr\u{f6}\u{df}e \u{1f40e}".as_bytes(),
        &[b'x'; Key::BYTES_MAX],
        b"\xff\xfe\x00\x80",
        b"\x00",
    ];
    let sent: Vec<Record> = (1..)
        .zip(keys)
        .map(|(n, key)| Record { key: Key::new(key.to_vec()), ..record(None, n) })
        .chain([record(None, 6)])
        .collect();
    let outcomes = bench.outcomes(bench.batch(&topic, sent.clone())).await;
    let mut expected = Vec::new();
    for (record, outcome) in sent.iter().zip(outcomes) {
        let text =
            record.key.as_ref().is_none_or(|k| std::str::from_utf8(k.as_bytes()).is_ok_and(|t| t != "\0"));
        match outcome {
            Outcome::Durable(position) => expected.push((position, record.key.clone())),
            Outcome::Refused(_) if !text => {}
            other => panic!("line 1: a key of text is taken in, one of bytes is, or is refused: {other:?}"),
        }
    }
    let mut source = bench.open(&subscription, AMPLE).await;
    let held = source.hold(expected.len()).await;
    for (position, key) in &expected {
        let one =
            held.iter().find(|h| h.position() == position).expect("line 4: what is durable is delivered");
        assert_eq!(&one.record().key, key, "a record's key travels byte for byte");
        assert_eq!(&one.delivery.key, key, "an ordered subscription's delivery names the key");
    }
}

/// [`Body::Foreign`]: bytes that make no event travel as bytes (a dead letter of such a record needs it).
pub async fn foreign_bodies_travel_untouched<F: Fixture>(fixture: F) {
    let bench = Bench::new(fixture).await;
    let bodies: [&'static [u8]; 3] = [b"not an event", b"\x00\x01\xff{", b"{\"specversion\":\"1.0\"}"];
    let foreign = |(n, bytes): (u64, &'static [u8])| Record {
        body: Body::Foreign { bytes: Bytes::from_static(bytes), reason: "written by a stranger".into() },
        ..record(Some(&format!("key-{n}")), n)
    };
    let came = round_trip(&bench, (1..).zip(bodies).map(foreign).collect()).await;
    for (sent, came) in bodies.iter().zip(came) {
        match came.body {
            Body::Foreign { bytes, reason } => {
                assert_eq!(&bytes[..], *sent, "foreign bytes travel untouched");
                assert!(!reason.is_empty(), "foreign bytes come with the reason why they make no event");
            }
            Body::Event(event) => panic!("foreign bytes went in, an event came out: {event:?}"),
        }
    }
}

/// [`Letter`]: headers beside the event, whole.
pub async fn letters_travel_beside_the_event<F: Fixture>(fixture: F) {
    let bench = Bench::new(fixture).await;
    let letter = |status| Letter {
        topic: "orders.created".into(),
        position: "3-4711".into(),
        subscription: "dev.orders.billing".into(),
        reason: "attempts_used_up".into(),
        attempts: 30,
        first_ms: 1_700_000_000_001,
        last_ms: 1_700_000_123_456,
        status,
        answer: "503 Service Unavailable: größer \"als\" erwartet\nsecond line".into(),
    };
    let mut sent = records(1, 3, 3);
    sent[0].letter = Some(Box::new(letter(Some(503))));
    sent[1].letter = Some(Box::new(Letter { answer: String::new(), ..letter(None) }));
    let came = round_trip(&bench, sent.clone()).await;
    for (sent, came) in sent.iter().zip(&came) {
        assert_eq!(sent.letter, came.letter, "a letter travels beside the event, whole");
        let exact = bench.fixture.exact_events();
        assert_same(body_event(sent), body_event(came), exact);
    }
}

/// [`Hop`]: trace, origin and sequence travel on every broker, and are never attributes.
pub async fn hop_headers_travel_beside_the_event<F: Fixture>(fixture: F) {
    let bench = Bench::new(fixture).await;
    let trace = TraceParent {
        trace: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736,
        parent: 0x00f0_67aa_0ba9_02b7,
        flags: 1,
    };
    let origin = Some(Origin(0x0123_4567_89ab_cdef_0000_0000_0000_0001));
    let hops = [
        Hop { traceparent: Some(trace), tracestate: Some("vendor=a,other=b".into()), origin, sequence: 1 },
        Hop { traceparent: Some(trace), tracestate: None, origin, sequence: u64::MAX },
        Hop { traceparent: None, tracestate: None, origin, sequence: 3 },
        Hop::default(),
    ];
    let sent: Vec<Record> = hops
        .iter()
        .zip(records(1, 4, 4))
        .map(|(hop, record)| Record { hop: hop.clone(), ..record })
        .collect();
    let came = round_trip(&bench, sent.clone()).await;
    for (sent, came) in sent.iter().zip(&came) {
        assert_eq!(sent.hop, came.hop, "hop headers travel beside the event");
        let exact = bench.fixture.exact_events();
        assert_same(body_event(sent), body_event(came), exact);
    }
}

/// [`Payload`]: here, or on the broker's disk for as long as the lease lives.
pub async fn payloads_are_here_or_can_be_loaded<F: Fixture>(fixture: F) {
    let (bench, _, mut source) = Bench::open_with(fixture, records(1, 2, 2), AMPLE).await;
    // What is stored, the watch over the source has loaded.
    let held = source.hold(2).await;
    for one in held.iter().filter(|h| matches!(h.delivery.payload, Payload::Stored)) {
        assert!(bench.can.stored_payloads, "line 10: payloads are stored only where the capabilities say so");
        let twice = source.source().load(one.lease()).await.expect("load: as often as asked");
        assert_eq!(number(&twice), one.number(), "a lease loads its own record");
        source.settle(one.lease(), Settle::Done);
        let dead = source.source().load(one.lease()).await;
        let kind = dead.err().map(|e| e.kind);
        assert_eq!(kind, Some(ErrorKind::NotFound), "load: `NotFound` where the lease is dead");
    }
}

/// [`Delivery`](crate::Delivery): the time when the broker took it in, and its size there.
pub async fn deliveries_tell_time_and_size<F: Fixture>(fixture: F) {
    let (_bench, _, mut source) = Bench::open_with(fixture, vec![sized(Some("a"), 1, 5000)], AMPLE).await;
    let one = source.hold(1).await.remove(0);
    assert!(one.delivery.bytes >= 5000, "a delivery tells its size in bytes: {}", one.delivery.bytes);
    let published = SystemTime::UNIX_EPOCH + Duration::from_millis(one.delivery.published_ms);
    let now = SystemTime::now();
    let apart = now.duration_since(published).unwrap_or_else(|e| e.duration());
    assert!(
        apart < Duration::from_secs(3600),
        "published_ms is in milliseconds since the Unix epoch: {apart:?} off"
    );
}
