//! A configuration for one test: a broker, one topic, and settings that make retries quick.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::Backend;

/// The configuration of a sidecar under test. JSON is YAML, so it is written as it is.
#[derive(Clone, Debug)]
pub struct Setup {
    config: Value,
    /// Ends the names of this test's topics on a broker that it may share with others.
    unique: String,
    pub(crate) listen: Listen,
}

/// Where a sidecar listens. It keeps its addresses over restarts, as a sidecar in a pod does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listen {
    pub(crate) app: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) health: SocketAddr,
    /// For the sample webhook of `postrider dev`.
    pub(crate) webhook: SocketAddr,
}

impl Listen {
    /// Addresses that nobody else uses: on Linux, where all of 127.0.0.0/8 is loopback, an IP address of one's own.
    fn claim() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if !cfg!(target_os = "linux") {
            return Self::claim_ports();
        }
        loop {
            // 64 sidecars a test program, and programs that run at the same time differ in their ids' low bits.
            let number = (std::process::id() << 6) | (COUNT.fetch_add(1, Ordering::Relaxed) & 63);
            let [_, a, b, c] = number.to_be_bytes();
            let ip = IpAddr::V4(Ipv4Addr::new(127, a, b, c));
            let at = |port| SocketAddr::new(ip, port);
            // 127.0.0.x is what everybody else uses.
            if (a, b) != (0, 0) && c != 0 && c != 255 && TcpListener::bind(at(3500)).is_ok() {
                return Self { app: at(3500), admin: at(3580), health: at(3581), webhook: at(8080) };
            }
        }
    }

    /// Ports of 127.0.0.1 that are free, below those that systems give to outgoing connections. For what takes no other
    /// address of loopback.
    pub(crate) fn claim_ports() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let port = || loop {
            let number = (std::process::id() << 5).wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed));
            let port = 10_000 + u16::try_from(number % 20_000).expect("below 20,000");
            if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            }
        };
        Self { app: port(), admin: port(), health: port(), webhook: port() }
    }

    fn config(&self) -> Value {
        json!({
            "app": self.app.to_string(),
            "admin": self.admin.to_string(),
            "health": self.health.to_string(),
            "hosts": [self.app.ip().to_string()],
        })
    }
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

impl Setup {
    /// One topic, `orders`, on an embedded broker in `./data`; no subscription.
    pub fn new() -> Self {
        Self::listening(Listen::claim())
    }

    /// As [`Setup::new`], but on this broker.
    pub fn on(backend: Backend) -> Self {
        match backend {
            Backend::Embedded => Self::new(),
            Backend::Kafka => Self::on_kafka(brokers::shared().bootstrap()),
            Backend::Pubsub => Self::on_pubsub(brokers::pubsub::shared().address()),
        }
    }

    /// As [`Setup::new`], but on the Kafka cluster at these addresses, `host:port` separated by commas.
    pub fn on_kafka(bootstrap: &str) -> Self {
        Self::on_main(kafka(bootstrap))
    }

    /// As [`Setup::new`], but on the Pub/Sub server at this address, `host:port`.
    pub fn on_pubsub(address: &str) -> Self {
        Self::on_main(pubsub(address))
    }

    /// As [`Setup::new`], with all three brokers configured, `local`, `kafka` and `pubsub`: the one line `broker:` chooses.
    pub fn on_all() -> Self {
        let mut setup = Self::new();
        setup.config["brokers"]["kafka"] = kafka(brokers::shared().bootstrap());
        setup.config["brokers"]["pubsub"] = pubsub(brokers::pubsub::shared().address());
        setup.config["names"] = json!({ "prefix": format!("{}.", setup.unique) });
        let there = format!("orders-{}", setup.unique);
        setup.with("/topics/orders/names", json!({ "kafka": there, "pubsub": there }))
    }

    /// The same for another sidecar beside it, on addresses of its own: a replica, where it has the same subscriptions.
    #[must_use]
    pub fn beside(&self) -> Self {
        let listen = Listen::claim();
        Self { listen, ..self.clone() }.with("/listen", listen.config())
    }

    fn on_main(broker: Value) -> Self {
        let mut setup = Self::new();
        setup.config["broker"] = json!("main");
        setup.config["brokers"] = json!({ "main": broker });
        setup.config["names"] = json!({ "prefix": format!("{}.", setup.unique) });
        setup.topic("orders", json!({}))
    }

    /// As [`Setup::new`], on ports of 127.0.0.1.
    pub(crate) fn on_ports() -> Self {
        Self::listening(Listen::claim_ports())
    }

    fn listening(listen: Listen) -> Self {
        let config = json!({
            "version": 1,
            "service": "shop",
            "listen": listen.config(),
            "broker": "local",
            "brokers": { "local": { "embedded": { "path": "./data" } } },
            "topics": { "orders": {} },
            "subscriptions": {},
        });
        let unique = format!("t{:x}-{:08x}", std::process::id(), fastrand::u32(..));
        Self { config, unique, listen }
    }

    /// Adds a topic. On a broker that others use too it has a name there that they do not use.
    #[must_use]
    pub fn topic(self, name: &str, more: Value) -> Self {
        let pointer = format!("/topics/{name}");
        let there = match self.config["broker"].as_str() {
            Some("main") => json!({ "names": { "main": format!("{name}-{}", self.unique) } }),
            _ => json!({}),
        };
        self.with(&pointer, there).with(&pointer, more)
    }

    /// Adds a subscription to `orders`. `more` is merged over the settings that make tests quick.
    #[must_use]
    pub fn subscription(self, name: &str, to: &str, more: Value) -> Self {
        let quick = json!({
            "topic": "orders",
            "to": to,
            "timeout": "5s",
            "retry": { "initial": "10ms", "max": "100ms", "retry_after_max": "1s" },
            "breaker": { "open": "20ms", "open_max": "200ms" },
        });
        self.with(&format!("/subscriptions/{name}"), quick).with(&format!("/subscriptions/{name}"), more)
    }

    /// Merges a value over the one at a JSON pointer, creating the way there.
    #[must_use]
    pub fn with(mut self, pointer: &str, value: Value) -> Self {
        let mut at = &mut self.config;
        for name in pointer.split('/').skip(1) {
            at = &mut at[name];
        }
        merge(at, value);
        self
    }

    /// The file's text.
    pub fn text(&self) -> String {
        format!("{:#}\n", self.config)
    }
}

fn kafka(bootstrap: &str) -> Value {
    let servers: Vec<&str> = bootstrap.split(',').collect();
    json!({ "kafka": { "bootstrap_servers": servers, "create_topics": { "partitions": 4 } } })
}

fn pubsub(address: &str) -> Value {
    json!({ "pubsub": { "project": brokers::pubsub::PROJECT, "emulator": address, "streams": 8 } })
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}
