//! What a configured Kafka broker is, and what librdkafka is told of it.

mod check;
mod names;
mod refused;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rdkafka::ClientConfig;

use names::Scope;

pub use refused::refused_property;

/// A configured cluster.
#[derive(Clone)]
pub struct Settings {
    /// Where to reach it first, `HOST:PORT` each.
    pub bootstrap_servers: Vec<String>,
    /// Properties of librdkafka by its names, over the driver's own. Their values are never printed.
    pub properties: BTreeMap<String, String>,
    /// How missing topics are created; `None`: they are not, and their lack is an error.
    pub create_topics: Option<CreateTopics>,
    /// Write events in the binding's structured mode rather than in binary mode. Both are read.
    pub structured: bool,
    /// What librdkafka calls this process in the broker's logs and metrics (`client.id`), unless a property says.
    pub client_id: String,
}

/// How missing topics are created. `None` leaves it to the broker's own default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CreateTopics {
    pub partitions: Option<u32>,
    pub replication_factor: Option<u16>,
}

/// Properties that cannot be as they are, each by its name and with one sentence why (which never shows its value).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadSettings(pub Vec<(String, String)>);

/// Values may be secrets.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("bootstrap_servers", &self.bootstrap_servers)
            .field("properties", &self.properties.keys().collect::<Vec<_>>())
            .field("create_topics", &self.create_topics)
            .field("client_id", &self.client_id)
            .finish()
    }
}

/// How long a record may yet land after it was handed to librdkafka (`message.timeout.ms`): the usual deadline of a
/// publish, so that one answered `Unknown` is soon settled either way.
pub(crate) const LANDS_WITHIN: Duration = Duration::from_secs(30);

/// Kafka's default `max.message.bytes` of a topic, which counts a batch with its framing.
pub(crate) const TOPIC_BYTES_DEFAULT: usize = 1_048_588;

/// What the framing of one record alone in its batch is given at the most: names of headers and lengths, and the batch.
pub(crate) const FRAMING_BYTES: usize = 1_036;

/// The largest batch of several records, below what a topic takes by default: one that is refused fails all its records.
pub(crate) const BATCH_BYTES: usize = 1_000_000;

impl Settings {
    pub fn new(bootstrap_servers: Vec<String>) -> Self {
        Self {
            bootstrap_servers,
            properties: BTreeMap::new(),
            create_topics: Some(CreateTopics::default()),
            structured: false,
            client_id: "postrider".into(),
        }
    }

    /// Checks all that can be checked without reaching the cluster: the names of properties, their values, that none of
    /// them would break a promise, and that together they make a client. All that is wrong is told at once.
    pub fn check(&self) -> Result<(), BadSettings> {
        check::check(self)
    }

    /// The largest record that is sent: key, value and headers. What a topic takes by default, or what
    /// `message.max.bytes` says.
    pub(crate) fn record_bytes_max(&self) -> usize {
        let batch = self.properties.get("message.max.bytes").and_then(|value| value.trim().parse().ok());
        batch.unwrap_or(TOPIC_BYTES_DEFAULT).saturating_sub(FRAMING_BYTES).max(1)
    }

    /// For a producer of topics that take batches of so many bytes: idempotent, `acks=all`, Java's partitioner.
    pub(crate) fn producer(&self, batch_bytes: usize) -> ClientConfig {
        let mut config = self.base();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("max.in.flight", "5")
            .set("partitioner", "murmur2_random")
            .set("message.timeout.ms", LANDS_WITHIN.as_millis().to_string())
            // The records of a burst are handed over within this time, and share a request. What lingers beyond them is
            // the gate's (see `publish::gate`): a longer linger would only hold a lone record back.
            .set("linger.ms", "1")
            // A record without a key stays with its partition for so long.
            .set("sticky.partitioning.linger.ms", "10")
            .set("batch.size", BATCH_BYTES.to_string())
            // Admission stands before the queue.
            .set("queue.buffering.max.messages", "0")
            .set("queue.buffering.max.kbytes", i32::MAX.to_string())
            // A topic that a cluster does not know yet may be on its way: so long, then its records are refused.
            .set("topic.metadata.propagation.max.ms", "3000");
        self.apply(&mut config, Scope::Producers);
        let batch_bytes =
            batch_bytes.min(config.get("batch.size").and_then(|v| v.parse().ok()).unwrap_or(batch_bytes));
        config.set("batch.size", batch_bytes.to_string());
        // It bounds requests; what a record may have is checked before, against its topic.
        config.set("message.max.bytes", (self.record_bytes_max() + 64 * 1024).to_string());
        config
    }

    /// For whoever creates topics and asks what they take.
    pub(crate) fn admin(&self) -> ClientConfig {
        self.base()
    }

    /// For a member of a group, read by a subscription.
    pub(crate) fn consumer(&self, group: &str) -> ClientConfig {
        let mut config = self.reader();
        config.set("group.id", group).set("max.poll.interval.ms", "300000");
        if self.is_kip_848() {
            config.set("group.protocol", "consumer");
        } else {
            // A member that died is missed after the session: the partitions are read again within 15 s.
            config
                .set("partition.assignment.strategy", "cooperative-sticky")
                .set("session.timeout.ms", "10000")
                .set("heartbeat.interval.ms", "3000");
        }
        self.apply(&mut config, Scope::Consumers);
        config
    }

    /// For whoever asks about offsets and metadata, or reads without a group.
    pub(crate) fn reader(&self) -> ClientConfig {
        let mut config = self.base();
        config
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            // What is fetched ahead is memory that a backlog of any length takes: bounded by count and by bytes.
            .set("queued.min.messages", "1000")
            .set("queued.max.messages.kbytes", "4096")
            .set("fetch.message.max.bytes", "1048576")
            .set("fetch.max.bytes", (self.record_bytes_max() + FRAMING_BYTES).max(4 << 20).to_string())
            // With so little fetched ahead, waiting a second (the default) for room would starve the reader.
            .set("fetch.queue.backoff.ms", "20")
            .set("fetch.error.backoff.ms", "200");
        for (name, value) in &self.properties {
            let of_groups =
                name.starts_with("group.") || refused::OF_THE_BROKER_IN_KIP_848.contains(&name.as_str());
            if names::scope(names::canonical(name)) == Scope::Consumers && !of_groups {
                config.set(names::canonical(name), value);
            }
        }
        config
    }

    /// Whether groups speak KIP-848, where the broker says what a classic member says itself.
    pub(crate) fn is_kip_848(&self) -> bool {
        self.properties.get("group.protocol").is_some_and(|protocol| protocol.trim() == "consumer")
    }

    /// What all clients have in common.
    fn base(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.bootstrap_servers.join(","))
            .set("client.id", &self.client_id)
            .set("allow.auto.create.topics", "false")
            .set("socket.keepalive.enable", "true")
            .set("socket.nagle.disable", "true")
            // A broker that hangs is left in time to try another before a publish's time is over.
            .set("socket.timeout.ms", "15000")
            .set("socket.connection.setup.timeout.ms", "10000")
            .set("reconnect.backoff.ms", "100")
            .set("reconnect.backoff.max.ms", "2000")
            // New partitions are noticed within a minute.
            .set("topic.metadata.refresh.interval.ms", "60000");
        self.apply(&mut config, Scope::All);
        config
    }

    fn apply(&self, config: &mut ClientConfig, scope: Scope) {
        for (name, value) in &self.properties {
            let name = names::canonical(name);
            if names::scope(name) == scope {
                config.set(name, value);
            }
        }
    }
}
