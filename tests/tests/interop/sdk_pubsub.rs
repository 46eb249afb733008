//! Google's client of Pub/Sub for Python, and the official CloudEvents SDK.

use brokers::pubsub::PROJECT;
use serde_json::Value;

use crate::python;

const SCRIPT: &str = "sdk_pubsub.py";
const EMULATOR: &str = "PUBSUB_EMULATOR_HOST";

/// Publishes events of the SDK, `{"mode", "attributes", "data", "key"}` each, and messages as they are, `{"message":
/// {"attributes", "data", "key"}}`. Returns their ids.
pub(crate) fn publish(address: &str, topic: &str, lines: &[Value]) -> Vec<String> {
    let ids = python::run(SCRIPT, &["publish", PROJECT, topic], &[(EMULATOR, address)], lines);
    ids.into_iter().map(|id| id.as_str().expect("an id is a text").to_owned()).collect()
}

/// The first events that a subscription hands out, as the SDK reads them: `{"mode", "attributes", "data", "key"}`.
pub(crate) fn receive(address: &str, subscription: &str, count: usize) -> Vec<Value> {
    pull("receive", address, subscription, count)
}

/// The first messages that it hands out: `{"id", "time", "attributes", "data", "key"}`.
pub(crate) fn messages(address: &str, subscription: &str, count: usize) -> Vec<Value> {
    pull("messages", address, subscription, count)
}

fn pull(what: &str, address: &str, subscription: &str, count: usize) -> Vec<Value> {
    let count = count.to_string();
    python::run(SCRIPT, &[what, PROJECT, subscription, &count], &[(EMULATOR, address)], &[])
}
