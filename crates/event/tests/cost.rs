//! What reading and writing costs, printed: `cargo test --release -p postrider-event --test cost -- --ignored --nocapture`.

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use postrider_event::http::{self as binding, Encoding};
use postrider_event::{Event, json, kafka, pubsub};

const ROUNDS: u32 = 200_000;

#[expect(clippy::print_stdout, reason = "its figures are all that it is for")]
fn measure<T>(what: &str, mut step: impl FnMut() -> T) {
    for _ in 0..ROUNDS / 10 {
        black_box(step());
    }
    let start = Instant::now();
    for _ in 0..ROUNDS {
        black_box(step());
    }
    println!("{what:<28} {:>6} ns", start.elapsed().as_nanos() / u128::from(ROUNDS));
}

/// An order of about 900 bytes.
fn order() -> String {
    let line = r#"{"sku":"SKU-000417-XL","name":"Coat, \"green\"","quantity":2,"price":{"amount":12950,"currency":"EUR"},"gift":false}"#;
    format!(r#"{{"order":"o-2026-11-000417","customer":"c-88231","lines":[{}]}}"#, [line; 7].join(","))
}

#[test]
#[ignore = "prints figures, asserts nothing"]
fn what_a_1_kb_event_costs() {
    let attributes = [
        ("id", "018f2f5e-7c1a-7b1a-9c51-0242ac120002"),
        ("source", "https://shop.example.com/orders"),
        ("type", "com.example.order.created"),
        ("subject", "o-2026-11-000417"),
        ("time", "2026-11-23T14:33:08.123456Z"),
        ("partitionkey", "c-88231"),
    ];
    let members: String = attributes.iter().map(|(name, value)| format!("\"{name}\":\"{value}\",")).collect();
    let data = Bytes::from(order());
    let structured = Bytes::from(format!(
        "{{\"specversion\":\"1.0\",{members}\"datacontenttype\":\"application/json\",\"data\":{}}}",
        String::from_utf8_lossy(&data)
    ));
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("ce-specversion", HeaderValue::from_static("1.0"));
    for (name, value) in attributes {
        let name: http::HeaderName = format!("ce-{name}").parse().expect("a header name");
        headers.insert(name, HeaderValue::from_static(value));
    }
    let event = json::from_bytes(structured.clone()).expect("valid");
    let mut stored = Vec::new();
    event.encode(&mut stored);
    let stored = Bytes::from(stored);
    let mut buffer = Vec::new();
    println!(
        "structured: {} bytes, data: {} bytes, stored: {} bytes",
        structured.len(),
        data.len(),
        stored.len()
    );

    measure("read structured", || json::from_bytes(structured.clone()));
    measure("read binary", || binding::from_binary(&headers, data.clone()));
    measure("decode", || Event::decode(stored.clone()));
    measure("encode", || {
        buffer.clear();
        event.encode(&mut buffer);
    });
    measure("write structured", || {
        buffer.clear();
        json::write(&event, &mut buffer);
    });
    measure("write binary", || {
        binding::to_binary(&event, Encoding::Percent, &mut HeaderMap::with_capacity(16))
    });
    let mut record = Vec::new();
    let value =
        kafka::to_binary(&event, |name, value| record.push((name.to_owned(), value.to_vec()))).cloned();
    measure("read Kafka binary", || {
        kafka::from_message(record.iter().map(|(name, value)| (&**name, Some(&**value))), value.clone())
    });
    measure("write Kafka binary", || {
        kafka::to_binary(&event, |name, value| {
            black_box((name, value));
        })
    });
    let mut attributes = std::collections::HashMap::new();
    let data = pubsub::to_binary(&event, |name, value| {
        attributes.insert(name.to_owned(), value.to_owned());
    });
    measure("read Pub/Sub binary", || pubsub::from_message(&attributes, data.clone()));
    measure("write Pub/Sub binary", || {
        pubsub::to_binary(&event, |name, value| {
            black_box((name, value));
        })
    });
    measure("fits Pub/Sub binary", || pubsub::fits_binary(&event, 4));
    measure("check Pub/Sub's limits", || pubsub::check(&attributes, "c-88231", data.len()));
    measure("clone", || event.clone());
}
