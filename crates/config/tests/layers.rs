//! Several files, anchors, references to outside, and what is shown of them.

use postrider_config::{Loaded, SetBy, Source, parse};

fn env(name: &str) -> Option<String> {
    (name == "PASSWORD").then(|| "canary-4711".to_owned())
}

fn load(files: &[(&str, &str)]) -> Loaded {
    let sources: Vec<Source> = files
        .iter()
        .map(|(name, text)| Source { name: (*name).to_owned(), text: (*text).to_owned() })
        .collect();
    parse(&sources, &env).unwrap_or_else(|errors| panic!("{errors}"))
}

fn errors(files: &[(&str, &str)]) -> String {
    let sources: Vec<Source> = files
        .iter()
        .map(|(name, text)| Source { name: (*name).to_owned(), text: (*text).to_owned() })
        .collect();
    parse(&sources, &env).expect_err("it loaded").to_string()
}

const BASE: &str = "\
version: 1
service: orders
brokers:
  local: { embedded: { path: ./data } }
  secondary: { kafka: { bootstrap_servers: [\"kafka:9093\"], properties: { acks: all, sasl.password: \"${env:PASSWORD}\" } } }
broker: local
topics: { orders.created: { key: subject } }
subscriptions:
  billing: { topic: orders.created, to: \"http://127.0.0.1:8080/\", timeout: 10s }
";

#[test]
fn later_files_win_and_every_value_knows_its_file() {
    let over = "broker: secondary\nsubscriptions: { billing: { timeout: 20s } }\ntopics: { orders.created: { key: null } }\n";
    let loaded = load(&[("base.yaml", BASE), ("over.yaml", over)]);
    let config = &loaded.config;
    assert_eq!(config.default_broker(), "secondary");
    assert_eq!(config.subscriptions["billing"].timeout.to_string(), "20s");
    assert_eq!(
        config.subscriptions["billing"].topic, "orders.created",
        "what the overlay does not say stays"
    );
    assert_eq!(config.topics["orders.created"].key, None, "null removes");
    let line = |start: &str| {
        let line = loaded.merged.lines.iter().find(|line| line.text.trim_start().starts_with(start));
        match &line.unwrap_or_else(|| panic!("no line {start}")).set_by {
            SetBy::File(place) => place.to_string(),
            other => format!("{other:?}"),
        }
    };
    assert_eq!(line("broker:"), "over.yaml:1:9");
    assert_eq!(line("timeout:"), "over.yaml:2:38");
    assert_eq!(line("service:"), "base.yaml:2:10");
    assert_eq!(line("concurrency:"), "Default");
}

#[test]
fn what_comes_from_outside_is_told_by_its_name() {
    let text = BASE
        .replace("service: orders", "service: orders\nnames: { prefix: \"${env:STAGE:-canary}.\" }")
        .replace("[\"kafka:9093\"]", "[\"${env:PASSWORD}:1\", \"kafka:9093\"]");
    let shown = load(&[("base.yaml", &text)]).merged.to_string();
    let comment = |start: &str| {
        let line = shown.lines().find(|line| line.trim_start().starts_with(start));
        line.and_then(|line| line.split_once("  # ")).unwrap_or_else(|| panic!("no {start}\n{shown}")).1
    };
    assert_eq!(comment("prefix:"), "base.yaml:3:18, ${env:STAGE:-…}");
    assert_eq!(comment("bootstrap_servers:"), "base.yaml:6:44, ${env:PASSWORD}");
    assert_eq!(comment("sasl.password:"), "base.yaml:6:121, ${env:PASSWORD}");
    assert!(!shown.contains("canary"), "a default may be as secret as the value:\n{shown}");
}

#[test]
fn an_overlay_removes_whole_entries() {
    let loaded = load(&[("base.yaml", BASE), ("over.yaml", "subscriptions: { billing: null }\n")]);
    assert!(loaded.config.subscriptions.is_empty());
}

#[test]
fn an_overlay_makes_another_kind_of_a_broker() {
    let over = "brokers: { local: { embedded: null, kafka: { bootstrap_servers: [\"${env:PASSWORD}:1\"] } }, secondary: null }\n";
    let config = load(&[("base.yaml", BASE), ("over.yaml", over)]).config;
    let kinds: Vec<_> =
        config.brokers.iter().map(|(name, broker)| (name.as_str(), broker.kind().as_str())).collect();
    assert_eq!(kinds, [("local", "kafka")]);
}

#[test]
fn a_reference_that_an_overlay_replaces_is_never_looked_up() {
    let base = BASE.replace("timeout: 10s", "timeout: \"${env:NOWHERE}\"");
    let over = "subscriptions: { billing: { timeout: 20s } }\n";
    let config = load(&[("base.yaml", &base), ("over.yaml", over)]).config;
    assert_eq!(config.subscriptions["billing"].timeout.to_string(), "20s");
}

#[test]
fn an_error_names_the_file_that_makes_it() {
    let shown =
        errors(&[("base.yaml", BASE), ("over.yaml", "subscriptions: { billing: { topic: orders.gone } }\n")]);
    assert!(shown.contains("--> over.yaml:1:36"), "{shown}");
}

#[test]
fn secrets_are_used_and_never_shown() {
    let config = load(&[("base.yaml", BASE)]).config;
    let shown = [
        format!("{config:?}"),
        config.redacted().to_string(),
        load(&[("base.yaml", BASE)]).merged.to_string(),
        errors(&[("base.yaml", &BASE.replace("path: ./data", "path: ./data, reserve: \"${env:PASSWORD}\""))]),
        errors(&[("base.yaml", &BASE.replace("broker: local", "broker: \"${env:PASSWORD}\""))]),
        errors(&[("base.yaml", &BASE.replace("service: orders", "service: \"${env:PASSWORD}/\""))]),
    ];
    for text in shown {
        assert!(!text.contains("canary"), "a secret is shown: {text}");
        assert!(text.contains("***") || text.contains("${env:PASSWORD}"), "{text}");
    }
    let postrider_config::Broker::Kafka(kafka) = &config.brokers["secondary"] else { panic!("no Kafka") };
    assert_eq!(kafka.properties["sasl.password"].expose(), "canary-4711");
    assert_eq!(config.redacted()["subscriptions"]["billing"]["timeout"], "10s", "only secrets are hidden");
}

#[test]
fn values_from_outside_are_hidden_wherever_they_stand() {
    let text = BASE.replace("service: orders", "service: orders\nnames: { prefix: \"${env:STAGE:-dev}.\" }");
    let config = load(&[("base.yaml", &text)]).config;
    assert_eq!(config.durable_name("billing"), "dev.orders.billing");
    assert_eq!(config.dead_letter_topic("billing"), "dev.orders.billing.dead-letter");
    assert_eq!(config.redacted()["names"]["prefix"], "***");
}

#[test]
fn numbers_may_come_from_outside() {
    let text = BASE.replace("timeout: 10s", "timeout: 10s, concurrency: \"${env:WIDE:-7}\"");
    assert_eq!(load(&[("base.yaml", &text)]).config.subscriptions["billing"].concurrency, 7);
}

#[test]
fn names_on_brokers_follow_the_configuration() {
    let text = BASE.replace("{ key: subject }", "{ key: subject, names: { secondary: shop-orders } }");
    let config = load(&[("base.yaml", &text)]).config;
    assert_eq!(config.topic_on_broker("orders.created", "local"), "orders.created");
    assert_eq!(config.topic_on_broker("orders.created", "secondary"), "shop-orders");
    assert_eq!(config.broker_of("orders.created"), "local");
    assert_eq!(config.redrive_name("billing"), "orders.billing.redrive");
}

#[test]
fn a_path_is_below_the_app() {
    let text = BASE
        .replace("http://127.0.0.1:8080/\"", "/events?x=1\"")
        .replace("service: orders", "service: orders\napp: { url: \"http://localhost:8080/base/\" }");
    let config = load(&[("base.yaml", &text)]).config;
    let webhook = config.webhook(&config.subscriptions["billing"]).expect("there is an app");
    assert_eq!(webhook.to_string(), "http://localhost:8080/base/events?x=1");
}
