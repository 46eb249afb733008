//! The brokers: one key names the kind, below it stands what that kind takes.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;

use crate::decode::{Context, Decode, listed};
use crate::error::Code;
use crate::node::{Kind, Node, excerpt};
use crate::suggest;
use crate::text::Secret;
use crate::units::{Duration, Size};

/// A configured broker.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Broker {
    Embedded(Embedded),
    Kafka(Kafka),
    Pubsub(Pubsub),
}

/// The kinds of broker that a configuration may name. A build may lack the driver of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BrokerKind {
    Embedded,
    Kafka,
    Pubsub,
}

table! {
    /// A durable broker inside this process.
    pub struct Embedded {
        /// The directory of its files, which it creates. Only one process may have it open.
        pub path: String,
        /// Most bytes of a topic. While what is not settled reaches it, that topic answers 507.
        pub max_bytes_per_topic: Size = Size::gibibytes(10) => Size::mebibytes(1)..=Size::gibibytes(65_536),
        /// Room on the disk that is never filled with events, so that a full disk can still be drained.
        pub reserve: Size = Size::mebibytes(256) => Size::mebibytes(1)..=Size::gibibytes(1_024),
        /// How long events are kept that every subscription has settled, for replay.
        pub retention: Retention = Retention::default(),
    }
}

table! {
    /// How long settled events are kept: until the first of the two is reached.
    pub struct Retention: Default {
        /// Since they were published.
        pub age: Duration = Duration::from_secs(7 * 86_400) => Duration::from_secs(1)..=Duration::from_secs(3_650 * 86_400),
        /// All of a topic's.
        pub size: Size = Size::gibibytes(1) => Size::new(0)..=Size::gibibytes(65_536),
    }
}

table! {
    /// An Apache Kafka cluster, or what speaks its protocol.
    pub struct Kafka {
        /// Where to reach it first, `HOST:PORT`.
        pub bootstrap_servers: Vec<String>,
        /// Properties of librdkafka, by its names. Their values are never shown. Those that would break a promise are
        /// refused, with the reason.
        pub properties: BTreeMap<String, Secret> = BTreeMap::new(),
        /// How events are written. Both ways are read.
        pub content_mode: ContentMode = ContentMode::Binary,
        /// How topics that are missing are created, dead-letter topics included.
        pub create_topics: CreateTopics = CreateTopics::default(),
    }
}

choice! {
    /// The content mode of the CloudEvents binding of a broker.
    pub enum ContentMode {
        /// Attributes beside the data: headers `ce_…` on Kafka, attributes `ce-…` on Pub/Sub.
        Binary = "binary",
        /// The whole event as JSON. Larger and slower; for consumers that read nothing beside the data.
        Structured = "structured",
    }
}

table! {
    /// How missing topics are created on Kafka.
    pub struct CreateTopics: Default {
        /// `false`: never; a missing topic is an error that names it.
        pub enabled: bool = true,
        /// Partitions of a new topic. The default is the cluster's own (`num.partitions`). More partitions let more
        /// replicas of a service share a subscription; within one, keys are delivered concurrently anyway.
        pub partitions: Option<u32> = None,
        /// Copies of each partition. The default is the cluster's own (`default.replication.factor`).
        pub replication_factor: Option<u32> = None,
    }
}

table! {
    /// Google Cloud Pub/Sub.
    pub struct Pubsub {
        /// The project that topics and subscriptions belong to.
        pub project: String,
        /// Where the service is reached: `https://REGION-pubsub.googleapis.com`. The default is the global endpoint,
        /// which leads to the nearest region; order per key holds only among publishers that reach the same one.
        pub endpoint: Option<String> = None,
        /// `HOST:PORT` of an emulator, which is used instead of the service, without TLS and without credentials. The
        /// default is the environment variable `PUBSUB_EMULATOR_HOST`, as in Google's clients, where it is set.
        pub emulator: Option<String> = None,
        /// Who this process is to Google.
        pub credentials: Credentials = Credentials::default(),
        /// Whether topics and subscriptions that are missing are created, dead-letter topics included. `false`: never; a
        /// missing one is an error that names it.
        pub create: bool = true,
        /// Labels of what is created: up to 64, of a-z, 0-9, `_` and `-`, a letter first in their keys.
        pub labels: BTreeMap<String, String> = BTreeMap::new(),
        /// How long a created subscription keeps what is not settled.
        pub retention: Duration = Duration::from_secs(7 * 86_400) => RETENTION,
        /// How long a created topic keeps its messages for subscriptions made later, from 10m to 31d. Without it a new
        /// subscription begins with what is published from then on, whatever its `start`.
        pub topic_retention: Option<Duration> = None,
        /// How long deliveries are held.
        pub lease: Lease = Lease::default(),
        /// Streams that each subscription is read with.
        pub streams: u32 = 2 => 1..=32,
        /// How long a publish waits for others to travel with.
        pub linger: Duration = Duration::from_millis(5) => Duration::from_millis(0)..=Duration::from_secs(1),
        /// Whether subscriptions that are created deliver exactly once, as the service means it: a settled event does
        /// not come again, at the price of a round trip for each settle. The region of their readers must be one.
        pub exactly_once: bool = false,
        /// How events are written. Both ways are read.
        pub content_mode: ContentMode = ContentMode::Binary,
    }
}

/// How long Pub/Sub keeps anything: <https://cloud.google.com/pubsub/docs/subscription-properties>.
pub(crate) const RETENTION: RangeInclusive<Duration> =
    Duration::from_secs(600)..=Duration::from_secs(31 * 86_400);

table! {
    /// Who this process is to Google.
    pub struct Credentials: Default {
        /// A credentials file: a service account's key, or any other kind that Google's tools write. The default is
        /// application-default credentials: `GOOGLE_APPLICATION_CREDENTIALS`, `gcloud auth application-default login`,
        /// or the metadata server (Workload Identity).
        pub file: Option<String> = None,
    }
}

table! {
    /// How long deliveries are held on Pub/Sub.
    pub struct Lease: Default {
        /// How far a lease is extended at a time, at most `max`. What a killed process held comes again after this.
        pub extension: Duration = Duration::from_secs(10) => Duration::from_secs(10)..=Duration::from_secs(600),
        /// How long a delivery is held at the most. It is given back then, and taken again.
        pub max: Duration = Duration::from_secs(3_600) => Duration::from_secs(60)..=Duration::from_secs(86_400),
    }
}

impl Broker {
    pub const fn kind(&self) -> BrokerKind {
        match self {
            Self::Embedded(_) => BrokerKind::Embedded,
            Self::Kafka(_) => BrokerKind::Kafka,
            Self::Pubsub(_) => BrokerKind::Pubsub,
        }
    }
}

impl BrokerKind {
    pub const ALL: [Self; 3] = [Self::Embedded, Self::Kafka, Self::Pubsub];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Kafka => "kafka",
            Self::Pubsub => "pubsub",
        }
    }
}

impl fmt::Display for BrokerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

const HINT: &str = "Write the kind and its keys: `embedded: { path: ./data }`.";

impl Decode for Broker {
    fn decode(node: &Node, cx: &mut Context) -> Self {
        if !matches!(node.kind, Kind::Map(_)) {
            cx.wrong_type(node, "a map with the broker's kind as its one key", Some(HINT.to_owned()));
            return Self::placeholder();
        }
        let [entry] = node.entries() else {
            let message = format!("a broker has exactly one of {}", listed(&BrokerKind::ALL));
            let at = node.entries().get(1).map_or(node.at, |entry| entry.key_at);
            cx.error(Code::WrongType, at, message, Some(HINT.to_owned()));
            return Self::placeholder();
        };
        match entry.key.as_str() {
            "embedded" => Self::Embedded(cx.entry(entry)),
            "kafka" => Self::Kafka(cx.entry(entry)),
            "pubsub" => Self::Pubsub(cx.entry(entry)),
            kind => {
                let hint = match suggest::nearest(kind, BrokerKind::ALL.map(BrokerKind::as_str)) {
                    Some(meant) => format!("Did you mean `{meant}`?"),
                    None => format!("The kinds are {}.", listed(&BrokerKind::ALL)),
                };
                let message = format!("there is no kind of broker `{}`", excerpt(kind));
                cx.error(Code::UnknownKey, entry.key_at, message, Some(hint));
                Self::placeholder()
            }
        }
    }

    fn placeholder() -> Self {
        Self::Embedded(Embedded::placeholder())
    }
}

impl JsonSchema for Broker {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Broker".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "A configured broker: its kind, and below it what that kind takes.",
            "properties": {
                "embedded": generator.subschema_for::<Embedded>(),
                "kafka": generator.subschema_for::<Kafka>(),
                "pubsub": generator.subschema_for::<Pubsub>(),
            },
            "patternProperties": { "^x-": true },
            "additionalProperties": false,
            "oneOf": [
                { "required": ["embedded"] },
                { "required": ["kafka"] },
                { "required": ["pubsub"] },
            ],
        })
    }
}
