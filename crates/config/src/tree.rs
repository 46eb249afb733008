//! The configuration as a typed tree. Every key is a public field; a [`Config`] that the loader returns is valid.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::address::{Address, Origin, Url};
use crate::broker::Broker;
use crate::decode::{Context, Decode};
use crate::error::Code;
use crate::node::Node;
use crate::path::Path;
use crate::subscription::Subscription;
use crate::units::{Duration, Size};

table! {
    /// What a Postrider process does: which topics it serves, on which brokers, and where it delivers.
    pub struct Config {
        /// Version of this format: 1.
        pub version: Version,
        /// The service that this process stands beside. It names the subscriptions on the broker and is the source of events that bring none.
        pub service: String,
        /// How names on the broker are made.
        pub names: Names = Names::default(),
        /// The application behind the webhooks. Deliveries wait for it to be up; where none is configured, they start at once.
        pub app: Option<App> = None,
        /// Where this process listens.
        pub listen: Listen = Listen::default(),
        /// When this process says that it is ready.
        pub readiness: Readiness = Readiness::default(),
        /// The broker, one of `brokers`, that topics are on unless they say otherwise. May be left out where there is only one.
        pub broker: Option<String> = None,
        /// The brokers, by names of your choice.
        pub brokers: BTreeMap<String, Broker>,
        /// The topics, by their logical names.
        pub topics: BTreeMap<String, Topic> = BTreeMap::new(),
        /// Which hosts may be called.
        pub webhooks: Webhooks = Webhooks::default(),
        /// Bounds on what clients may send.
        pub limits: Limits = Limits::default(),
        /// What is delivered where, by names of your choice.
        pub subscriptions: BTreeMap<String, Subscription> = BTreeMap::new(),
        /// How this process ends.
        pub shutdown: Shutdown = Shutdown::default(),
        hidden secrets: BTreeSet<Path>,
    }
}

table! {
    /// How names on the broker are made.
    pub struct Names: Default {
        /// Stands before the durable names of subscriptions and their default dead-letter topics, never before a configured topic: a tenant or an environment, `dev.`.
        pub prefix: String = String::new(),
    }
}

table! {
    /// The application behind the webhooks.
    pub struct App {
        /// What a subscription's `to` is below, where that is a path.
        pub url: Url,
        /// Path, on the same host and port, that answers 2xx while the application is up. Without it, it is up while its port takes connections.
        pub health: Option<String> = None,
    }
}

table! {
    /// Where this process listens.
    pub struct Listen: Default {
        /// The application publishes here.
        pub app: Address = Address::Localhost { port: 3500 },
        /// Operators ask and steer here.
        pub admin: Address = Address::Localhost { port: 3580 },
        /// Probes and metrics.
        pub health: Address = Address::Socket(std::net::SocketAddr::from(([0, 0, 0, 0], 3581))),
        /// Further names, beside the loopback ones, that a request to the app or the admin listener may have in its `Host` header.
        pub hosts: Vec<String> = Vec::new(),
    }
}

table! {
    /// When this process says that it is ready.
    pub struct Readiness: Default {
        /// How long readiness waits for a broker that cannot be reached.
        pub broker_wait: Duration = Duration::from_secs(10) => Duration::from_millis(0)..=Duration::from_secs(3_600),
        /// Whether a later outage of the broker makes this process unready.
        pub gate: Gate = Gate::None,
    }
}

choice! {
    /// What readiness follows once the process has been ready.
    pub enum Gate {
        /// Nothing: an outage of the broker is told in status, metrics and answers.
        None = "none",
        /// The broker: the pod takes no traffic while it is away.
        Broker = "broker",
    }
}

table! {
    /// A logical topic.
    pub struct Topic {
        /// What names the key of an event that brings none: `subject`, `source`, `type`, `id` or an extension attribute.
        pub key: Option<Key> = None,
        /// Largest event taken, data and attributes.
        pub max_event: Size = Size::kibibytes(900) => Size::kibibytes(1)..=Size::mebibytes(64),
        /// Event types that `POST /v1/events` routes here.
        pub types: Vec<String> = Vec::new(),
        /// The topic's name on a broker, by the broker's name, where it is another there.
        pub names: BTreeMap<String, String> = BTreeMap::new(),
        /// The broker of this topic, where it is not the process's.
        pub broker: Option<String> = None,
    }
}

table! {
    /// Which hosts may be called.
    pub struct Webhooks: Default {
        /// Origins beside the loopback ones, which are always allowed: `http://payments:8080`.
        pub allow: Vec<Origin> = Vec::new(),
    }
}

table! {
    /// Bounds on what clients may send.
    pub struct Limits: Default {
        /// Of a request's headers together.
        pub header: Size = Size::kibibytes(64) => Size::kibibytes(8)..=Size::mebibytes(1),
        /// Of a request's body. A stream of NDJSON has this bound line by line.
        pub body: Size = Size::mebibytes(10) => Size::kibibytes(1)..=Size::gibibytes(1),
        /// From the end of a request's head to its answer.
        pub request_timeout: Duration = Duration::from_secs(30) => Duration::from_millis(1)..=Duration::from_secs(3_600),
        /// Open at once, on each listener. Each is an open file: `run` raises its limit of these to what the system allows, and warns where that is too few.
        pub connections: u32 = 4_096 => 1..=1_000_000,
        /// What may be on its way to the brokers at once.
        pub publish: InFlight = InFlight { events: 100_000, bytes: Size::mebibytes(128) },
    }
}

table! {
    /// How much may be on its way to the brokers at once; more is answered 429.
    pub struct InFlight {
        /// Events.
        pub events: u32 = 100_000 => 1..=10_000_000,
        /// Their bytes.
        pub bytes: Size = Size::mebibytes(128) => Size::kibibytes(1)..=Size::gibibytes(64),
    }
}

table! {
    /// How this process ends.
    pub struct Shutdown: Default {
        /// How long open publishes and attempts may take to end. The process is gone within five more seconds: keep it so much below the pod's termination grace period, 30 seconds by default.
        pub grace: Duration = Duration::from_secs(25) => Duration::from_millis(0)..=Duration::from_secs(3_600),
    }
}

/// Version 1 of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version;

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("1")
    }
}

impl serde::Serialize for Version {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(1)
    }
}

impl Decode for Version {
    fn decode(node: &Node, cx: &mut Context) -> Self {
        let version = u32::decode(node, cx);
        if version != 1 {
            let message = format!("this release reads version 1, and this is version {version}");
            cx.error(Code::BadValue, node.at, message, None);
        }
        Self
    }

    fn placeholder() -> Self {
        Self
    }
}

impl schemars::JsonSchema for Version {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Version".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "const": 1 })
    }
}

/// The attribute that names an event's key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    Subject,
    Source,
    Type,
    Id,
    /// An extension attribute.
    Extension(String),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Subject => "subject",
            Self::Source => "source",
            Self::Type => "type",
            Self::Id => "id",
            Self::Extension(name) => name,
        })
    }
}

impl crate::text::Text for Key {
    const NOUN: &'static str = "the name of an attribute";
    const HINT: &'static str =
        "Write `subject`, `source`, `type`, `id`, or an extension attribute: up to 20 of a-z and 0-9.";
    const PATTERN: &'static str = "[a-z0-9]{1,20}";
    const EXAMPLES: &'static [&'static str] = &["subject", "customerid"];

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "subject" => Ok(Self::Subject),
            "source" => Ok(Self::Source),
            "type" => Ok(Self::Type),
            "id" => Ok(Self::Id),
            "data" | "datacontenttype" | "dataschema" | "specversion" | "time" => {
                Err("this attribute says nothing of what an event belongs to".to_owned())
            }
            _ if text.is_empty() || text.len() > 20 => Err("it must have 1 to 20 characters".to_owned()),
            _ if text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) => {
                Ok(Self::Extension(text.to_owned()))
            }
            _ => Err("an attribute's name has only a-z and 0-9".to_owned()),
        }
    }

    fn placeholder() -> Self {
        Self::Subject
    }
}

crate::text::text_value!(Key);
