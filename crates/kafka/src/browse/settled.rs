//! What a subscription has settled, for whoever only looks: as of its last commit.

use broker::{Error, ErrorKind};
use rdkafka::consumer::BaseConsumer;

use crate::context::Context;
use crate::group;
use crate::progress::Progress;

/// A subscription's progress in each partition, by number.
pub(super) struct Settled(Vec<Progress>);

impl Settled {
    /// Asks with a client of the subscription's group, which need not be a member. Blocks for a round trip.
    pub(super) fn read(
        consumer: &BaseConsumer<Context>,
        name: &str,
        topic: &str,
        partitions: u32,
    ) -> Result<Self, Error> {
        let numbers: Vec<u32> = (0..partitions).collect();
        let committed = group::patiently(|| group::committed(consumer, name, topic, &numbers))?;
        if committed.is_empty() {
            let message = format!("there is no subscription {name} on topic {topic}");
            return Err(Error::new(ErrorKind::NotFound, message));
        }
        let progress = numbers.iter().map(|number| match committed.get(number) {
            Some(committed) => Progress::restore(committed.offset, &committed.metadata).0,
            None => Progress::new(0),
        });
        Ok(Self(progress.collect()))
    }

    pub(super) fn contains(&self, partition: u32, offset: u64) -> bool {
        self.0.get(partition as usize).is_some_and(|progress| progress.is_settled(offset))
    }
}
