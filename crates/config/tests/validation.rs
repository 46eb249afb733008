//! Each rule across the tree, by the one change that breaks it: what is said, and where.

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
    refused("orders.paid: {}", "orders_created: { broker: kafka }\n  orders.created.x: {}", "it loads");
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
        said.contains("the durable name (prefix, service and subscription) has 261 bytes, and may have 237"),
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

#[test]
fn only_loopback_and_listed_hosts_are_called() {
    refused(
        "http://127.0.0.1:8080/events",
        "http://payments:8080/events",
        "13:9 config_conflict subscriptions.billing.to: `http://payments:8080` is neither loopback nor listed in `webhooks.allow`",
    );
    refused(
        "http://127.0.0.1:8080/events",
        "http://payments/events\nwebhooks: { allow: [\"http://PAYMENTS:80\"] }",
        "it loads",
    );
    refused("http://127.0.0.1:8080/events", "\"http://[::1]:8080/\"", "it loads");
    refused(
        "http://127.0.0.1:8080/events",
        "http://0x7f.1/",
        "13:9 config_conflict subscriptions.billing.to: `http://0x7f.1:80` is neither loopback nor listed in `webhooks.allow`",
    );
    refused(
        "http://127.0.0.1:8080/events",
        "https://localhost/",
        "13:9 config_bad_value subscriptions.billing.to: `https://localhost/` is not a webhook: only http is spoken",
    );
    refused(
        "http://127.0.0.1:8080/events",
        "http://+[:]/",
        "13:9 config_bad_value subscriptions.billing.to: `http://+[:]/` is not a webhook: its host is neither a name nor an IP address",
    );
    refused(
        "http://127.0.0.1:8080/events",
        "http://me:pass@localhost/",
        "13:9 config_bad_value subscriptions.billing.to: `http://me:pass@localhost/` is not a webhook: it must hold no credentials",
    );
    refused(
        "http://127.0.0.1:8080/events",
        "/events",
        "13:9 config_missing_key subscriptions.billing.to: a path is below the app's URL, and there is no app",
    );
    refused(
        "service: orders",
        "service: orders\napp: { url: \"http://app:8080\", health: healthz }",
        "3:13 config_conflict app.url: `http://app:8080` is neither loopback nor listed in `webhooks.allow`\n\
         3:40 config_bad_value app.health: `healthz` is no path",
    );
}

#[test]
fn listeners_have_addresses_of_their_own() {
    for clash in ["localhost:3500", "127.0.0.1:3500", "0.0.0.0:3500", "[::]:3500"] {
        refused(
            "broker: local",
            &format!("listen: {{ admin: \"{clash}\" }}\nbroker: local"),
            "3:18 config_conflict listen.admin: the listeners `app` and `admin` have the same address",
        );
    }
    refused(
        "broker: local",
        "listen: { app: \"127.0.0.1:0\", admin: \"127.0.0.1:0\" }\nbroker: local",
        "it loads",
    );
    refused(
        "broker: local",
        "listen: { app: \"example.com:80\", admin: \"unix:\", health: \"localhost:70000\" }\nbroker: local",
        "3:16 config_bad_value listen.app: `example.com:80` is not an address to listen on: its host must be `localhost` or an IP address\n\
         3:41 config_bad_value listen.admin: `unix:` is not an address to listen on: its path is missing\n\
         3:58 config_bad_value listen.health: `localhost:70000` is not an address to listen on: its port must be between 0 and 65535",
    );
}

#[test]
fn dead_letters_go_elsewhere() {
    refused(
        "    topic: orders.created\n",
        "    topic: orders.created\n    dead_letter: { topic: orders.created }\n",
        "13:27 config_conflict subscriptions.billing.dead_letter.topic: dead letters must not go to the subscription's own topic",
    );
    refused(
        "orders.paid: {}",
        "orders.billing.dead-letter: {}",
        "11:3 config_conflict subscriptions.billing: a configured topic has the name of this subscription's dead letters",
    );
    refused("orders.paid: {}", "letters: { broker: kafka }", "it loads");
    let text = BASE
        .replace("orders.paid: {}", "letters: { broker: kafka }")
        .replace("    to:", "    dead_letter: { topic: letters }\n    to:");
    assert_eq!(
        load(&text).expect_err("dead letters were sent to another broker"),
        "13:27 config_conflict subscriptions.billing.dead_letter.topic: dead letters must stay on the topic's broker, `local`, and this topic is on `kafka`"
    );
}

/// The base with a second subscription, and these keys in the two.
fn two(billing: &str, shipping: &str) -> Result<Loaded, String> {
    let billing = BASE.replace("    to:", &format!("{billing}    to:"));
    load(&format!(
        "{billing}  shipping:\n    topic: orders.paid\n{shipping}    to: http://127.0.0.1:8080/paid\n"
    ))
}

#[test]
fn each_subscription_has_dead_letters_of_its_own() {
    let letters = "    dead_letter: { topic: letters }\n";
    assert_eq!(
        two(letters, letters).expect_err("two subscriptions share a dead-letter topic"),
        "17:27 config_conflict subscriptions.shipping.dead_letter.topic: subscription `billing` has the same dead-letter topic"
    );
    // What one writes may be the other's by default, whichever of the two comes first.
    let default = "    dead_letter: { topic: orders.billing.dead-letter }\n";
    assert_eq!(
        two("", default).expect_err("one has the other's default"),
        "16:27 config_conflict subscriptions.shipping.dead_letter.topic: subscription `billing` has the same dead-letter topic"
    );
    let default = "    dead_letter: { topic: orders.shipping.dead-letter }\n";
    assert_eq!(
        two(default, "").expect_err("one has the other's default"),
        "15:3 config_conflict subscriptions.shipping: subscription `billing` has the same dead-letter topic"
    );
    let other = "    dead_letter: { topic: more-letters }\n";
    two(letters, other).expect("each has its own");
    two("", "").expect("the defaults are apart");
}

#[test]
fn dead_letters_may_be_a_topic_that_others_read() {
    let billing = "    dead_letter: { topic: orders.paid }\n";
    let loaded = two(billing, "").expect("`shipping` reads what `billing` could not deliver");
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
}

#[test]
fn waits_grow() {
    refused(
        "    to:",
        "    retry: { initial: 10m }\n    breaker: { open_max: 500ms }\n    to:",
        "13:23 config_conflict subscriptions.billing.retry.initial: `initial` must not be longer than `max`\n\
         14:26 config_conflict subscriptions.billing.breaker.open_max: `open` must not be longer than `open_max`",
    );
    refused(
        "    to:",
        "    retry: { initial: 10m, max: soon }\n    to:",
        "13:33 config_bad_value subscriptions.billing.retry.max: `soon` is not a duration: it must begin with a whole number",
    );
}

#[test]
fn values_are_bounded_and_typed() {
    for (key, said) in [
        (
            "concurrency: 0",
            "18 config_bad_value subscriptions.billing.concurrency: `concurrency` must be between 1 and 10000",
        ),
        (
            "concurrency: many",
            "18 config_wrong_type subscriptions.billing.concurrency: this must be a whole number, and is `many`",
        ),
        (
            "breaker: { success_ratio: 1.5 }",
            "31 config_bad_value subscriptions.billing.breaker.success_ratio: `success_ratio` must be between 0 and 1",
        ),
        (
            "timeout: 30",
            "14 config_bad_value subscriptions.billing.timeout: `30` is not a duration: its unit is missing",
        ),
        (
            "timeout: [30s]",
            "5 config_wrong_type subscriptions.billing.timeout: this must be a duration, and is a list",
        ),
        (
            "answers: { 99: done }",
            "16 config_bad_value subscriptions.billing.answers.99: `99` is no status of an answer",
        ),
        (
            "service: 5",
            "14 config_wrong_type subscriptions.billing.service: this must be text, and is a number",
        ),
        (
            "mode: { batches: { max: 1 } }",
            "13 config_unknown_key subscriptions.billing.mode.batches: there is no key `batches` here",
        ),
        (
            "start: yesterday",
            "12 config_bad_value subscriptions.billing.start: `yesterday` is not a place to start: it is no RFC 3339 time with its offset",
        ),
        (
            "dead_letter: { max_rate: 100/h }",
            "30 config_bad_value subscriptions.billing.dead_letter.max_rate: `100/h` is not a rate: it must be `/s` or `/m`",
        ),
        (
            "filter: {}",
            "5 config_reserved subscriptions.billing.filter: `filter` is reserved: this release filters no events",
        ),
    ] {
        refused("    to:", &format!("    {key}\n    to:"), &format!("13:{said}"));
    }
}

#[test]
fn what_is_no_configuration_says_so() {
    for (text, said) in [
        ("a: [1\nb: 2", "config_syntax"),
        ("version: 1\n---\nversion: 1", "a second document"),
        ("service: !env NAME", "YAML tags mean nothing here"),
        ("service: *nobody", "no anchor `&nobody` stands above"),
        ("? [a]\n: b", "a key must be text"),
        ("just text", "this must be a map, and is text"),
        ("", "the key `service` is missing"),
        ("topics: { <<: 5 }", "`<<` takes a map or a list of maps, not a number"),
        (&"[".repeat(100), "config_syntax"),
    ] {
        let refused = load(text).expect_err(text);
        assert!(refused.contains(said), "{text}: {refused}");
    }
}

#[test]
fn aliases_of_aliases_do_not_fill_the_memory() {
    let mut text = "x-0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n".to_owned();
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("x-{level}: &a{level} [{aliases}]\n"));
    }
    let refused = load(&text).expect_err("a billion values were taken");
    assert!(refused.contains("more than 100,000 values"), "{refused}");
}

#[test]
fn aliases_do_not_nest_beyond_the_bound() {
    let mut text = "x-0: &a0 []\n".to_owned();
    for level in 1..40 {
        text.push_str(&format!("x-{level}: &a{level} [[[[*a{}]]]]\n", level - 1));
    }
    let refused = load(&text).expect_err("160 levels were taken");
    assert!(refused.contains("nested too deeply"), "{refused}");
}

#[test]
fn the_odd_is_told_and_obeyed() {
    warned(
        "    to:",
        "    concurrency: 2\n    window: { initial: 8 }\n    to:",
        &[
            "t:14:24: subscriptions.billing.window.initial: `concurrency` is 2, and the window never exceeds it",
        ],
    );
    warned(
        "broker: local",
        "listen: { app: \"0.0.0.0:3500\" }\nbroker: local",
        &[
            "t:3:16: listen.app: the app listener takes connections on every address of this host, without authentication",
        ],
    );
    warned(
        "broker: local",
        "webhooks: { allow: [\"http://payments\"] }\nbroker: local",
        &["t:3:21: webhooks.allow[0]: no subscription calls it"],
    );
    warned(
        "[\"kafka:9093\"]",
        "[\"kafka:9093\"], properties: { sasl.password: hunter2 }",
        &[
            "t:6:85: brokers.kafka.kafka.properties.\"sasl.password\": this looks like a secret; write it as `${env:NAME}` or `${file:PATH}`",
        ],
    );
    warned(
        "orders.paid: {}",
        "orders.paid: { max_event: 20MiB }",
        &[
            "t:9:29: topics.\"orders.paid\".max_event: larger than `limits.body` (10MiB), which refuses such an event first",
        ],
    );
}
