//! The classes of Kafka's command-line tools, for [`Kafka::run_tool`](super::Kafka::run_tool). Each takes `--help`.

/// `kafka-topics.sh`
pub const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";
/// `kafka-configs.sh`
pub const CONFIGS: &str = "kafka.admin.ConfigCommand";
/// `kafka-acls.sh`
pub const ACLS: &str = "org.apache.kafka.tools.AclCommand";
/// `kafka-get-offsets.sh`
pub const OFFSETS: &str = "org.apache.kafka.tools.GetOffsetShell";
/// `kafka-console-producer.sh`
pub const PRODUCER: &str = "org.apache.kafka.tools.ConsoleProducer";
/// `kafka-console-consumer.sh`
pub const CONSUMER: &str = "org.apache.kafka.tools.consumer.ConsoleConsumer";
/// `kafka-storage.sh`
pub(super) const STORAGE: &str = "kafka.tools.StorageTool";
/// The server itself.
pub(super) const SERVER: &str = "kafka.Kafka";
