//! Where dead letters go.

use postrider_config::Loaded;

use super::{BASE, load, refused};

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

/// The topic and its dead letters, where either may be pinned to a broker; `local` is the one in use.
fn pinned(topic: &str, letters: &str) -> String {
    let text = BASE
        .replace("types: [order.created]", topic)
        .replace("orders.paid: {}", &format!("letters: {{ {letters} }}"))
        .replace("    to:", "    dead_letter: { topic: letters }\n    to:");
    load(&text).map_or_else(|said| said, |_| "it loads".to_owned())
}

#[test]
fn dead_letters_stay_beside_their_topic_whichever_broker_is_in_use() {
    let refused = |broker: &str| {
        format!(
            "13:27 config_conflict subscriptions.billing.dead_letter.topic: dead letters must stay on the topic's broker, and \
             with `broker: {broker}` `orders.created` and this topic would be apart"
        )
    };
    assert_eq!(pinned("", "broker: local"), refused("kafka"), "the switch would be refused");
    assert_eq!(pinned("broker: local", ""), refused("kafka"));
    assert_eq!(pinned("", ""), "it loads");
    assert_eq!(pinned("broker: local", "broker: local"), "it loads");
    assert_eq!(pinned("broker: kafka", "broker: kafka"), "it loads", "whatever the others are on");
    assert_eq!(
        pinned("broker: kafka", "broker: local"),
        "13:27 config_conflict subscriptions.billing.dead_letter.topic: dead letters must stay on the topic's broker, \
         `kafka`, and this topic is on `local`"
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
