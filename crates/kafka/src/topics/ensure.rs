//! Making sure that a topic exists.

use std::sync::Arc;
use std::time::Duration;

use broker::{Error, ErrorKind};
use rdkafka::admin::{AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::cluster::{ASK, Cluster};
use crate::errors;
use crate::settings::CreateTopics;

use super::Facts;
use super::retention::{Kept, Retention};

/// How long a topic that was created may take until the cluster shows it.
const SHOWN_WITHIN: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Makes sure that a topic exists and can be written to, and learns what it takes and keeps. Where it has to be created it
/// gets the retention that is asked for; that of an existing topic is its owner's, who is told where it is too short.
/// Errors: `NotFound` where it does not exist and is not to be created, `Denied` where the broker's ACLs are in the way.
pub(crate) async fn ensure(cluster: &Arc<Cluster>, topic: &str, retention: Retention) -> Result<(), Error> {
    if blocking(cluster, topic, Cluster::partitions).await.map_or_else(absent, |_| Ok(false))? {
        let Some(how) = cluster.settings.create_topics else { return Err(missing(topic)) };
        create(cluster, topic, how, retention).await?;
        shown(cluster, topic).await?;
    }
    let facts = cluster.topics.facts(topic);
    let is_unsure = retention == Retention::Endless && !facts.is_retention_known();
    if (facts.bytes_max().is_none() || is_unsure)
        && let Some(config) = config(cluster, topic).await
    {
        learn(topic, &facts, &config, retention);
    }
    Ok(())
}

fn learn(topic: &str, facts: &Facts, config: &ConfigResource, retention: Retention) {
    let value = |name| config.get(name).and_then(|entry| entry.value.as_deref());
    if let Some(bytes) = value("max.message.bytes").and_then(|value| value.parse().ok()).filter(|b| *b > 0) {
        facts.set_bytes_max(bytes);
    }
    // Told once: what is asked for again after a reconnection is no news.
    if retention == Retention::Endless
        && let Some(kept) = Kept::read(value)
        && facts.retention_is_known()
        && let Some(loses) = kept.loses()
    {
        tracing::warn!(
            topic,
            "the cluster will remove dead letters of topic {topic} that nobody has redriven or purged: {loses}. Let it keep \
             them: kafka-configs.sh --alter --entity-type topics --entity-name {topic} --add-config \
             cleanup.policy=delete,retention.ms=-1,retention.bytes=-1"
        );
    }
}

/// Asks the cluster on a thread that may wait. Where no answer came because no broker can be reached, the reason is told.
async fn blocking<T: Send + 'static>(
    cluster: &Arc<Cluster>,
    topic: &str,
    ask: impl FnOnce(&Cluster, &str) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let (asks, topic) = (Arc::clone(cluster), topic.to_owned());
    crate::group::blocking(move || ask(&asks, &topic)).await.map_err(|error| match cluster.pulse.down() {
        Some((_, reason)) if error.is_temporary() => Error::new(error.kind, reason),
        _ => error,
    })
}

/// True where the topic does not exist.
fn absent(error: Error) -> Result<bool, Error> {
    if error.kind == ErrorKind::NotFound { Ok(true) } else { Err(error) }
}

fn missing(topic: &str) -> Error {
    let message = format!(
        "there is no topic {topic} on the broker and create_topics is off: create it, or let create_topics do so"
    );
    Error::new(ErrorKind::NotFound, message)
}

async fn create(
    cluster: &Arc<Cluster>,
    topic: &str,
    how: CreateTopics,
    retention: Retention,
) -> Result<(), Error> {
    let what = || format!("topic {topic} cannot be created");
    let admin = blocking(cluster, topic, |cluster, _| cluster.admin()).await?;
    let partitions = how.partitions.map_or(-1, u32::cast_signed);
    let replication = TopicReplication::Fixed(how.replication_factor.map_or(-1, i32::from));
    let mut new = NewTopic::new(topic, partitions, replication);
    for (name, value) in retention.config() {
        new = new.set(name, value);
    }
    let options = AdminOptions::new().request_timeout(Some(2 * ASK)).operation_timeout(Some(ASK));
    let made = admin.create_topics([&new], &options).await.map_err(|error| errors::error(&what(), &error))?;
    match made.into_iter().next() {
        Some(Err((_, code))) => refused(topic, code),
        _ => {
            tracing::info!(topic, partitions = how.partitions, "created the topic");
            Ok(())
        }
    }
}

fn refused(topic: &str, code: RDKafkaErrorCode) -> Result<(), Error> {
    use RDKafkaErrorCode as C;
    match code {
        // Somebody was faster.
        C::TopicAlreadyExists => Ok(()),
        C::TopicAuthorizationFailed | C::ClusterAuthorizationFailed => {
            let message = format!(
                "there is no topic {topic} on the broker, and its ACLs do not let this user create it: create it, or \
                 allow the operation CREATE on the topic or on the cluster"
            );
            Err(Error::new(ErrorKind::Denied, message))
        }
        code => Err(errors::error(&format!("topic {topic} cannot be created"), &KafkaError::AdminOp(code))),
    }
}

/// Waits until the cluster shows a topic that it has created.
async fn shown(cluster: &Arc<Cluster>, topic: &str) -> Result<(), Error> {
    let look = async {
        loop {
            if !blocking(cluster, topic, Cluster::partitions).await.map_or_else(absent, |_| Ok(false))? {
                return Ok(());
            }
            // The broker that was asked has not heard of it from the controller: nothing tells when it will.
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    tokio::time::timeout(SHOWN_WITHIN, look).await.unwrap_or_else(|_| {
        let message = format!("topic {topic} was created, but the cluster does not show it yet");
        Err(Error::new(ErrorKind::Unavailable, message))
    })
}

/// A topic's configuration. `None` where the cluster does not tell: asking needs DESCRIBE_CONFIGS, which nobody need have.
/// A record that is too large is then refused by the broker, and how long the topic keeps its records remains unknown.
async fn config(cluster: &Arc<Cluster>, topic: &str) -> Option<ConfigResource> {
    let admin = blocking(cluster, topic, |cluster, _| cluster.admin()).await.ok()?;
    let options = AdminOptions::new().request_timeout(Some(ASK));
    let asked = admin.describe_configs([&ResourceSpecifier::Topic(topic)], &options).await;
    match asked.map(|mut found| found.pop()) {
        Ok(Some(Ok(config))) => Some(config),
        Ok(Some(Err(code))) => {
            tracing::debug!(topic, %code, "what the topic takes and keeps is not told");
            None
        }
        Ok(None) => None,
        Err(error) => {
            tracing::debug!(topic, %error, "what the topic takes and keeps is not told");
            None
        }
    }
}
