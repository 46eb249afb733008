//! The official CloudEvents SDK for Python, over a client of Kafka.

use serde_json::Value;

use crate::python;

const SCRIPT: &str = "sdk_kafka.py";

/// The first events of a topic of one partition, as the SDK reads them.
pub(crate) fn consume(bootstrap: &str, topic: &str, count: usize) -> Vec<Value> {
    python::run(SCRIPT, &["consume", bootstrap, topic, &count.to_string()], &[], &[])
}

/// Writes events by the SDK: `{"mode", "attributes", "data", "key"}` each.
pub(crate) fn produce(bootstrap: &str, topic: &str, events: &[Value]) {
    python::run(SCRIPT, &["produce", bootstrap, topic], &[], events);
}
