//! Names: what they may be, and that they lead somewhere.

use super::{BASE, load, refused};

#[test]
fn references_must_lead_somewhere() {
    refused(
        "broker: local",
        "broker: locl",
        "3:9 config_unknown_reference broker: no broker `locl` is configured",
    );
    refused(
        "topic: orders.created",
        "topic: orders.gone",
        "12:12 config_unknown_reference subscriptions.billing.topic: no topic `orders.gone` is configured",
    );
    refused(
        "orders.paid: {}",
        "orders.paid: { broker: nats, names: { rabbit: x } }",
        "9:26 config_unknown_reference topics.\"orders.paid\".broker: no broker `nats` is configured\n\
         9:41 config_unknown_reference topics.\"orders.paid\".names.rabbit: no broker `rabbit` is configured",
    );
    refused("topics:\n", "topisc:\n", "7:1 config_unknown_key topisc: there is no key `topisc` here");
}

#[test]
fn names_follow_the_rules_of_every_broker() {
    refused(
        "billing:",
        "billing/eu:",
        "11:3 config_bad_name subscriptions.\"billing/eu\": `billing/eu` is no name: it may have only A-Z, a-z, 0-9, `.`, `_` and `-`",
    );
    refused(
        "orders.paid: {}",
        "orders.paid: { names: { kafka: \"orders/paid\" } }",
        "9:34 config_bad_name topics.\"orders.paid\".names.kafka: broker `kafka` (kafka) has no such topic as `orders/paid`: it may have only A-Z, a-z, 0-9, `.`, `_` and `-`",
    );
    refused(
        "kafka: { kafka: { bootstrap_servers: [\"kafka:9093\"] } }\ntopics:\n",
        "google: { pubsub: { project: p } }\ntopics:\n  google.orders: {}\n",
        "8:3 config_bad_name topics.\"google.orders\": broker `google` (pubsub) has no such topic as `google.orders`: it must not begin with `goog`",
    );
    refused("broker: local", "broker: kafka", "it loads");
    refused(
        "orders.created: { ",
        "orders_created: { broker: kafka }\n  orders.created: { broker: local, ",
        "it loads",
    );
    refused(
        "orders.paid: {}",
        "orders_created: { broker: kafka }",
        "9:3 config_conflict topics.orders_created: Kafka cannot tell it from topic `orders.created`: in its metrics `.` and `_` are the same",
    );
    refused(
        "orders.paid: {}",
        "orders.paid: { broker: kafka }\n  orders_paid: { broker: kafka }",
        "10:3 config_conflict topics.orders_paid: Kafka cannot tell it from topic `orders.paid`: in its metrics `.` and `_` are the same",
    );
    let (long, shown) = ("x".repeat(101), "x".repeat(80));
    refused(
        "service: orders",
        &format!("service: {long}"),
        &format!("2:10 config_bad_name service: `{shown}…` is no name: it has 101 bytes, and may have 100"),
    );
}

#[test]
fn durable_names_are_bounded_and_unique() {
    let (service, subscription, prefix) = ("s".repeat(100), "b".repeat(100), "p".repeat(60));
    let text = BASE
        .replace("service: orders", &format!("service: {service}\nnames: {{ prefix: {prefix} }}"))
        .replace("billing:", &format!("{subscription}:"));
    let said = load(&text).expect_err("a durable name of 261 bytes was taken");
    assert!(
        said.contains("the durable name (prefix, service and subscription) has 261 bytes, and may have 235"),
        "{said}"
    );
    refused(
        "    to: http://127.0.0.1:8080/events\n",
        "    to: http://127.0.0.1:8080/events\n  billing.redrive: { topic: orders.paid, to: \"http://localhost/\" }\n",
        "14:3 config_conflict subscriptions.\"billing.redrive\": subscription `billing` would have the same durable name, its own or its redrive's",
    );
}

#[test]
fn events_of_a_type_go_to_one_topic() {
    refused(
        "orders.paid: {}",
        "orders.paid: { types: [order.created] }",
        "9:26 config_conflict topics.\"orders.paid\".types[0]: events of type `order.created` go to topic `orders.created` already",
    );
}
