//! What is taken, and warned of.

use super::warned;

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
