//! A subscription's group when nobody reads it: made durable, looked at.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::{Backoff, Error, ErrorKind, Start, Subscription};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use crate::cluster::{ASK, Cluster, Place, millis};
use crate::context::Context;
use crate::errors;

/// What a group has committed in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) offset: u64,
    /// Empty where it is none of ours.
    pub(crate) metadata: String,
}

/// Makes a subscription durable: from its return on its group has an offset in every partition.
pub(crate) async fn ensure(cluster: &Arc<Cluster>, subscription: &Subscription) -> Result<(), Error> {
    let (cluster, subscription) = (Arc::clone(cluster), subscription.clone());
    blocking(move || {
        let group = Group::new(&cluster, &subscription.name)?;
        group.ensure(&subscription.topic, subscription.start)
    })
    .await
}

/// Runs what can only be done while blocking.
pub(crate) async fn blocking<T: Send + 'static>(
    what: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let ended = tokio::task::spawn_blocking(what).await;
    ended.unwrap_or_else(|error| {
        Err(Error::new(ErrorKind::Unavailable, format!("a question to the cluster was given up: {error}")))
    })
}

/// How long what a cluster cannot answer for the moment is asked again: a topic's leaders are not all known at once.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks again, for a while, while the error is temporary.
pub(crate) fn patiently<T>(mut ask: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    let deadline = Instant::now() + PATIENCE;
    let mut backoff = Backoff::between([Duration::from_millis(20), Duration::from_millis(500)]);
    loop {
        let result = ask();
        let wait = backoff.wait();
        match result {
            Err(error) if error.is_temporary() && Instant::now() + wait < deadline => {
                std::thread::sleep(wait);
            }
            result => return result,
        }
    }
}

/// A group, looked at from outside: it is never joined. Everything blocks, and so does dropping it.
pub(crate) struct Group<'a> {
    cluster: &'a Cluster,
    name: &'a str,
    client: BaseConsumer<Context>,
}

impl<'a> Group<'a> {
    pub(crate) fn new(cluster: &'a Cluster, name: &'a str) -> Result<Self, Error> {
        let mut config = cluster.settings.consumer(name);
        config.set("enable.auto.commit", "false");
        let client = config
            .create_with_context(Context { pulse: Arc::clone(&cluster.pulse) })
            .map_err(|error| errors::error(&format!("a client of group {name} cannot be made"), &error))?;
        Ok(Self { cluster, name, client })
    }

    /// What it has committed; partitions without a committed offset are left out.
    pub(crate) fn committed(
        &self,
        topic: &str,
        partitions: &[u32],
    ) -> Result<BTreeMap<u32, Committed>, Error> {
        let found = committed(&self.client, self.name, topic, partitions)?;
        self.cluster.pulse.beat();
        Ok(found)
    }

    /// What a [`try_commit`](Self::try_commit) failed with.
    pub(crate) fn commit_failed(&self, topic: &str, error: &KafkaError) -> Error {
        let what = format!("the offsets of subscription {} in topic {topic} cannot be written", self.name);
        errors::error(&what, error)
    }

    /// Who reads the group, `CLIENT at HOST` each, as far as the broker tells.
    pub(crate) fn members(&self) -> Vec<String> {
        let Ok(found) = self.client.fetch_group_list(Some(self.name), ASK) else { return Vec::new() };
        let members = found.groups().iter().flat_map(|group| group.members());
        members
            .map(|member| {
                format!("{} at {}", member.client_id(), member.client_host().trim_start_matches('/'))
            })
            .collect()
    }

    /// What its members speak, or spoke; empty where it has never had any.
    #[cfg(test)]
    pub(crate) fn protocol(&self) -> String {
        let found = self.client.fetch_group_list(Some(self.name), ASK).expect("the broker answers");
        found.groups().first().map(|group| group.protocol_type().to_owned()).unwrap_or_default()
    }

    /// Commits for a group that nobody reads. Where somebody does, the broker refuses ([`is_active`]).
    pub(crate) fn try_commit(
        &self,
        topic: &str,
        offsets: &BTreeMap<u32, Committed>,
    ) -> Result<(), KafkaError> {
        if offsets.is_empty() {
            return Ok(());
        }
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for (partition, committed) in offsets {
            let mut element = list.add_partition(topic, partition.cast_signed());
            element.set_offset(Offset::Offset(committed.offset.cast_signed()))?;
            if !committed.metadata.is_empty() {
                element.set_metadata(&committed.metadata);
            }
        }
        self.client.commit(&list, CommitMode::Sync)?;
        self.cluster.pulse.beat();
        Ok(())
    }

    fn ensure(&self, topic: &str, start: Start) -> Result<(), Error> {
        let partitions: Vec<u32> = (0..self.cluster.partitions(topic)?).collect();
        let committed = patiently(|| self.committed(topic, &partitions))?;
        if committed.len() == partitions.len() {
            return Ok(());
        }
        let begin = self.begin(topic, &partitions, &committed, start)?;
        match self.try_commit(topic, &begin) {
            Ok(()) => Ok(()),
            // Somebody reads the group, in this state of the topic or an earlier one. Whoever reads a partition without an
            // offset begins at its earliest record, so nothing is lost.
            Err(error) if is_active(&error) => Ok(()),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Where the partitions are to begin of which nothing is committed.
    ///
    /// Another process may be making sure of the same subscription, and its caller may have published since. So what is
    /// committed is looked at again after the places were asked: where there is still nothing, the other one has not
    /// returned before that, and whatever is published after its return is beyond the places that are found here.
    fn begin(
        &self,
        topic: &str,
        partitions: &[u32],
        before: &BTreeMap<u32, Committed>,
        start: Start,
    ) -> Result<BTreeMap<u32, Committed>, Error> {
        // A partition that came later belongs to the subscription from its first record on.
        let place = if before.is_empty() { place(start) } else { Place::Low };
        let missing = partitions.iter().copied().filter(|partition| !before.contains_key(partition));
        let places = self.cluster.offsets(topic, missing, place)?;
        let committed = patiently(|| self.committed(topic, partitions))?;
        if before.is_empty() && !committed.is_empty() && committed.len() < partitions.len() {
            // It is no longer new, but has grown.
            return self.begin(topic, partitions, &committed, start);
        }
        let missing = places.into_iter().filter(|(partition, _)| !committed.contains_key(partition));
        Ok(missing.map(|(number, offset)| (number, Committed { offset, metadata: String::new() })).collect())
    }

    fn failed(&self, error: &KafkaError) -> Error {
        errors::error(&format!("subscription {} cannot be made durable", self.name), error)
    }
}

/// Where a new cursor begins.
pub(crate) fn place(start: Start) -> Place {
    match start {
        Start::Earliest => Place::Low,
        Start::Latest => Place::High,
        Start::At(time) => Place::At(millis(time)),
    }
}

/// Whether a commit was refused because the group has members.
pub(crate) fn is_active(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as C;
    matches!(
        error.rdkafka_error_code(),
        Some(
            C::UnknownMemberId
                | C::IllegalGeneration
                | C::RebalanceInProgress
                | C::FencedInstanceId
                | C::StaleMemberEpoch
                | C::FencedMemberEpoch
        )
    )
}

/// Asks for committed offsets. Where the group may not be used, librdkafka looks for its coordinator for as long as it is
/// given, and says only in its events that it is not let.
fn ask<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    list: &TopicPartitionList,
) -> KafkaResult<TopicPartitionList> {
    match consumer.committed_offsets(list.clone(), ASK / 5) {
        Err(error) => match denied(consumer) {
            Some(denied) => Err(denied),
            None if timed_out(&error) => consumer
                .committed_offsets(list.clone(), ASK * 4 / 5)
                .map_err(|e| denied(consumer).unwrap_or(e)),
            None => Err(error),
        },
        found => found,
    }
}

fn timed_out(error: &KafkaError) -> bool {
    matches!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::OperationTimedOut))
}

/// The event that says so. It takes whatever comes off the consumer's queue.
fn denied<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> Option<KafkaError> {
    const EVENTS_MAX: usize = 64;
    // Other events in between are served and come back as nothing.
    let mut errors = (0..EVENTS_MAX).filter_map(|_| consumer.poll(Duration::ZERO)?.err());
    errors.find(|error| error.rdkafka_error_code() == Some(RDKafkaErrorCode::GroupAuthorizationFailed))
}

/// What a consumer's group has committed in these partitions; those without a committed offset are left out. Blocks up
/// to [`ASK`]. The consumer must read nothing: what it had fetched would be thrown away.
pub(crate) fn committed<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    name: &str,
    topic: &str,
    partitions: &[u32],
) -> Result<BTreeMap<u32, Committed>, Error> {
    committed_by(name, topic, partitions, |list| ask(consumer, list))
}

/// As [`committed`], for a member that reads: nothing is taken off its queue. That it may not use the group, it was told
/// when it joined.
pub(crate) fn committed_of_member<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    name: &str,
    topic: &str,
    partitions: &[u32],
) -> Result<BTreeMap<u32, Committed>, Error> {
    committed_by(name, topic, partitions, |list| consumer.committed_offsets(list.clone(), ASK))
}

fn committed_by(
    name: &str,
    topic: &str,
    partitions: &[u32],
    ask: impl FnOnce(&TopicPartitionList) -> KafkaResult<TopicPartitionList>,
) -> Result<BTreeMap<u32, Committed>, Error> {
    let what = || format!("what subscription {name} has settled in topic {topic} cannot be read");
    let failed = |error: KafkaError| errors::error(&what(), &error);
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition(topic, partition.cast_signed());
    }
    let found = ask(&list).map_err(failed)?;
    let mut committed = BTreeMap::new();
    for element in found.elements() {
        element.error().map_err(failed)?;
        if let Offset::Offset(offset) = element.offset() {
            // Another client may have committed any bytes, and rdkafka panics where they are no text. Reading changes
            // nothing, so there is nothing that a panic could leave half done.
            let metadata = catch_unwind(AssertUnwindSafe(|| element.metadata().to_owned()));
            let metadata = metadata.unwrap_or_else(|_| "\u{fffd}".to_owned());
            let offset = offset.cast_unsigned();
            committed.insert(element.partition().cast_unsigned(), Committed { offset, metadata });
        }
    }
    Ok(committed)
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::{MockCluster, MockCoordinator};
    use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
    use rdkafka::{ClientConfig, Message};

    use super::*;
    use crate::settings::Settings;

    /// The group's coordinator is away, and the member is given partitions: what it has fetched of others stays.
    #[test]
    fn a_member_that_asks_what_was_committed_loses_nothing_that_it_has_fetched() {
        const RECORDS: i64 = 20;
        let mock: MockCluster<'_, DefaultProducerContext> = MockCluster::new(2).expect("a mock cluster");
        mock.create_topic("orders", 1, 1).expect("a topic");
        mock.partition_leader("orders", 0, Some(1)).expect("a leader");
        mock.coordinator(MockCoordinator::Group("readers".into()), 2).expect("a coordinator");
        let servers = mock.bootstrap_servers();
        let producer: BaseProducer =
            ClientConfig::new().set("bootstrap.servers", &servers).create().expect("a producer");
        for _ in 0..RECORDS {
            let record = BaseRecord::<(), _>::to("orders").partition(0).payload("data");
            producer.send(record).map_err(|(error, _)| error).expect("there is room");
        }
        producer.flush(ASK).expect("the broker takes them");
        let settings = Settings::new(servers.split(',').map(str::to_owned).collect());
        let consumer: BaseConsumer<Context> =
            settings.consumer("readers").create_with_context(Context::default()).expect("a consumer");
        let mut list = TopicPartitionList::new();
        list.add_partition_offset("orders", 0, Offset::Beginning).expect("an offset");
        consumer.assign(&list).expect("it can be read");
        let next = || loop {
            if let Some(Ok(message)) = consumer.poll(ASK) {
                return message.offset();
            }
        };
        assert_eq!(next(), 0);
        mock.broker_down(2).expect("the coordinator goes");
        let answer = committed_of_member(&consumer, "readers", "orders", &[0]);
        assert!(answer.is_err(), "nobody can tell: {answer:?}");
        assert_eq!(next(), 1, "what had been fetched comes");
    }
}
