//! The thread that reads a topic for one [`Browse`](broker::Browse): a consumer that is assigned every partition and
//! joins no group.

use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::{Browsed, Error, ErrorKind, Position, Selection};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset, TopicPartitionList};

use super::lanes::{Lane, Lanes};
use super::place;
use super::settled::Settled;
use crate::cluster::{ASK, Cluster, Place, millis};
use crate::context::Context;
use crate::{errors, record};

/// A page ends when it has grown to this, whatever number was asked for.
const PAGE_BYTES: usize = 4 << 20;

/// What may wait to be handed out while the oldest record is looked for: beyond it, only the partitions that are looked
/// at for it are read.
const WAITING_BYTES: usize = 8 << 20;

/// What a record takes beside its key and its value, roughly.
const RECORD_BYTES: usize = 512;

/// How long librdkafka is waited for at once.
const POLL: Duration = Duration::from_millis(50);

/// How long nothing may come of what is known to stand there.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Reader {
    cluster: Arc<Cluster>,
    topic: String,
    consumer: BaseConsumer<Context>,
    lanes: Lanes,
    settled: Option<Settled>,
    /// What librdkafka complained of since something came.
    trouble: Option<KafkaError>,
}

impl Reader {
    /// Finds where to begin. Blocks for a few round trips.
    pub(super) fn open(cluster: Arc<Cluster>, topic: String, what: &Selection) -> Result<Self, Error> {
        let partitions = cluster.partitions(&topic)?;
        let consumer = consumer(&cluster, &topic, what.unsettled_of.as_deref())?;
        let lanes = Lanes::default();
        let mut reader = Self { cluster, topic, consumer, lanes, settled: None, trouble: None };
        let ends = Ends {
            low: reader.offsets(partitions, Place::Low)?,
            high: reader.offsets(partitions, Place::High)?,
        };
        if let Some(name) = &what.unsettled_of {
            let settled = Settled::read(&reader.consumer, name, &reader.topic, &reader.cluster, &ends.high)?;
            reader.settled = Some(settled);
        }
        let from = reader.starts(&ends, what)?;
        reader.lanes.lanes =
            from.iter().zip(&ends.high).map(|(from, high)| Lane::new(*from, *high)).collect();
        reader.assign()?;
        Ok(reader)
    }

    /// The next records, the oldest first. Empty: the end, as it was when this was asked.
    pub(super) fn page(&mut self, max: usize) -> Result<Vec<Browsed>, Error> {
        let (mut page, mut bytes) = (Vec::new(), 0);
        if max > 0 && self.lanes.at_end() {
            self.look_again()?;
        }
        let mut heard = Instant::now();
        loop {
            while page.len() < max
                && bytes < PAGE_BYTES
                && let Some((browsed, size)) = self.lanes.pop()
            {
                page.push(browsed);
                bytes += size;
            }
            self.balance()?;
            if !page.is_empty() || max == 0 || self.lanes.at_end() {
                return Ok(page);
            }
            if self.read(POLL)? {
                heard = Instant::now();
            } else if heard.elapsed() > PATIENCE {
                return Err(self.silent());
            } else {
                self.settle_doubts()?;
            }
        }
    }

    /// Takes what librdkafka has, waiting for the first of it. Whether there was any.
    fn read(&mut self, patience: Duration) -> Result<bool, Error> {
        let mut wait = patience;
        let mut any = false;
        while self.lanes.bytes() < WAITING_BYTES || !any {
            let Some(event) = self.consumer.poll(wait) else { break };
            match event {
                Ok(message) => {
                    keep(&mut self.lanes, self.settled.as_ref(), &message);
                    (any, self.trouble) = (true, None);
                }
                Err(KafkaError::PartitionEOF(partition)) => {
                    if let Some(lane) = self.lanes.lanes.get_mut(partition.cast_unsigned() as usize) {
                        lane.ended();
                    }
                    any = true;
                }
                Err(error) => self.complained(error)?,
            }
            wait = Duration::ZERO;
        }
        Ok(any)
    }

    /// An error that a client of the cluster has found. Most of them pass.
    fn complained(&mut self, error: KafkaError) -> Result<(), Error> {
        use RDKafkaErrorCode as C;
        let lasting = matches!(
            error.rdkafka_error_code(),
            Some(C::TopicAuthorizationFailed | C::UnknownTopicOrPartition | C::UnknownTopic)
        );
        if lasting || matches!(error, KafkaError::MessageConsumptionFatal(_)) {
            return Err(errors::error(&self.what(), &error));
        }
        self.trouble = Some(error);
        Ok(())
    }

    /// Why nothing comes.
    fn silent(&self) -> Error {
        match &self.trouble {
            Some(error) => self.cluster.pulse.explain(&self.what(), error),
            None => {
                let message = format!("{}: nothing came for {} s", self.what(), PATIENCE.as_secs());
                Error::new(ErrorKind::Unavailable, message)
            }
        }
    }

    fn what(&self) -> String {
        format!("topic {} cannot be read", self.topic)
    }

    /// Asks where the topic ends now.
    fn look_again(&mut self) -> Result<(), Error> {
        // An end that was told before now is no news.
        self.read(Duration::ZERO)?;
        let partitions = self.cluster.partitions(&self.topic)?;
        let highs = self.offsets(partitions, Place::High)?;
        for (lane, high) in self.lanes.lanes.iter_mut().zip(&highs) {
            lane.raise(*high);
        }
        let known = self.lanes.lanes.len();
        if highs.len() > known {
            self.lanes.lanes.extend(highs[known..].iter().map(|high| Lane::new(0, *high)));
            self.assign()?;
        }
        Ok(())
    }

    /// Stops reading what is far ahead of the others, and goes on with it when it is wanted.
    fn balance(&mut self) -> Result<(), Error> {
        let crowded = self.lanes.bytes() >= WAITING_BYTES;
        let (mut pause, mut resume) = (TopicPartitionList::new(), TopicPartitionList::new());
        for (partition, lane) in (0..).zip(&mut self.lanes.lanes) {
            if crowded && !lane.paused && !lane.is_empty() {
                lane.paused = true;
                pause.add_partition(&self.topic, partition);
            } else if lane.paused && lane.is_empty() {
                lane.paused = false;
                resume.add_partition(&self.topic, partition);
            }
        }
        if pause.count() > 0 {
            self.consumer.pause(&pause).map_err(|error| errors::error(&self.what(), &error))?;
        }
        if resume.count() > 0 {
            self.consumer.resume(&resume).map_err(|error| errors::error(&self.what(), &error))?;
        }
        Ok(())
    }

    /// Has the end told again where it was told too early to be believed.
    fn settle_doubts(&mut self) -> Result<(), Error> {
        let list = self.list(|lane| lane.doubtful())?;
        if list.count() == 0 {
            return Ok(());
        }
        self.consumer.seek_partitions(list, ASK).map_err(|error| errors::error(&self.what(), &error))?;
        for lane in &mut self.lanes.lanes {
            if lane.doubtful() {
                lane.sought();
            }
        }
        Ok(())
    }

    /// Reads all partitions from where they stand.
    fn assign(&mut self) -> Result<(), Error> {
        let list = self.list(|_| true)?;
        self.consumer.assign(&list).map_err(|error| errors::error(&self.what(), &error))?;
        self.lanes.lanes.iter_mut().for_each(Lane::sought);
        Ok(())
    }

    fn list(&self, which: impl Fn(&Lane) -> bool) -> Result<TopicPartitionList, Error> {
        let mut list = TopicPartitionList::new();
        for (partition, lane) in (0..).zip(&self.lanes.lanes).filter(|(_, lane)| which(lane)) {
            list.add_partition_offset(&self.topic, partition, Offset::Offset(lane.next().cast_signed()))
                .map_err(|error| errors::error(&self.what(), &error))?;
        }
        Ok(list)
    }

    /// A place in every partition, by number.
    fn offsets(&self, partitions: u32, place: Place) -> Result<Vec<u64>, Error> {
        let found = self.cluster.offsets(&self.topic, 0..partitions, place)?;
        Ok(found.into_iter().map(|(_, offset)| offset).collect())
    }

    /// Where a selection begins in every partition.
    fn starts(&mut self, ends: &Ends, what: &Selection) -> Result<Vec<u64>, Error> {
        let partitions = u32::try_from(ends.low.len()).unwrap_or(u32::MAX);
        let mut starts = ends.low.clone();
        let mut raise = |offsets: Vec<u64>| {
            for (start, offset) in starts.iter_mut().zip(offsets) {
                *start = offset.max(*start);
            }
        };
        if let Some(since) = what.since {
            // Up to the next whole millisecond: what came in the one before may be older.
            let since = since.checked_add(Duration::from_nanos(999_999)).unwrap_or(since);
            raise(self.offsets(partitions, Place::At(millis(since)))?);
        }
        match &what.from {
            None => {}
            Some(Position::Pair(partition, offset)) => raise(self.beside(ends, *partition, *offset)?),
            Some(position @ Position::Text(text)) => {
                let mut offsets = vec![0; ends.low.len()];
                for (partition, offset) in place::parse(text).ok_or_else(|| place::foreign(position))? {
                    if let Some(place) = offsets.get_mut(partition as usize) {
                        *place = offset;
                    }
                }
                raise(offsets);
            }
            Some(position @ Position::Number(_)) => return Err(place::foreign(position)),
        }
        Ok(starts)
    }

    /// Where reading from a record on begins: there, and in the other partitions with what comes after it in the order of
    /// the [lanes](super::lanes). Of records of the same millisecond, those of the lower partition come first.
    fn beside(&mut self, ends: &Ends, partition: u32, offset: u64) -> Result<Vec<u64>, Error> {
        let at = partition as usize;
        let (Some(low), Some(high)) = (ends.low.get(at).copied(), ends.high.get(at).copied()) else {
            let message = format!("topic {} has no partition {partition}", self.topic);
            return Err(Error::new(ErrorKind::NotFound, message));
        };
        let mut starts = match self.time_of(partition, offset.max(low), high)? {
            None => ends.high.clone(),
            Some(ms) => {
                let partitions = u32::try_from(ends.low.len()).unwrap_or(u32::MAX);
                let mut starts = self.offsets_of(0..partition, Place::At(ms + 1))?;
                starts.push(offset);
                starts.extend(self.offsets_of(partition + 1..partitions, Place::At(ms))?);
                starts
            }
        };
        starts[at] = offset;
        Ok(starts)
    }

    fn offsets_of(&self, partitions: std::ops::Range<u32>, place: Place) -> Result<Vec<u64>, Error> {
        let found = self.cluster.offsets(&self.topic, partitions, place)?;
        Ok(found.into_iter().map(|(_, offset)| offset).collect())
    }

    /// When the first record at an offset or after it was taken in. `None`: there is none.
    fn time_of(&mut self, partition: u32, offset: u64, high: u64) -> Result<Option<u64>, Error> {
        if offset >= high {
            return Ok(None);
        }
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, partition.cast_signed(), Offset::Offset(offset.cast_signed()))
            .and_then(|()| self.consumer.assign(&list))
            .map_err(|error| errors::error(&self.what(), &error))?;
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            match self.consumer.poll(POLL) {
                None => {}
                Some(Ok(message)) => return Ok(Some(record::taken_in_ms(&message))),
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(None),
                Some(Err(error)) => self.complained(error)?,
            }
        }
        Err(self.silent())
    }
}

/// Where the partitions' logs begin and end, by number.
struct Ends {
    low: Vec<u64>,
    high: Vec<u64>,
}

fn keep(lanes: &mut Lanes, settled: Option<&Settled>, message: &BorrowedMessage<'_>) {
    let (partition, offset) = (message.partition().cast_unsigned(), message.offset().cast_unsigned());
    let Some(lane) = lanes.lanes.get_mut(partition as usize) else { return };
    if !lane.wants(offset) || settled.is_some_and(|settled| settled.contains(partition, offset)) {
        return;
    }
    let ms = record::taken_in_ms(message);
    let (record, bytes) = record::of_message(message);
    lanes.push(partition, offset, ms, record, bytes + RECORD_BYTES);
}

/// A consumer that joins no group. librdkafka wants a group's name of it nevertheless, and looks for that group's
/// coordinator; nothing is asked of it but what a subscription has committed.
fn consumer(cluster: &Cluster, topic: &str, group: Option<&str>) -> Result<BaseConsumer<Context>, Error> {
    let mut config = cluster.settings.reader();
    config
        .set("group.id", group.unwrap_or(&cluster.settings.client_id))
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        // An end in an empty partition is told when the broker has waited in vain.
        .set("fetch.wait.max.ms", "100");
    config
        .create_with_context(cluster.context())
        .map_err(|error| errors::client(&format!("topic {topic} cannot be read"), &error))
}
