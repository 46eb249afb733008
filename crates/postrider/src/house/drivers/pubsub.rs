//! Pub/Sub, as it is configured.

use std::path::PathBuf;
use std::sync::Arc;

use ::config::{Config, ContentMode, Ordering, Path, Pubsub};
use ::pubsub::{Credentials, Settings};
use broker::Driver;

use super::Found;
use crate::failure::Failure;

fn settings(pubsub: &Pubsub) -> Settings {
    Settings {
        endpoint: pubsub.endpoint.clone(),
        emulator: pubsub.emulator.clone(),
        credentials: match &pubsub.credentials.file {
            Some(file) => Credentials::File(PathBuf::from(file)),
            None => Credentials::Default,
        },
        create: pubsub.create,
        labels: pubsub.labels.clone(),
        retention: pubsub.retention.get(),
        topic_retention: pubsub.topic_retention.map(::config::Duration::get),
        lease: pubsub.lease.extension.get(),
        lease_max: pubsub.lease.max.get(),
        streams: pubsub.streams,
        linger: pubsub.linger.get(),
        exactly_once: pubsub.exactly_once,
        structured: pubsub.content_mode == ContentMode::Structured,
        ..Settings::new(&pubsub.project)
    }
}

/// The configuration's key of a setting of the driver's.
fn key(setting: &str) -> Vec<&str> {
    match setting {
        "lease" => vec!["lease", "extension"],
        "lease_max" => vec!["lease", "max"],
        other => vec![other],
    }
}

fn path(broker: &str, keys: &[&str]) -> Path {
    Path::of(&[&["brokers", broker, "pubsub"], keys].concat())
}

pub(super) fn errors(name: &str, pubsub: &Pubsub) -> Vec<Found> {
    let wrong = settings(pubsub).check();
    wrong.into_iter().map(|(setting, why)| (path(name, &key(setting)), why)).collect()
}

/// Order per key holds among publishers that reach one region: told of topics that are read in order, and on this broker
/// or there after a switch.
pub(super) fn warnings(name: &str, pubsub: &Pubsub, config: &Config) -> Vec<Found> {
    if settings(pubsub).is_regional() {
        return Vec::new();
    }
    let ordered = config.subscriptions.values().filter(|subscription| subscription.ordering == Ordering::Key);
    let mut topics: Vec<&str> = ordered.map(|subscription| subscription.topic.as_str()).collect();
    topics.retain(|topic| config.may_be_on(topic, name));
    topics.sort_unstable();
    topics.dedup();
    if topics.is_empty() {
        return Vec::new();
    }
    let message = format!(
        "order per key holds only among publishers of one region, and no region is named: write `endpoint: \
         https://REGION-pubsub.googleapis.com` (read in order: {})",
        topics.join(", ")
    );
    vec![(path(name, &[]), message)]
}

pub(super) async fn open(name: &str, pubsub: &Pubsub) -> Result<Arc<dyn Driver>, Failure> {
    match ::pubsub::Pubsub::new(settings(pubsub)).await {
        Ok(driver) => Ok(driver),
        Err(error) => Err(Failure::failed(format!("broker {name}: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(keys: &str) -> Result<::config::Loaded, ::config::Errors> {
        let text = format!(
            "version: 1\nservice: orders\nbrokers: {{ main: {{ pubsub: {{ project: shop, {keys} }} }} }}\n"
        );
        ::config::parse(&[::config::Source { name: "t".into(), text }], &|_| None)
    }

    fn pubsub(config: &Config) -> &Pubsub {
        let ::config::Broker::Pubsub(pubsub) = &config.brokers["main"] else { panic!("another kind") };
        pubsub
    }

    #[test]
    fn what_is_left_out_is_the_drivers_default() {
        let loaded = load("").expect("a project is enough");
        let default = format!("{:?}", Settings::new("shop"));
        assert_eq!(format!("{:?}", settings(pubsub(&loaded.config))), default);
    }

    #[test]
    fn the_configuration_and_the_driver_have_the_same_bounds() {
        for (key, least, most, below, beyond) in [
            ("retention: X", "10m", "31d", "599s", "745h"),
            ("topic_retention: X", "10m", "31d", "599s", "745h"),
            ("lease: { extension: X }", "10s", "10m", "9s", "601s"),
            ("lease: { max: X }", "1m", "24h", "59s", "25h"),
            ("linger: X", "0s", "1s", "0s", "1001ms"),
            ("streams: X", "1", "32", "0", "33"),
        ] {
            for good in [least, most] {
                let loaded = load(&key.replace('X', good)).unwrap_or_else(|errors| panic!("{errors}"));
                assert_eq!(errors("main", pubsub(&loaded.config)), [], "{key} as {good}");
            }
            for bad in [below, beyond].into_iter().filter(|bad| *bad != least) {
                assert!(load(&key.replace('X', bad)).is_err(), "{key} as {bad}");
            }
        }
    }

    #[test]
    fn what_the_driver_finds_wrong_is_told_at_its_key() {
        let mut loaded = load("lease: { max: 1h }, labels: { team: shop }").expect("it is right");
        let Some(::config::Broker::Pubsub(broken)) = loaded.config.brokers.get_mut("main") else { panic!() };
        broken.lease.max = ::config::Duration::from_secs(25 * 3600);
        broken.labels.insert("Team".into(), "shop".into());
        let paths: Vec<String> =
            errors("main", pubsub(&loaded.config)).iter().map(|(path, _)| path.to_string()).collect();
        assert_eq!(paths, ["brokers.main.pubsub.lease.max", "brokers.main.pubsub.labels"]);
    }

    #[test]
    fn topics_read_in_order_want_a_region() {
        let warned = |endpoint: &str, broker: &str, ordering: &str| {
            let text = format!(
                "version: 1\nservice: orders\nbroker: local\nbrokers:\n  main: {{ pubsub: {{ project: shop{endpoint} }} }}\n  \
                 local: {{ embedded: {{ path: ./data }} }}\ntopics: {{ created: {{ {broker} }} }}\nsubscriptions: {{ billing: {{ topic: created, \
                 to: \"http://localhost/\", ordering: {ordering} }} }}\n"
            );
            let mut loaded = ::config::parse(&[::config::Source { name: "t".into(), text }], &|_| None)
                .unwrap_or_else(|errors| panic!("{errors}"));
            super::super::check(&mut loaded).unwrap_or_else(|errors| panic!("{errors}"));
            loaded.warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let told = warned("", "", "key");
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("t:5:11: brokers.main.pubsub: order per key"), "{told:?}");
        assert!(told[0].ends_with("(read in order: created)"), "{told:?}");
        let region = ", endpoint: \"https://europe-west1-pubsub.googleapis.com\"";
        assert_eq!(warned(region, "", "key"), Vec::<String>::new());
        assert_eq!(warned("", "", "none"), Vec::<String>::new());
        assert_eq!(
            warned("", "broker: local", "key"),
            Vec::<String>::new(),
            "it never comes to be on Pub/Sub"
        );
    }
}
