//! What a subscription has settled, for whoever only looks: as of its last commit.

use broker::{Error, ErrorKind};
use rdkafka::consumer::BaseConsumer;

use crate::cluster::Cluster;
use crate::context::Context;
use crate::progress::Progress;
use crate::{group, standing};

/// A subscription's progress in each partition, by number.
pub(super) struct Settled(Vec<Progress>);

impl Settled {
    /// Asks with a client of the subscription's group, which need not be a member. Blocks for a round trip. `highs`: where the
    /// partitions end, by number.
    pub(super) fn read(
        consumer: &BaseConsumer<Context>,
        name: &str,
        topic: &str,
        cluster: &Cluster,
        highs: &[u64],
    ) -> Result<Self, Error> {
        let numbers: Vec<u32> = (0..).zip(highs).map(|(number, _)| number).collect();
        let committed = group::patiently(|| group::committed(consumer, name, topic, &numbers))?;
        if committed.is_empty() {
            let message = format!("there is no subscription {name} on topic {topic}");
            return Err(Error::new(ErrorKind::NotFound, message));
        }
        let ends = numbers.iter().copied().zip(highs.iter().copied()).collect();
        let truncated = standing::truncated(cluster, topic, &committed, &ends)?;
        let progress = numbers.iter().map(|number| match committed.get(number) {
            // What was settled was of another log.
            _ if truncated.contains_key(number) => Progress::new(0),
            Some(committed) => Progress::restore(committed.offset, &committed.metadata).0,
            None => Progress::new(0),
        });
        Ok(Self(progress.collect()))
    }

    pub(super) fn contains(&self, partition: u32, offset: u64) -> bool {
        self.0.get(partition as usize).is_some_and(|progress| progress.is_settled(offset))
    }
}
