//! From a configured broker to its driver: the one place that knows which drivers this build has.

#[cfg(feature = "pubsub")]
mod pubsub;

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
        Broker::Pubsub(_) => cfg!(feature = "pubsub"),
    }
}

/// A path of the configuration, and what a driver says of what stands there.
type Found = (::config::Path, String);

/// What the drivers find wrong with the settings of any configured broker, used or not, without reaching for it. What
/// they find odd but legal is added to the warnings.
pub(crate) fn check(loaded: &mut Loaded) -> Result<(), Errors> {
    let (wrong, odd) = judged(&loaded.config);
    loaded.warn(odd);
    loaded.errors(wrong).map_or(Ok(()), Err)
}

/// What is wrong, and what is odd.
#[cfg(any(feature = "kafka", feature = "pubsub"))]
fn judged(config: &Config) -> (Vec<Found>, Vec<Found>) {
    let (mut wrong, mut odd) = (Vec::new(), Vec::new());
    for (name, broker) in &config.brokers {
        let (errors, warnings) = match broker {
            #[cfg(feature = "kafka")]
            Broker::Kafka(settings) => (kafka_errors(name, settings, &config.service), Vec::new()),
            #[cfg(feature = "pubsub")]
            Broker::Pubsub(settings) => {
                (pubsub::errors(name, settings), pubsub::warnings(name, settings, config))
            }
            // The embedded driver takes all that validates.
            _ => (Vec::new(), Vec::new()),
        };
        wrong.extend(errors);
        odd.extend(warnings);
    }
    (wrong, odd)
}

#[cfg(not(any(feature = "kafka", feature = "pubsub")))]
fn judged(_: &Config) -> (Vec<Found>, Vec<Found>) {
    (Vec::new(), Vec::new())
}

#[cfg(feature = "kafka")]
fn kafka_errors(name: &str, settings: &::config::Kafka, service: &str) -> Vec<Found> {
    let Err(kafka::BadSettings(list)) = kafka_settings(settings, service).check() else { return Vec::new() };
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
        structured: settings.content_mode == ::config::ContentMode::Structured,
        client_id: format!("postrider-{service}"),
        ..kafka::Settings::new(settings.bootstrap_servers.clone())
    }
}

/// Opens the drivers of all brokers in use.
pub(super) async fn open(config: &Config) -> Result<Drivers, Failure> {
    let missing = missing_drivers(config);
    if !missing.is_empty() {
        return Err(Failure::usage(missing.join("\n")));
    }
    let mut drivers = Drivers::new();
    for (name, broker) in used(config) {
        let driver: Arc<dyn Driver> = match broker {
            #[cfg(feature = "embedded")]
            Broker::Embedded(settings) => open_embedded(name, settings)?,
            #[cfg(feature = "kafka")]
            Broker::Kafka(settings) => open_kafka(name, settings, &config.service)?,
            #[cfg(feature = "pubsub")]
            Broker::Pubsub(settings) => pubsub::open(name, settings).await?,
            // Refused before the first was opened.
            #[cfg(not(all(feature = "embedded", feature = "kafka", feature = "pubsub")))]
            other => {
                let message = format!("brokers.{name}: this build has no {} driver", other.kind());
                return Err(Failure::usage(message));
            }
        };
        drivers.insert(name.to_owned(), driver);
    }
    Ok(drivers)
}

#[cfg(feature = "embedded")]
fn open_embedded(name: &str, settings: &::config::Embedded) -> Result<Arc<dyn Driver>, Failure> {
    let config = embedded::Config {
        max_bytes_per_topic: settings.max_bytes_per_topic.bytes(),
        reserve: settings.reserve.bytes(),
        retention_age: settings.retention.age.get(),
        retention_bytes: settings.retention.size.bytes(),
        ..embedded::Config::new(&settings.path)
    };
    match embedded::Embedded::open(config) {
        Ok(driver) => Ok(driver),
        Err(error) => Err(Failure::failed(format!("broker {name}: {error}"))),
    }
}

#[cfg(feature = "kafka")]
fn open_kafka(name: &str, settings: &::config::Kafka, service: &str) -> Result<Arc<dyn Driver>, Failure> {
    match kafka::Kafka::new(kafka_settings(settings, service)) {
        Ok(driver) => Ok(driver),
        Err(error) => Err(Failure::failed(format!("broker {name}: {error}"))),
    }
}
