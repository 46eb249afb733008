//! The example files load, and mean what they say.

use std::path::{Path, PathBuf};
use std::time::Duration;

use postrider_config::{BrokerKind, Key, Loaded, load};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config")
}

fn example(name: &str) -> Loaded {
    layered(&[name])
}

fn layered(names: &[&str]) -> Loaded {
    let files: Vec<PathBuf> = names.iter().map(|name| folder().join(name)).collect();
    load(&files, &|_| None).unwrap_or_else(|errors| panic!("{names:?}:\n{errors}"))
}

#[test]
fn the_first_example_is_one_service_on_the_embedded_broker() {
    let Loaded { config, warnings, merged, .. } = example("embedded.yaml");
    assert_eq!(warnings, [], "an example warns of nothing");
    assert_eq!(config.service, "orders");
    assert_eq!(config.default_broker(), "local");
    assert_eq!(config.brokers["local"].kind(), BrokerKind::Embedded);
    assert_eq!(config.topics["orders.created"].key, Some(Key::Subject));
    let billing = &config.subscriptions["billing"];
    let webhook = config.webhook(billing).expect("a whole URL needs no app");
    assert_eq!(webhook.to_string(), "http://127.0.0.1:8080/events/orders");
    assert_eq!(billing.retry.initial.get(), Duration::from_millis(200));
    assert_eq!(config.durable_name("billing"), "orders.billing");
    assert_eq!(config.dead_letter_topic("billing"), "orders.billing.dead-letter");
    println!("{merged}");
}

#[test]
fn an_overlay_of_one_line_chooses_the_stack_and_changes_nothing_else() {
    let loaded = ["primary", "secondary"].map(|stack| {
        let overlay = format!("overlays/{stack}.yaml");
        let Loaded { config, warnings, merged, .. } = layered(&["base.yaml", &overlay]);
        assert_eq!(warnings, [], "an example warns of nothing");
        assert_eq!(config.default_broker(), stack);
        assert_eq!(config.broker_of("orders.created"), stack);
        let written = std::fs::read_to_string(folder().join(&overlay)).unwrap();
        let lines = written.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        assert_eq!(lines.collect::<Vec<_>>(), [format!("broker: {stack}")]);
        let shown = merged.to_string();
        let (of_the_overlay, rest): (Vec<&str>, Vec<&str>) =
            shown.lines().partition(|line| line.contains(&overlay));
        assert_eq!(of_the_overlay.len(), 1, "{of_the_overlay:?}");
        (config, rest.join("\n"))
    });
    let [(primary, rest), (secondary, other_rest)] = loaded;
    assert_eq!(rest, other_rest);
    assert_eq!(primary.brokers["primary"].kind(), BrokerKind::Pubsub);
    assert_eq!(secondary.brokers["secondary"].kind(), BrokerKind::Kafka);
    for subscription in primary.subscriptions.keys() {
        assert_eq!(primary.durable_name(subscription), secondary.durable_name(subscription));
    }
}

#[test]
fn the_base_alone_chooses_no_stack() {
    let errors = load(&[folder().join("base.yaml")], &|_| None).expect_err("it loaded");
    assert_eq!(errors.list.len(), 1, "{errors}");
    assert_eq!(errors.list[0].path.to_string(), "broker");
}
