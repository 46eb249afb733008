//! Properties of librdkafka that are not to be set, and why: each would break a promise, or has a place of its own.

/// Why a property is refused whatever its value; `None` where it may be set.
///
/// ```
/// assert!(postrider_kafka::refused_property("enable.auto.commit").is_some());
/// assert_eq!(postrider_kafka::refused_property("linger.ms"), None);
/// ```
pub fn refused_property(name: &str) -> Option<&'static str> {
    let listed = REFUSED.iter().find(|(names, _)| names.contains(&name)).map(|(_, reason)| *reason);
    listed.or_else(|| {
        let dedicated = name.ends_with("_cb") || name.ends_with("_callback_data");
        match name {
            _ if dedicated => Some("it is a function of the program and cannot stand in a configuration"),
            _ if name.starts_with("test.mock.") => {
                Some("it replaces the cluster by one that forgets everything")
            }
            _ => None,
        }
    })
}

/// Why this value of a property is refused, where another would do.
pub(super) fn refused_value(name: &str, value: &str) -> Option<&'static str> {
    let value = value.trim();
    match name {
        "max.in.flight" | "max.in.flight.requests.per.connection" => {
            let beyond = value.parse::<u32>().is_ok_and(|n| n > 5);
            beyond.then_some("above 5 the broker cannot tell repeats, and order would be lost: set 1 to 5")
        }
        "partition.assignment.strategy" => (value != "cooperative-sticky").then_some(
            "a subscription's members hand partitions over one by one: only cooperative-sticky can be set",
        ),
        "isolation.level" => (value != "read_committed")
            .then_some("what a transaction takes back would be delivered: only read_committed can be set"),
        "group.protocol.type" => (value != "consumer").then_some("subscriptions are groups of consumers"),
        "offset.store.method" => (value != "broker").then_some("progress is kept by the cluster"),
        "queuing.strategy" => (value != "fifo").then_some("it would lose the order of a key"),
        _ => None,
    }
}

/// What the KIP-848 group protocol takes from the broker, and refuses from a client.
pub(super) const OF_THE_BROKER_IN_KIP_848: [&str; 3] =
    ["session.timeout.ms", "heartbeat.interval.ms", "partition.assignment.strategy"];

const DURABLE: &str = "a publish is answered once all in-sync replicas have the record, in order and once: \
                       the driver sets it";
const SETTLES: &str = "progress is what was settled, and the driver commits it";
const ADMISSION: &str = "the driver admits records before librdkafka's queue, so that it is never full";
const ELSEWHERE: &str = "it stands in a key of its own: bootstrap_servers";
const START: &str = "where a subscription begins is its own setting: start";
const PROGRAM: &str = "it would load code into the process";
const INTERNAL: &str = "it concerns how the driver and librdkafka work together";

const REFUSED: &[(&[&str], &str)] = &[
    (&["enable.idempotence", "acks", "request.required.acks"], DURABLE),
    (&["retries", "message.send.max.retries"], DURABLE),
    (
        &["enable.gapless.guarantee"],
        "one record that times out would end publishing: an answer of unknown says the same and lets the rest go on",
    ),
    (
        &["transactional.id", "transaction.timeout.ms"],
        "publishes are answered one by one, outside of transactions",
    ),
    (
        &["message.timeout.ms", "delivery.timeout.ms"],
        "how long a record may yet land is told in answers: the driver sets it",
    ),
    (&["queue.buffering.max.messages", "queue.buffering.max.kbytes"], ADMISSION),
    (&["delivery.report.only.error"], "each record is answered, those that were written too"),
    (&["produce.offset.report", "msg_order_cmp"], INTERNAL),
    (
        &["partitioner"],
        "the partition of a key is that of Java's clients (murmur2_random), so that all producers of a topic agree",
    ),
    (&["enable.auto.commit", "auto.commit.enable", "enable.auto.offset.store"], SETTLES),
    (&["auto.commit.interval.ms", "offset.store.path", "offset.store.sync.interval.ms"], SETTLES),
    (&["auto.offset.reset"], START),
    (&["group.id"], "a subscription's group has the subscription's durable name"),
    (&["enable.partition.eof"], "the driver needs it to know when it has caught up"),
    (&["consume.callback.max.messages"], INTERNAL),
    (
        &["allow.auto.create.topics"],
        "topics are created by create_topics, with the partitions that it says, or not at all",
    ),
    (&["bootstrap.servers", "metadata.broker.list"], ELSEWHERE),
    (&["topic.blacklist"], "a topic that is configured would not be found"),
    (&["statistics.interval.ms"], "nothing reads librdkafka's statistics"),
    (
        &["plugin.library.paths", "ssl.engine.location", "ssl.engine.id", "ssl.providers", "interceptors"],
        PROGRAM,
    ),
    (&["log.queue", "enabled_events", "opaque", "default_topic_conf"], INTERNAL),
    (&["internal.termination.signal", "enable.random.seed"], INTERNAL),
    (&["builtin.features"], "it tells what librdkafka was built with and changes nothing"),
    (
        &["api.version.request", "api.version.fallback.ms", "broker.version.fallback"],
        "brokers of the last ten years tell their versions, and older ones are not supported",
    ),
];
