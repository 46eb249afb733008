//! A Pub/Sub broker beside others: its keys, names that it has to take, and the environment's emulator.

use postrider_config::{Broker, Loaded, SetBy, Source, parse};

use super::{BASE, load};

/// The base with Pub/Sub beside the other brokers, and these of its keys.
fn with_pubsub(keys: &str) -> String {
    BASE.replace("topics:\n", &format!("  google: {{ pubsub: {{ {keys} }} }}\ntopics:\n"))
}

#[test]
fn what_pubsub_takes_is_judged_key_by_key() {
    for (keys, expected) in [
        (
            "project: My_Project",
            "7:32 config_bad_value brokers.google.pubsub.project: `My_Project` is no project's id",
        ),
        (
            "project: p, endpoint: europe-west1-pubsub.googleapis.com",
            "7:45 config_bad_value brokers.google.pubsub.endpoint: `europe-west1-pubsub.googleapis.com` is no endpoint of the service",
        ),
        (
            "project: p, endpoint: \"http://europe-west1-pubsub.googleapis.com\"",
            "7:45 config_bad_value brokers.google.pubsub.endpoint: `http://europe-west1-pubsub.googleapis.com` is no endpoint of the service",
        ),
        (
            "project: p, emulator: localhost",
            "7:45 config_bad_value brokers.google.pubsub.emulator: `localhost` is no address of an emulator",
        ),
        (
            "project: p, credentials: { file: \"\" }",
            "7:56 config_bad_value brokers.google.pubsub.credentials.file: the path is empty",
        ),
        (
            "project: p, labels: { team: shop, Team: shop }",
            "7:57 config_bad_value brokers.google.pubsub.labels.Team: a label's key has up to 63 of a-z, 0-9, `_` and `-`, a letter first",
        ),
        (
            "project: p, retention: 32d, topic_retention: 9m",
            "7:46 config_bad_value brokers.google.pubsub.retention: `retention` must be between 10m and 31d\n\
             7:68 config_bad_value brokers.google.pubsub.topic_retention: `topic_retention` must be between 10m and 31d",
        ),
        (
            "project: p, lease: { extension: 9s, max: 25h }, streams: 33, linger: 2s",
            "7:55 config_bad_value brokers.google.pubsub.lease.extension: `extension` must be between 10s and 10m\n\
             7:64 config_bad_value brokers.google.pubsub.lease.max: `max` must be between 1m and 1d\n\
             7:80 config_bad_value brokers.google.pubsub.streams: `streams` must be between 1 and 32\n\
             7:92 config_bad_value brokers.google.pubsub.linger: `linger` must be between 0s and 1s",
        ),
        (
            "project: p, lease: { extension: 61s, max: 1m }",
            "7:55 config_conflict brokers.google.pubsub.lease.extension: `extension` must not be longer than `max`",
        ),
        ("project: p, lease: { extension: 60s, max: 1m }", "it loads"),
        ("project: \"example.com:shop\", emulator: \"[::1]:8085\", labels: { team: \"\" }", "it loads"),
    ] {
        let said = load(&with_pubsub(keys)).map_or_else(|said| said, |_| "it loads".to_owned());
        assert_eq!(said, expected, "{keys}");
    }
}

#[test]
fn names_are_judged_on_brokers_that_are_not_in_use_too() {
    let text = with_pubsub("project: p");
    let said = |from: &str, to: &str| {
        assert!(text.contains(from), "the base has no {from:?}");
        load(&text.replacen(from, to, 1)).map_or_else(|said| said, |_| "it loads".to_owned())
    };
    assert_eq!(
        said("service: orders", "service: google"),
        "12:3 config_bad_name subscriptions.billing: Pub/Sub does not take its durable name: it must not begin with `goog`"
    );
    assert_eq!(
        said("orders.paid: {}", "goods: { names: { google: projects/shop/topics/goods } }"),
        "it loads",
        "another project's topic"
    );
    assert_eq!(
        said("orders.paid: {}", "orders.paid: { names: { kafka: orders.billing.dead-letter } }"),
        "12:3 config_conflict subscriptions.billing: topic `orders.paid` has the name of the dead-letter topic on broker `kafka`",
        "the switch to Kafka would fail"
    );
    assert_eq!(
        said(
            "orders.paid: {}",
            "orders.paid: { broker: local, names: { kafka: orders.billing.dead-letter } }"
        ),
        "it loads",
        "it never comes to be on Kafka"
    );
}

/// The base with these keys of Pub/Sub, where the environment has the one variable.
fn in_environment(keys: &str, variable: &str) -> Result<Loaded, postrider_config::Errors> {
    let source = Source { name: "t".to_owned(), text: with_pubsub(keys) };
    parse(&[source], &|name| (name == "PUBSUB_EMULATOR_HOST").then(|| variable.to_owned()))
}

/// The emulator, what set it, and the warnings.
fn emulator(keys: &str, variable: &str) -> (Option<String>, Option<SetBy>, Vec<String>) {
    let loaded = in_environment(keys, variable).unwrap_or_else(|errors| panic!("{errors}"));
    let Broker::Pubsub(pubsub) = &loaded.config.brokers["google"] else { panic!("no Pub/Sub") };
    let mut lines = loaded.merged.lines.iter();
    let line = lines.find(|line| line.text.trim_start().starts_with("emulator:"));
    let warnings = loaded.warnings.iter().map(ToString::to_string).collect();
    (pubsub.emulator.clone(), line.map(|line| line.set_by.clone()), warnings)
}

#[test]
fn the_environment_names_an_emulator_where_the_files_do_not() {
    let (found, set_by, warnings) = emulator("project: p", "localhost:8085");
    assert_eq!(found.as_deref(), Some("localhost:8085"));
    assert_eq!(set_by, Some(SetBy::Environment("PUBSUB_EMULATOR_HOST")));
    assert_eq!(
        warnings,
        [
            "brokers.google.pubsub.emulator: `PUBSUB_EMULATOR_HOST` is set: the emulator at localhost:8085 is used \
          instead of the service, without TLS and credentials"
        ]
    );
    let (found, set_by, warnings) = emulator("project: p, emulator: \"[::1]:8086\"", "localhost:8085");
    assert_eq!(found.as_deref(), Some("[::1]:8086"), "the files win");
    assert!(matches!(set_by, Some(SetBy::File(_))), "{set_by:?}");
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(emulator("project: p", ""), (None, None, Vec::new()), "an empty variable says nothing");
}

#[test]
fn a_variable_that_names_no_emulator_is_an_error_that_names_it() {
    let shown = in_environment("project: p", "http://here/").expect_err("it loaded").to_string();
    assert!(shown.contains("the environment variable `PUBSUB_EMULATOR_HOST` is not HOST:PORT"), "{shown}");
    assert!(shown.contains("--> t:7:13"), "it is marked at its broker: {shown}");
}
