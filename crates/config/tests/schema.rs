//! The committed schema is the code's, and accepts what the loader accepts.

mod judge;

use std::path::{Path, PathBuf};

use postrider_config as config;
use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config")
}

#[test]
fn the_committed_schema_is_the_one_of_this_code() {
    let committed = std::fs::read_to_string(folder().join("postrider.schema.json")).unwrap_or_default();
    assert!(
        committed == config::schema(),
        "config/postrider.schema.json is stale: write what `postrider schema` prints to it"
    );
}

#[test]
fn the_schema_accepts_every_example() {
    let schema: Value = serde_json::from_str(&config::schema()).expect("the schema is JSON");
    let mut examples = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let text = std::fs::read_to_string(&path).unwrap();
            let value: Value = serde_saphyr::from_str(&text).unwrap();
            assert_eq!(judge::complaints(&schema, &value), Vec::<String>::new(), "{}", path.display());
            examples += 1;
        }
    }
    assert!(examples >= 2, "the examples are not where this test looks");
}

#[test]
fn the_schema_refuses_what_the_loader_refuses() {
    let schema: Value = serde_json::from_str(&config::schema()).expect("the schema is JSON");
    let good: Value = serde_saphyr::from_str(include_str!("whole.yaml")).unwrap();
    assert_eq!(judge::complaints(&schema, &good), Vec::<String>::new());
    for (pointer, bad) in [
        ("/version", Value::from(2)),
        ("/topics/orders.created/key", Value::from("Order ID")),
        ("/subscriptions/billing/timeout", Value::from("30")),
        ("/subscriptions/billing/concurrency", Value::from(0)),
        ("/subscriptions/billing/ordering", Value::from("keys")),
        ("/brokers/local/embedded/reserve", Value::from("256MB")),
        ("/brokers/local", serde_json::json!({ "rabbit": {} })),
        ("/brokers/local", serde_json::json!({ "embedded": { "path": "a" }, "pubsub": { "project": "b" } })),
        ("/listen/app", Value::from("3500")),
    ] {
        let mut document = good.clone();
        *document.pointer_mut(pointer).expect("the whole example has every key") = bad.clone();
        assert!(!judge::complaints(&schema, &document).is_empty(), "the schema takes {bad} at {pointer}");
    }
}
