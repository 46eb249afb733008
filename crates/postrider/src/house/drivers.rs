//! From a configured broker to its driver: the one place that knows which drivers this build has.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::config::{Broker, Config};
use broker::Driver;

use crate::failure::Failure;

/// The drivers by their brokers' configured names.
pub(super) type Drivers = BTreeMap<String, Arc<dyn Driver>>;

/// The brokers in use whose driver this build lacks, a sentence each.
pub(crate) fn missing_drivers(config: &Config) -> Vec<String> {
    used(config)
        .into_iter()
        .filter(|(_, broker)| !is_built_in(broker))
        .map(|(name, broker)| {
            format!(
                "brokers.{name}: this build has no {} driver; `postrider version` lists those it has",
                broker.kind()
            )
        })
        .collect()
}

/// The brokers that a topic is on; one that is configured and unused is not opened.
fn used(config: &Config) -> BTreeMap<&str, &Broker> {
    let topics = config.topics.keys().map(|topic| config.broker_of(topic));
    topics
        .chain([config.default_broker()])
        .filter_map(|name| config.brokers.get_key_value(name))
        .map(|(name, broker)| (name.as_str(), broker))
        .collect()
}

fn is_built_in(broker: &Broker) -> bool {
    match broker {
        Broker::Embedded(_) => cfg!(feature = "embedded"),
        Broker::Kafka(_) | Broker::Pubsub(_) => false,
    }
}

/// Opens the drivers of all brokers in use.
pub(super) fn open(config: &Config) -> Result<Drivers, Failure> {
    let missing = missing_drivers(config);
    if !missing.is_empty() {
        return Err(Failure::usage(missing.join("\n")));
    }
    used(config).into_iter().map(|(name, broker)| Ok((name.to_owned(), open_one(name, broker)?))).collect()
}

fn open_one(name: &str, broker: &Broker) -> Result<Arc<dyn Driver>, Failure> {
    match broker {
        #[cfg(feature = "embedded")]
        Broker::Embedded(settings) => {
            let config = embedded::Config {
                max_bytes_per_topic: settings.max_bytes_per_topic.bytes(),
                reserve: settings.reserve.bytes(),
                retention_age: settings.retention.age.get(),
                retention_bytes: settings.retention.size.bytes(),
                ..embedded::Config::new(&settings.path)
            };
            let driver = embedded::Embedded::open(config)
                .map_err(|error| Failure::failed(format!("broker {name}: {error}")))?;
            Ok(driver)
        }
        // Refused before the first was opened.
        other => Err(Failure::usage(format!("brokers.{name}: this build has no {} driver", other.kind()))),
    }
}
