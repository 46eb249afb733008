//! What librdkafka's properties concern, and their second names.

/// Whom a property concerns. librdkafka warns of those that are set on the other kind of client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    All,
    Producers,
    Consumers,
}

pub(super) fn scope(name: &str) -> Scope {
    if PRODUCERS.contains(&name) {
        Scope::Producers
    } else if CONSUMERS.contains(&name) {
        Scope::Consumers
    } else {
        Scope::All
    }
}

/// The name that the driver uses where librdkafka knows several. A value set under another one would otherwise stand
/// beside the driver's, and which of them counts would be chance.
pub(super) fn canonical(name: &str) -> &str {
    ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| name)
}

/// Whether a property's value is a secret, or may hold one.
pub(super) fn is_secret(name: &str) -> bool {
    ["password", "passphrase", "secret", "key", "pem", "token", "oauthbearer.config", "username"]
        .iter()
        .any(|word| name.contains(word))
}

const ALIASES: &[(&str, &str)] = &[
    ("queue.buffering.max.ms", "linger.ms"),
    ("max.in.flight.requests.per.connection", "max.in.flight"),
    ("compression.type", "compression.codec"),
    ("max.partition.fetch.bytes", "fetch.message.max.bytes"),
    ("sasl.mechanism", "sasl.mechanisms"),
];

const PRODUCERS: &[&str] = &[
    "batch.num.messages",
    "batch.size",
    "compression.codec",
    "compression.level",
    "linger.ms",
    "queue.buffering.backpressure.threshold",
    "queuing.strategy",
    "request.timeout.ms",
    "sticky.partitioning.linger.ms",
];

const CONSUMERS: &[&str] = &[
    "check.crcs",
    "coordinator.query.interval.ms",
    "fetch.error.backoff.ms",
    "fetch.max.bytes",
    "fetch.message.max.bytes",
    "fetch.min.bytes",
    "fetch.queue.backoff.ms",
    "fetch.wait.max.ms",
    "group.instance.id",
    "group.protocol",
    "group.protocol.type",
    "group.remote.assignor",
    "heartbeat.interval.ms",
    "isolation.level",
    "max.poll.interval.ms",
    "offset.store.method",
    "partition.assignment.strategy",
    "queued.max.messages.kbytes",
    "queued.min.messages",
    "session.timeout.ms",
];
