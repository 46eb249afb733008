//! Topics: their names on every configured broker, and what is routed to them.

use std::collections::BTreeMap;

use super::Check;
use crate::broker::BrokerKind;
use crate::error::Code;
use crate::names;
use crate::path::{Path, Step};

pub(super) fn check(check: &mut Check<'_>) {
    let config = check.config;
    let all = Path::of(&["topics"]);
    let mut types: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, topic) in &config.topics {
        let path = all.key(name);
        check.name(&path, name, names::topic);
        if let Some(broker) = &topic.broker {
            check.reference(&path.key("broker"), "broker", broker, "brokers", config.brokers.keys());
        }
        for broker in topic.names.keys() {
            check.reference(
                &path.key("names").key(broker),
                "broker",
                broker,
                "brokers",
                config.brokers.keys(),
            );
        }
        for (index, kind) in topic.types.iter().enumerate() {
            let mut path = path.key("types");
            path.push(Step::Index(index));
            if kind.is_empty() {
                check.error(Code::BadValue, &path, "a type is empty", "No event has an empty type.");
            } else if let Some(other) = types.insert(kind, name) {
                let kind = check.shown(&path, kind);
                let message = format!("events of type `{kind}` go to topic `{other}` already");
                check.error(Code::Conflict, &path, message, "An event's type leads to one topic.");
            }
        }
        if topic.max_event > config.limits.body {
            let message = format!(
                "larger than `limits.body` ({}), which refuses such an event first",
                config.limits.body
            );
            check.warn(&path.key("max_event"), message);
        }
    }
    for broker in config.brokers.keys() {
        on_broker(check, broker);
    }
}

/// Every topic must have a name that every broker takes: the switch from one to the other must not fail for it.
fn on_broker(check: &mut Check<'_>, broker: &str) {
    let config = check.config;
    let kind = config.brokers[broker].kind();
    let mut taken: BTreeMap<String, &str> = BTreeMap::new();
    for (name, topic) in &config.topics {
        let mut path = Path::of(&["topics", name]);
        if topic.names.contains_key(broker) {
            path = path.key("names").key(broker);
        } else if names::topic(name).is_err() {
            continue;
        }
        let there = config.topic_on_broker(name, broker);
        if let Err(reason) = names::on_broker(kind, &there) {
            let message = format!(
                "broker `{broker}` ({kind}) has no such topic as `{}`: {reason}",
                check.shown(&path, &there)
            );
            let hint = format!("Give it another name there: `names: {{ {broker}: … }}`.");
            check.error(Code::BadName, &path, message, hint);
            continue;
        }
        if !config.may_be_on(name, broker) {
            continue;
        }
        if let Some(other) = taken.insert(there.clone(), name) {
            check.warn(&path, format!("topic `{other}` is the same topic on broker `{broker}`"));
        } else if kind == BrokerKind::Kafka {
            let alike = |other: &&String| {
                **other != there && names::kafka_metric(other) == names::kafka_metric(&there)
            };
            if let Some(other) = taken.keys().find(alike).and_then(|alike| taken.get(alike)) {
                let message = format!(
                    "Kafka cannot tell it from topic `{other}`: in its metrics `.` and `_` are the same"
                );
                check.error(Code::Conflict, &path, message, "Rename one of the two.");
            }
        }
    }
}
