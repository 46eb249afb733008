//! Where Postrider listens, and whom it may call.

use super::refused;

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
