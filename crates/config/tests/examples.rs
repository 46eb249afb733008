//! The example files load, and mean what they say.

use std::path::{Path, PathBuf};
use std::time::Duration;

use postrider_config::{BrokerKind, Key, Loaded, load};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config")
}

fn example(name: &str) -> Loaded {
    load(&[folder().join(name)], &|_| None).unwrap_or_else(|errors| panic!("{name}:\n{errors}"))
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
