//! What can be known to be wrong before a broker is reached.

use rdkafka::ClientConfig;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::producer::BaseProducer;

use super::names::{canonical, is_secret};
use super::refused::{OF_THE_BROKER_IN_KIP_848, refused_property, refused_value};
use super::{BATCH_BYTES, BadSettings, Settings};
use crate::context::Context;

pub(super) fn check(settings: &Settings) -> Result<(), BadSettings> {
    let mut bad = Vec::new();
    for (name, value) in &settings.properties {
        if let Some(reason) = property(settings, name, value) {
            bad.push((name.clone(), reason));
        }
    }
    if bad.is_empty() {
        together(settings, &mut bad);
    }
    if bad.is_empty() { Ok(()) } else { Err(BadSettings(bad)) }
}

/// Why a property cannot be set, alone.
fn property(settings: &Settings, name: &str, value: &str) -> Option<String> {
    if let Some(reason) = refused_property(name).or_else(|| refused_value(name, value)) {
        return Some(reason.into());
    }
    if settings.is_kip_848() && OF_THE_BROKER_IN_KIP_848.contains(&name) {
        return Some(
            "with group.protocol consumer (KIP-848) the broker sets it, and refuses it from clients".into(),
        );
    }
    let twice = canonical(name) != name && settings.properties.contains_key(canonical(name));
    if twice {
        return Some(format!(
            "it is another name of {}, which is set too: leave one of them",
            canonical(name)
        ));
    }
    // librdkafka's sentence quotes the value where it is one of a list, and may speak of another name of the property.
    match ClientConfig::new().set(name, value).create_native_config() {
        Ok(_) => None,
        Err(KafkaError::ClientConfig(_, sentence, ..)) if sentence.contains(name) && !is_secret(name) => {
            Some(sentence)
        }
        Err(_) => Some("librdkafka does not take its value".into()),
    }
}

/// What only shows when a client is made: properties that exclude each other, files that cannot be read. Without a
/// broker to reach, it reaches for none.
fn together(settings: &Settings, bad: &mut Vec<(String, String)>) {
    let mut producer = settings.producer(BATCH_BYTES);
    let mut consumer = settings.consumer("check");
    let made = [
        make::<BaseProducer<Context>>(producer.remove("bootstrap.servers")),
        make::<BaseConsumer<Context>>(consumer.remove("bootstrap.servers")),
    ];
    for error in made.into_iter().filter_map(Result::err) {
        let reason = match error {
            KafkaError::ClientCreation(reason) => reason,
            other => other.to_string(),
        };
        // librdkafka names the property in its sentence; it is told beside the first that stands in it.
        let named = settings.properties.keys().find(|name| reason.contains(*name));
        let told = (named.cloned().unwrap_or_default(), reason);
        if !bad.contains(&told) {
            bad.push(told);
        }
    }
}

fn make<T: FromClientConfigAndContext<Context>>(config: &ClientConfig) -> KafkaResult<()> {
    config.create_with_context::<Context, T>(Context::default()).map(drop)
}
