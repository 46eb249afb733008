//! The brokers, and which of them is used.

mod pubsub;

use std::collections::BTreeMap;

use super::Check;
use crate::broker::{Broker, Kafka};
use crate::decode::listed;
use crate::error::Code;
use crate::names;
use crate::path::{Path, Step};

/// Parts of a property's name that say that its value is a secret.
const SECRET_WORDS: [&str; 5] = ["password", "secret", "token", "credential", "key.pem"];

/// More is a mistake rather than a topic: a partition costs the cluster memory and files.
const PARTITIONS_MAX: u32 = 10_000;
/// A count of brokers, which Kafka keeps in two bytes.
const REPLICATION_MAX: u32 = 100;

pub(super) fn check(check: &mut Check<'_>) {
    let config = check.config;
    let all = Path::of(&["brokers"]);
    if config.brokers.is_empty() {
        check.error(
            Code::MissingKey,
            &all,
            "no broker is configured",
            "`local: { embedded: { path: ./data } }` needs nothing else.",
        );
    }
    let path = Path::of(&["broker"]);
    match &config.broker {
        Some(name) => check.reference(&path, "broker", name, "brokers", config.brokers.keys()),
        None if config.brokers.len() > 1 => {
            let known: Vec<&String> = config.brokers.keys().collect();
            let message = "the key `broker` is missing, and there are several brokers";
            check.error(Code::MissingKey, &path, message, format!("Choose one of {}.", listed(&known)));
        }
        None => {}
    }
    let mut directories: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, broker) in &config.brokers {
        let path = all.key(name);
        check.name(&path, name, names::name);
        let path = path.key(broker.kind().as_str());
        match broker {
            Broker::Embedded(embedded) => {
                let path = path.key("path");
                if embedded.path.is_empty() {
                    check.error(Code::BadValue, &path, "the path is empty", "Name a directory: `./data`.");
                } else if let Some(other) = directories.insert(&embedded.path, name) {
                    let message = format!("broker `{other}` has the same directory");
                    check.error(Code::Conflict, &path, message, "Give each broker a directory of its own.");
                }
            }
            Broker::Kafka(kafka) => kafka_broker(check, &path, kafka),
            Broker::Pubsub(settings) => pubsub::check(check, &path, settings),
        }
    }
}

fn is_host_and_port(server: &str) -> bool {
    server.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && !host.contains(['/', ',', ' ']) && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

fn kafka_broker(check: &mut Check<'_>, path: &Path, kafka: &Kafka) {
    let servers = path.key("bootstrap_servers");
    if kafka.bootstrap_servers.is_empty() {
        check.error(Code::BadValue, &servers, "there must be at least one server", "Write [\"kafka:9093\"].");
    }
    for (index, server) in kafka.bootstrap_servers.iter().enumerate() {
        let mut path = servers.clone();
        path.push(Step::Index(index));
        if !is_host_and_port(server) {
            let message = format!("`{}` is no server", check.shown(&path, server));
            check.error(Code::BadValue, &path, message, "Write HOST:PORT, one server an entry.");
        }
    }
    let creation = path.key("create_topics");
    for (key, value, most) in [
        ("partitions", kafka.create_topics.partitions, PARTITIONS_MAX),
        ("replication_factor", kafka.create_topics.replication_factor, REPLICATION_MAX),
    ] {
        if value.is_some_and(|value| value == 0 || value > most) {
            let message = format!("`{key}` must be between 1 and {most}");
            check.error(
                Code::BadValue,
                &creation.key(key),
                message,
                "Leave it out for the cluster's default.",
            );
        }
    }
    for name in kafka.properties.keys() {
        let path = path.key("properties").key(name);
        let literal = check.root.find(&path).is_some_and(|node| !node.is_secret());
        if literal && SECRET_WORDS.iter().any(|word| name.contains(word)) {
            check.warn(&path, "this looks like a secret; write it as `${env:NAME}` or `${file:PATH}`");
        }
    }
}
