//! What the bare clients tell librdkafka.

use std::collections::BTreeMap;

use rdkafka::ClientConfig;

/// librdkafka's properties by their names.
pub(crate) type Properties = BTreeMap<String, String>;

pub(super) fn config(bootstrap: &str, properties: &Properties) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    for (name, value) in properties {
        config.set(name, value);
    }
    config
}
