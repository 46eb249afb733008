use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use broker::Record;
use parking_lot::{Mutex, MutexGuard};

/// Keeps the order of sequence numbers and the order of the driver's publish calls the same, for each key.
///
/// Stamping and handing over must be one step for a key: else two calls could take their numbers in one order and reach
/// the driver in the other. A lock is held over both, one of 64 by the key's digest, so that other keys hardly ever
/// wait; a call with several keys takes its locks in ascending order, which cannot deadlock. Records without a key have
/// no order and take no lock. The driver's publish neither blocks nor waits, so a lock is held for microseconds.
#[derive(Debug)]
pub(crate) struct Order {
    shards: [Mutex<()>; SHARDS],
    sequence: AtomicU64,
}

const SHARDS: usize = 64;

impl Order {
    pub(crate) fn new() -> Self {
        Self { shards: [const { Mutex::new(()) }; SHARDS], sequence: AtomicU64::new(1) }
    }

    /// Numbers the records and hands them over, in one step for each of their keys.
    pub(crate) fn stamped<T>(&self, mut records: Vec<Record>, hand_over: impl FnOnce(Vec<Record>) -> T) -> T {
        let shards = records.iter().filter_map(shard).fold(0_u64, |set, shard| set | 1 << shard);
        let _held = self.lock(shards);
        let first = self.sequence.fetch_add(records.len() as u64, Relaxed);
        for (record, sequence) in records.iter_mut().zip(first..) {
            record.hop.sequence = sequence;
        }
        hand_over(records)
    }

    fn lock(&self, shards: u64) -> Held<'_> {
        match shards.count_ones() {
            0 => Held::Nothing,
            1 => Held::One { _guard: self.shards[shards.trailing_zeros() as usize].lock() },
            _ => Held::Several {
                _guards: (0..SHARDS)
                    .filter(|shard| shards & (1 << shard) != 0)
                    .map(|shard| self.shards[shard].lock())
                    .collect(),
            },
        }
    }
}

/// Guards that are only ever dropped; one key, the common case, allocates nothing.
enum Held<'a> {
    Nothing,
    One { _guard: MutexGuard<'a, ()> },
    Several { _guards: Vec<MutexGuard<'a, ()>> },
}

fn shard(record: &Record) -> Option<u32> {
    record.key.as_ref().map(|key| (key.digest() % SHARDS as u128) as u32)
}
