//! The events that are published, in every form: 1 KiB of data, keyed, with the attributes and headers that a service
//! usually sends. A request, a record and a message of the same number are the same event.

use std::collections::HashMap;

use rdkafka::message::{Header, OwnedHeaders};
use serde::{Deserialize, Serialize};

/// Bytes of an event's data.
pub(crate) const DATA_BYTES: usize = 1024;
/// Keys that events are spread over.
pub(crate) const KEYS: u64 = 1000;
/// The extension attribute that tells when an event was due to be published, in nanoseconds of the machine's monotonic
/// clock, in as many digits as any such number has.
const STAMP: &str = "benchns";
pub(crate) const STAMP_DIGITS: usize = 20;

/// What Postrider answers to a publish of one.
pub(crate) const ANSWER: &str =
    r#"{"id":"bench-000000","source":"/benches","accepted":"broker","position":"0-000000000"}"#;

const TYPE: &str = "com.example.order.created";
const TIME: &str = "2026-03-01T12:00:00.123456Z";
const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// The form of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Form {
    /// One event in binary mode; `stamped`: with the attribute [`STAMP`].
    Single { stamped: bool },
    /// `application/cloudevents-batch+json`; `minimal`: with `prefer: return=minimal`.
    Batch { events: u64, minimal: bool },
    /// `application/x-ndjson`.
    Lines { events: u64 },
}

impl Form {
    /// Events in a request.
    pub(crate) fn events(self) -> u64 {
        match self {
            Self::Single { .. } => 1,
            Self::Batch { events, .. } | Self::Lines { events } => events,
        }
    }

    /// A whole HTTP/1.1 request. `keyed`: its events have keys.
    pub(crate) fn request(self, host: &str, topic: &str, number: u64, keyed: bool) -> Vec<u8> {
        let mut head = format!(
            "POST /v1/topics/{topic}/events HTTP/1.1\r\nhost: {host}\r\nuser-agent: benches/1\r\naccept: */*\r\n\
             traceparent: {TRACEPARENT}\r\n"
        );
        let body = match self {
            Self::Single { stamped } => {
                head += &attributes(number, keyed);
                if stamped {
                    head += &format!("ce-{STAMP}: {}\r\n", "0".repeat(STAMP_DIGITS));
                }
                data(number)
            }
            Self::Batch { events, minimal } => {
                head += "content-type: application/cloudevents-batch+json\r\n";
                if minimal {
                    head += "prefer: return=minimal\r\n";
                }
                format!("[{}]", structured(events, number, keyed).join(","))
            }
            Self::Lines { events } => {
                head += "content-type: application/x-ndjson\r\n";
                structured(events, number, keyed).join("\n") + "\n"
            }
        };
        head += &format!("content-length: {}\r\n\r\n{body}", body.len());
        head.into_bytes()
    }
}

fn id(number: u64) -> String {
    format!("bench-{number:06}")
}

fn key(number: u64) -> String {
    format!("order-{:06}", number % KEYS)
}

fn attributes(number: u64, keyed: bool) -> String {
    let id = id(number);
    let key = if keyed { format!("postrider-key: {}\r\n", key(number)) } else { String::new() };
    format!(
        "ce-specversion: 1.0\r\nce-id: {id}\r\nce-source: /benches\r\nce-type: {TYPE}\r\nce-time: {TIME}\r\n\
         content-type: application/json\r\n{key}"
    )
}

/// An event's data, [`DATA_BYTES`] of JSON.
fn data(number: u64) -> String {
    let head = format!(r#"{{"number":{number},"note":""#);
    let pad = DATA_BYTES - head.len() - 2;
    format!("{head}{}\"}}", "n".repeat(pad))
}

fn structured(events: u64, number: u64, keyed: bool) -> Vec<String> {
    let one = |number| {
        let (id, data) = (id(number), data(number));
        let key = if keyed { format!(r#""partitionkey":"{}","#, key(number)) } else { String::new() };
        format!(
            r#"{{"specversion":"1.0","id":"{id}","source":"/benches","type":"{TYPE}","time":"{TIME}","datacontenttype":"application/json",{key}"data":{data}}}"#
        )
    };
    (0..events).map(|offset| one(number * events + offset)).collect()
}

/// A record or a message, built beforehand.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) key: String,
    pub(crate) payload: String,
    id: String,
    /// Whether it has the attribute that names its key, as an event of a batch has.
    names_its_key: bool,
}

/// What stands beside an event's data is called on each broker.
struct Name {
    kafka: &'static str,
    pubsub: &'static str,
}

impl Record {
    pub(crate) fn new(number: u64, names_its_key: bool) -> Self {
        Self { key: key(number), payload: data(number), id: id(number), names_its_key }
    }

    /// The headers that Postrider's Kafka driver writes for the same event.
    pub(crate) fn headers(&self, sequence: u64, stamp: Option<u64>) -> OwnedHeaders {
        let put = |headers: OwnedHeaders, name: Name, value: &str| {
            headers.insert(Header { key: name.kafka, value: Some(value.as_bytes()) })
        };
        self.beside_data(sequence, stamp, OwnedHeaders::new_with_capacity(11), put)
    }

    /// The attributes that its Pub/Sub driver writes.
    pub(crate) fn attributes(&self, sequence: u64) -> HashMap<String, String> {
        let put = |mut attributes: HashMap<String, String>, name: Name, value: &str| {
            attributes.insert(name.pubsub.to_owned(), value.to_owned());
            attributes
        };
        self.beside_data(sequence, None, HashMap::with_capacity(16), put)
    }

    /// Puts what stands beside the data into what is to be filled, one after another.
    fn beside_data<T>(
        &self,
        sequence: u64,
        stamp: Option<u64>,
        mut filled: T,
        put: impl Fn(T, Name, &str) -> T,
    ) -> T {
        let both = |name| Name { kafka: name, pubsub: name };
        for (name, value) in [
            (both("content-type"), "application/json"),
            (Name { kafka: "ce_specversion", pubsub: "ce-specversion" }, "1.0"),
            (Name { kafka: "ce_id", pubsub: "ce-id" }, &self.id),
            (Name { kafka: "ce_source", pubsub: "ce-source" }, "/benches"),
            (Name { kafka: "ce_type", pubsub: "ce-type" }, TYPE),
            (Name { kafka: "ce_time", pubsub: "ce-time" }, TIME),
            (both("traceparent"), TRACEPARENT),
            (both("postrider-origin"), "0196f0a5d3a17c3e9d2b6f4a5c1e7b90"),
            (both("postrider-sequence"), &sequence.to_string()),
        ] {
            filled = put(filled, name, value);
        }
        if self.names_its_key {
            let name = Name { kafka: "ce_partitionkey", pubsub: "ce-partitionkey" };
            filled = put(filled, name, &self.key);
        }
        if let Some(stamp) = stamp {
            let name = Name { kafka: "ce_benchns", pubsub: "ce-benchns" };
            filled = put(filled, name, &format!("{stamp:0STAMP_DIGITS$}"));
        }
        filled
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::message::Headers;

    use super::*;

    #[test]
    fn a_request_says_how_long_its_body_is() {
        for form in [
            Form::Single { stamped: true },
            Form::Batch { events: 3, minimal: false },
            Form::Lines { events: 3 },
        ] {
            let request = String::from_utf8(form.request("localhost", "orders", 7, true)).unwrap();
            let (head, body) = request.split_once("\r\n\r\n").unwrap();
            assert!(head.ends_with(&format!("content-length: {}", body.len())), "{head}");
        }
    }

    #[test]
    fn a_message_says_what_a_record_says() {
        let record = Record::new(7, true);
        let headers = record.headers(7, None);
        let said: HashMap<String, String> = headers
            .iter()
            .map(|header| {
                let value = header.value.map(String::from_utf8_lossy).unwrap_or_default();
                (header.key.replace("ce_", "ce-"), value.into_owned())
            })
            .collect();
        assert_eq!(record.attributes(7), said);
    }

    #[test]
    fn data_is_json_of_1_kib() {
        let data = data(123_456);
        assert_eq!(data.len(), DATA_BYTES);
        serde_json::from_str::<serde_json::Value>(&data).unwrap();
        let batch = Form::Batch { events: 2, minimal: true }.request("h", "t", 0, false);
        let body = batch.split(|byte| *byte == b'\n').next_back().unwrap();
        assert_eq!(serde_json::from_slice::<serde_json::Value>(body).unwrap().as_array().unwrap().len(), 2);
    }
}
