//! From a configured broker to its driver: the one place that knows which drivers this build has.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::config::{Broker, Config, Errors, Loaded};
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
        Broker::Kafka(_) => cfg!(feature = "kafka"),
        Broker::Pubsub(_) => false,
    }
}

/// What the drivers find wrong with the settings of any configured broker, used or not, without reaching for it.
pub(crate) fn check(loaded: &Loaded) -> Result<(), Errors> {
    let found = loaded.config.brokers.iter().flat_map(|(name, broker)| match broker {
        #[cfg(feature = "kafka")]
        Broker::Kafka(settings) => kafka_errors(name, &kafka_settings(settings, &loaded.config.service)),
        _ => Vec::new(),
    });
    loaded.errors(found).map_or(Ok(()), Err)
}

#[cfg(feature = "kafka")]
fn kafka_errors(name: &str, settings: &kafka::Settings) -> Vec<(::config::Path, String)> {
    let Err(kafka::BadSettings(list)) = settings.check() else { return Vec::new() };
    let properties = ::config::Path::of(&["brokers", name, "kafka", "properties"]);
    list.into_iter().map(|(property, why)| (properties.key(&property), why)).collect()
}

#[cfg(feature = "kafka")]
fn kafka_settings(settings: &::config::Kafka, service: &str) -> kafka::Settings {
    let create = &settings.create_topics;
    let creation = kafka::CreateTopics {
        partitions: create.partitions,
        // Validation holds it far below.
        replication_factor: create.replication_factor.map(|factor| u16::try_from(factor).unwrap_or(u16::MAX)),
    };
    let properties = settings.properties.iter();
    kafka::Settings {
        properties: properties.map(|(name, value)| (name.clone(), value.expose().to_owned())).collect(),
        create_topics: create.enabled.then_some(creation),
        client_id: format!("postrider-{service}"),
        ..kafka::Settings::new(settings.bootstrap_servers.clone())
    }
}

/// Opens the drivers of all brokers in use.
pub(super) fn open(config: &Config) -> Result<Drivers, Failure> {
    let missing = missing_drivers(config);
    if !missing.is_empty() {
        return Err(Failure::usage(missing.join("\n")));
    }
    used(config)
        .into_iter()
        .map(|(name, broker)| Ok((name.to_owned(), open_one(name, broker, &config.service)?)))
        .collect()
}

fn open_one(name: &str, broker: &Broker, service: &str) -> Result<Arc<dyn Driver>, Failure> {
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
        #[cfg(feature = "kafka")]
        Broker::Kafka(settings) => {
            let driver = kafka::Kafka::new(kafka_settings(settings, service))
                .map_err(|error| Failure::failed(format!("broker {name}: {error}")))?;
            Ok(driver)
        }
        // Refused before the first was opened.
        other => Err(Failure::usage(format!("brokers.{name}: this build has no {} driver", other.kind()))),
    }
}
