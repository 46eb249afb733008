//! What the driver's parts share: the settings, the pulse, and one client that asks about topics and offsets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use broker::{Error, ErrorKind};
use rdkafka::admin::AdminClient;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use crate::clients::Clients;
use crate::context::Context;
use crate::errors;
use crate::monitor::Monitor;
use crate::pulse::Pulse;
use crate::settings::Settings;
use crate::topics::Topics;

/// What one question may take.
pub(crate) const ASK: Duration = Duration::from_secs(5);
/// Until what cannot be answered for the moment is asked again.
const AGAIN: Duration = Duration::from_millis(50);

/// Which end of a partition's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The first record that is still there.
    Low,
    /// One past the last record (the last stable one, for a reader of committed records).
    High,
    /// The first record of this time or later, in milliseconds since the Unix epoch; one past the last where there is none.
    At(u64),
}

/// Whole milliseconds since the Unix epoch, as brokers count them; 0 before it.
pub(crate) fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A configured cluster and the client that asks about it.
pub(crate) struct Cluster {
    pub(crate) settings: Settings,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) topics: Arc<Topics>,
    monitor: Monitor,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Cluster {
    pub(crate) fn new(settings: Settings) -> Result<Arc<Self>, Error> {
        let (pulse, topics) = (Arc::<Pulse>::default(), Arc::<Topics>::default());
        let clients = Clients::new(&settings, Context { pulse: Arc::clone(&pulse) })
            .map_err(|error| errors::client("a client of the cluster cannot be made", &error))?;
        let monitor = Monitor::start(clients, Arc::clone(&pulse), Arc::clone(&topics)).map_err(|error| {
            Error::new(
                ErrorKind::Unavailable,
                format!("the thread that watches the cluster cannot be started: {error}"),
            )
        })?;
        Ok(Arc::new(Self { settings, pulse, topics, monitor }))
    }

    /// What a client of this cluster has behind it.
    pub(crate) fn context(&self) -> Context {
        Context { pulse: Arc::clone(&self.pulse) }
    }

    /// The client that creates topics. Blocks for some milliseconds where there is none yet.
    pub(crate) fn admin(&self) -> Result<Arc<AdminClient<Context>>, Error> {
        let admin = self.monitor.clients().admin(&self.settings, self.context());
        admin.map_err(|error| errors::client("a client that creates topics cannot be made", &error))
    }

    fn reader(&self) -> &BaseConsumer<Context> {
        &self.monitor.clients().reader
    }

    /// How many partitions a topic has. Blocks up to [`ASK`]. `NotFound`: there is no such topic.
    pub(crate) fn partitions(&self, topic: &str) -> Result<u32, Error> {
        let what = || format!("topic {topic} cannot be looked up");
        let metadata = self
            .reader()
            .fetch_metadata(Some(topic), ASK)
            .map_err(|error| self.pulse.explain(&what(), &error))?;
        self.pulse.beat();
        self.topics.learn(&metadata);
        let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
            return Err(Error::new(ErrorKind::NotFound, format!("there is no topic {topic} on the broker")));
        };
        match found.error() {
            None => Ok(u32::try_from(found.partitions().len()).unwrap_or(u32::MAX)),
            Some(error) => Err(errors::error(&what(), &KafkaError::MetadataFetch(error.into()))),
        }
    }

    /// Where a place is in each of these partitions, one question a broker. Blocks up to twice [`ASK`].
    pub(crate) fn offsets(
        &self,
        topic: &str,
        partitions: impl IntoIterator<Item = u32>,
        place: Place,
    ) -> Result<Vec<(u32, u64)>, Error> {
        let partitions: Vec<u32> = partitions.into_iter().collect();
        let deadline = Instant::now() + ASK;
        loop {
            match self.offsets_now(topic, partitions.iter().copied(), place) {
                // Leaders change, and those of a topic that has just been made are not known to everybody at once.
                Err(error) if error.is_temporary() && Instant::now() < deadline => std::thread::sleep(AGAIN),
                result => return result,
            }
        }
    }

    /// As [`offsets`](Self::offsets), of those partitions alone of which it can be learnt now: nobody may lead the others.
    pub(crate) fn known_offsets(&self, topic: &str, partitions: &[u32], place: Place) -> BTreeMap<u32, u64> {
        let found = match self.led(topic, partitions) {
            Ok(led) => self.offsets(topic, led, place),
            Err(error) => Err(error),
        };
        match found {
            Ok(offsets) => offsets.into_iter().collect(),
            Err(error) => {
                tracing::debug!(topic, %error, "where the partitions begin and end is not known at present");
                BTreeMap::new()
            }
        }
    }

    /// Those of the partitions that have a leader.
    pub(crate) fn led(&self, topic: &str, partitions: &[u32]) -> Result<Vec<u32>, Error> {
        let what = || format!("topic {topic} cannot be looked up");
        let metadata = self
            .reader()
            .fetch_metadata(Some(topic), ASK)
            .map_err(|error| self.pulse.explain(&what(), &error))?;
        let found = metadata.topics().iter().filter(|found| found.name() == topic);
        let led = found.flat_map(|found| found.partitions()).filter(|partition| partition.leader() >= 0);
        let led: Vec<u32> = led.map(|partition| partition.id().cast_unsigned()).collect();
        Ok(partitions.iter().copied().filter(|partition| led.contains(partition)).collect())
    }

    /// One past the last record of each of these partitions, be it one of a transaction that is open or aborted. For rare
    /// questions: it takes a client of its own. Blocks up to twice [`ASK`].
    pub(crate) fn log_ends(&self, topic: &str, partitions: &[u32]) -> Result<BTreeMap<u32, u64>, Error> {
        let mut config = self.settings.reader();
        config.set("isolation.level", "read_uncommitted");
        let what = || format!("the end of topic {topic} cannot be looked up");
        let failed = |error: KafkaError| self.pulse.explain(&what(), &error);
        let client: BaseConsumer<Context> = config.create_with_context(self.context()).map_err(failed)?;
        let mut ends = BTreeMap::new();
        for partition in partitions {
            let (_, end) = client.fetch_watermarks(topic, partition.cast_signed(), ASK).map_err(failed)?;
            ends.insert(*partition, end.cast_unsigned());
        }
        Ok(ends)
    }

    /// As [`offsets`](Self::offsets), asked once.
    pub(crate) fn offsets_now(
        &self,
        topic: &str,
        partitions: impl IntoIterator<Item = u32>,
        place: Place,
    ) -> Result<Vec<(u32, u64)>, Error> {
        let what = || format!("the offsets of topic {topic} cannot be looked up");
        let failed = |error: KafkaError| self.pulse.explain(&what(), &error);
        let asked = match place {
            Place::Low => Offset::Beginning,
            Place::High => Offset::End,
            Place::At(ms) => Offset::Offset(i64::try_from(ms).unwrap_or(i64::MAX)),
        };
        let partitions: Vec<u32> = partitions.into_iter().collect();
        // What comes between the two questions may be as young as that, and is not to be passed over: so the end first.
        let ends: BTreeMap<u32, u64> = match place {
            Place::At(_) => {
                self.offsets_now(topic, partitions.iter().copied(), Place::High)?.into_iter().collect()
            }
            Place::Low | Place::High => BTreeMap::new(),
        };
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            list.add_partition_offset(topic, partition.cast_signed(), asked).map_err(failed)?;
        }
        if list.count() == 0 {
            return Ok(Vec::new());
        }
        let found = self.reader().offsets_for_times(list, ASK).map_err(failed)?;
        self.pulse.beat();
        let mut offsets = Vec::with_capacity(found.count());
        for element in found.elements() {
            element.error().map_err(failed)?;
            let partition = element.partition().cast_unsigned();
            match element.offset() {
                Offset::Offset(offset) => offsets.push((partition, offset.cast_unsigned())),
                // Nothing is as young as that: the end.
                _ => offsets.extend(ends.get(&partition).map(|end| (partition, *end))),
            }
        }
        offsets.sort_unstable();
        Ok(offsets)
    }
}
