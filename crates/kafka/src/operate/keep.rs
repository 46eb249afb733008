//! Keeps the cursors of subscriptions that nobody reads.
//!
//! Kafka forgets what a group without members has committed after `offsets.retention.minutes`, a week by default: since
//! its last commit or, of a classic group that has had members, since the last of them left. A subscription that is
//! opened only now and then, as that of a redrive, would then begin anew, and letters that were purged would be back. So
//! what it has committed is committed again, as it is, while a process has it in its configuration; and a classic group
//! is joined for a moment.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use broker::{Error, ErrorKind};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;

use crate::cluster::Cluster;
use crate::context::Context;
use crate::errors;
use crate::group::{self, Group};
use crate::subscriptions::Subscriptions;

/// Soon, for processes that do not live for long: jobs, and services that are scaled to nothing.
const FIRST: Duration = Duration::from_secs(60);
/// Often enough for a cluster that forgets after a day.
const EVERY: Duration = Duration::from_secs(6 * 3600);
/// The longest that a group takes to take in a member: a coordinator waits three seconds for others by default.
const VISIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);

/// The thread that does it; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Keeper {
    _ends: Sender<()>,
}

impl Keeper {
    pub(crate) fn start(cluster: &Arc<Cluster>, known: &Arc<Subscriptions>) -> io::Result<Self> {
        let (ends, ended) = channel();
        let (cluster, known) = (Arc::downgrade(cluster), Arc::downgrade(known));
        let run = move || {
            let mut wait = FIRST;
            while ended.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                wait = EVERY;
                let (Some(cluster), Some(known)) = (cluster.upgrade(), known.upgrade()) else { return };
                keep_all(&cluster, &known);
            }
        };
        std::thread::Builder::new().name("kafka-keep".into()).spawn(run)?;
        Ok(Self { _ends: ends })
    }
}

/// Goes through all that this process has ensured and does not read.
fn keep_all(cluster: &Cluster, known: &Subscriptions) {
    for (name, topic) in known.topics() {
        if known.open.is_closed() {
            return;
        }
        if known.open.reader(&name).is_some() {
            continue;
        }
        let _alone = known.idle.lock();
        if let Err(error) = keep(cluster, &name, &topic) {
            tracing::warn!(subscription = name, %error, "its cursor could not be kept, and is tried again in six hours");
        }
    }
}

/// Commits again what is committed.
fn keep(cluster: &Cluster, name: &str, topic: &str) -> Result<(), Error> {
    let group = Group::new(cluster, name)?;
    let partitions: Vec<u32> = (0..cluster.partitions(topic)?).collect();
    let committed = group.committed(topic, &partitions)?;
    match group.try_commit(topic, &committed) {
        // Another process reads it: it is not forgotten.
        Err(error) if group::is_active(&error) => Ok(()),
        Err(error) => Err(group.commit_failed(topic, &error)),
        Ok(()) if cluster.settings.is_kip_848() || committed.is_empty() => Ok(()),
        Ok(()) => visit(cluster, name, topic),
    }
}

/// Joins a group that nobody reads, and leaves it once it has been taken in. Nothing is read or committed. Whoever opens
/// the subscription meanwhile is given its partitions a moment later.
fn visit(cluster: &Cluster, name: &str, topic: &str) -> Result<(), Error> {
    let failed = |error: KafkaError| errors::error(&format!("group {name} cannot be joined"), &error);
    let mut config = cluster.settings.consumer(name);
    // A static member would not say that it leaves, and would be taken for the one that reads.
    config.remove("group.instance.id");
    let member: BaseConsumer<Context> = config.create_with_context(cluster.context()).map_err(failed)?;
    member.subscribe(&[topic]).map_err(failed)?;
    let deadline = Instant::now() + VISIT;
    while member.assignment().map_err(failed)?.count() == 0 {
        if Instant::now() > deadline {
            let message = format!("group {name} could not be joined within {VISIT:?}");
            return Err(Error::new(ErrorKind::Unavailable, message));
        }
        if let Some(Err(error)) = member.poll(POLL) {
            tracing::debug!(group = name, %error, "while its group is joined");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use broker::{Driver as _, Start, Subscription};

    use super::*;
    use crate::group::{Committed, blocking};
    use crate::settings::Settings;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_committed_stays_as_it_is() {
        let bootstrap = tokio::task::spawn_blocking(|| brokers::shared().bootstrap()).await.unwrap();
        let settings = Settings::new(vec![bootstrap.into()]);
        let driver = crate::Kafka::new(settings.clone()).unwrap();
        let unique = uuid::Uuid::now_v7().simple();
        let (name, topic) = (format!("keep-{unique}"), format!("kept-{unique}"));
        let start = Start::Earliest;
        let subscription = Subscription {
            name: name.clone(),
            topic: topic.clone(),
            start,
            ordered: true,
            until: None,
            keeps_unsettled: false,
        };
        driver.ensure(&subscription).await.unwrap();
        let cluster = Cluster::new(settings).unwrap();
        blocking(move || {
            let group = Group::new(&cluster, &name)?;
            let before = BTreeMap::from([(0, Committed { offset: 7, metadata: "what stands here".into() })]);
            group.try_commit(&topic, &before).map_err(|error| group.commit_failed(&topic, &error))?;
            keep(&cluster, &name, &topic)?;
            assert_eq!(group.committed(&topic, &[0])?, before);
            assert_eq!(group.members(), Vec::<String>::new(), "nobody has stayed");
            assert_eq!(group.protocol(), "consumer", "the broker counts from when its last member left");
            Ok(())
        })
        .await
        .unwrap();
        driver.close().await;
    }
}
