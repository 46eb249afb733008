//! Each rule across the tree, by the one change that breaks it: what is said, and where.

mod addresses;
mod letters;
mod names;
mod pubsub;
mod syntax;
mod values;
mod warnings;

use postrider_config::{Loaded, Source, parse};

const BASE: &str = "\
version: 1
service: orders
broker: local
brokers:
  local: { embedded: { path: ./data } }
  kafka: { kafka: { bootstrap_servers: [\"kafka:9093\"] } }
topics:
  orders.created: { types: [order.created] }
  orders.paid: {}
subscriptions:
  billing:
    topic: orders.created
    to: http://127.0.0.1:8080/events
";

fn load(text: &str) -> Result<Loaded, String> {
    let source = Source { name: "t".to_owned(), text: text.to_owned() };
    let refused = |errors: postrider_config::Errors| {
        let one = |error: &postrider_config::Error| {
            let place = error
                .place
                .as_ref()
                .map_or_else(String::new, |place| format!("{}:{}", place.line, place.column));
            format!("{place} {} {}: {}", error.code, error.path, error.message)
        };
        errors.list.iter().map(one).collect::<Vec<_>>().join("\n")
    };
    parse(&[source], &|_| None).map_err(refused)
}

/// The base with one text replaced is refused, for exactly these reasons.
#[track_caller]
fn refused(from: &str, to: &str, expected: &str) {
    assert!(BASE.contains(from), "the base has no {from:?}");
    let text = BASE.replacen(from, to, 1);
    let said = load(&text).map_or_else(|said| said, |_| "it loads".to_owned());
    assert_eq!(said, expected, "\n{text}");
}

#[track_caller]
fn warned(from: &str, to: &str, expected: &[&str]) {
    let text = BASE.replacen(from, to, 1);
    let loaded = load(&text).unwrap_or_else(|said| panic!("{said}"));
    let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings, expected, "\n{text}");
}

#[test]
fn the_base_is_right() {
    warned("", "", &[]);
}

#[test]
fn what_is_missing_is_named_where_it_belongs() {
    refused("service: orders\n", "", "1:1 config_missing_key service: the key `service` is missing");
    refused(
        "version: 1",
        "version: 2",
        "1:10 config_bad_value version: this release reads version 1, and this is version 2",
    );
    refused(
        "broker: local\n",
        "",
        "1:1 config_missing_key broker: the key `broker` is missing, and there are several brokers",
    );
    refused(
        "    topic: orders.created\n",
        "",
        "11:3 config_missing_key subscriptions.billing.topic: the key `topic` is missing",
    );
    refused(
        "  orders.paid: {}",
        "  orders.paid:",
        "9:3 config_missing_key topics.\"orders.paid\": `orders.paid` is empty",
    );
    refused(
        "service: orders",
        "servce: orders",
        "2:1 config_unknown_key servce: there is no key `servce` here",
    );
}
