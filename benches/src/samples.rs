//! The events that are published, in every form: 1 KiB of data, keyed, with the attributes and headers that a service
//! usually sends. A request and a record of the same number are the same event.

use rdkafka::message::{Header, OwnedHeaders};
use serde::{Deserialize, Serialize};

/// Bytes of an event's data.
pub(crate) const DATA_BYTES: usize = 1024;
/// Keys that events are spread over.
pub(crate) const KEYS: u64 = 1000;
/// The extension attribute that tells when an event was due to be published, in nanoseconds of the machine's monotonic
/// clock, in as many digits as any such number has.
const STAMP: &str = "benchns";
const RECORD_STAMP: &str = "ce_benchns";
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

    /// A whole HTTP/1.1 request.
    pub(crate) fn request(self, host: &str, topic: &str, number: u64) -> Vec<u8> {
        let mut head = format!(
            "POST /v1/topics/{topic}/events HTTP/1.1\r\nhost: {host}\r\nuser-agent: benches/1\r\naccept: */*\r\n\
             traceparent: {TRACEPARENT}\r\n"
        );
        let body = match self {
            Self::Single { stamped } => {
                head += &attributes(number);
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
                format!("[{}]", structured(events, number).join(","))
            }
            Self::Lines { events } => {
                head += "content-type: application/x-ndjson\r\n";
                structured(events, number).join("\n") + "\n"
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

fn attributes(number: u64) -> String {
    let (id, key) = (id(number), key(number));
    format!(
        "ce-specversion: 1.0\r\nce-id: {id}\r\nce-source: /benches\r\nce-type: {TYPE}\r\nce-time: {TIME}\r\n\
         content-type: application/json\r\npostrider-key: {key}\r\n"
    )
}

/// An event's data, [`DATA_BYTES`] of JSON.
fn data(number: u64) -> String {
    let head = format!(r#"{{"number":{number},"note":""#);
    let pad = DATA_BYTES - head.len() - 2;
    format!("{head}{}\"}}", "n".repeat(pad))
}

fn structured(events: u64, number: u64) -> Vec<String> {
    let one = |number| {
        let (id, key, data) = (id(number), key(number), data(number));
        format!(
            r#"{{"specversion":"1.0","id":"{id}","source":"/benches","type":"{TYPE}","time":"{TIME}","datacontenttype":"application/json","partitionkey":"{key}","data":{data}}}"#
        )
    };
    (0..events).map(|offset| one(number * events + offset)).collect()
}

/// A record, built beforehand.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) key: String,
    pub(crate) payload: String,
    id: String,
    /// Whether it has the attribute that names its key, as an event of a batch has.
    names_its_key: bool,
}

impl Record {
    pub(crate) fn new(number: u64, names_its_key: bool) -> Self {
        Self { key: key(number), payload: data(number), id: id(number), names_its_key }
    }

    /// The headers that Postrider's Kafka driver writes for the same event.
    pub(crate) fn headers(&self, sequence: u64, stamp: Option<u64>) -> OwnedHeaders {
        let mut headers = OwnedHeaders::new_with_capacity(11);
        let put = |headers: OwnedHeaders, key: &str, value: &str| {
            headers.insert(Header { key, value: Some(value.as_bytes()) })
        };
        for (name, value) in [
            ("content-type", "application/json"),
            ("ce_specversion", "1.0"),
            ("ce_id", &self.id),
            ("ce_source", "/benches"),
            ("ce_type", TYPE),
            ("ce_time", TIME),
            ("traceparent", TRACEPARENT),
            ("postrider-origin", "0196f0a5d3a17c3e9d2b6f4a5c1e7b90"),
            ("postrider-sequence", &sequence.to_string()),
        ] {
            headers = put(headers, name, value);
        }
        if self.names_its_key {
            headers = put(headers, "ce_partitionkey", &self.key);
        }
        if let Some(stamp) = stamp {
            headers = put(headers, RECORD_STAMP, &format!("{stamp:0STAMP_DIGITS$}"));
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_how_long_its_body_is() {
        for form in [
            Form::Single { stamped: true },
            Form::Batch { events: 3, minimal: false },
            Form::Lines { events: 3 },
        ] {
            let request = String::from_utf8(form.request("localhost", "orders", 7)).unwrap();
            let (head, body) = request.split_once("\r\n\r\n").unwrap();
            assert!(head.ends_with(&format!("content-length: {}", body.len())), "{head}");
        }
    }

    #[test]
    fn data_is_json_of_1_kib() {
        let data = data(123_456);
        assert_eq!(data.len(), DATA_BYTES);
        serde_json::from_str::<serde_json::Value>(&data).unwrap();
        let batch = Form::Batch { events: 2, minimal: true }.request("h", "t", 0);
        let body = batch.split(|byte| *byte == b'\n').next_back().unwrap();
        assert_eq!(serde_json::from_slice::<serde_json::Value>(body).unwrap().as_array().unwrap().len(), 2);
    }
}
