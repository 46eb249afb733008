//! Random work against a plain model, with power losses at random operations: what was answered is there, what was
//! refused is not, what was settled durably stays settled, nothing else is, and nothing is removed before all settled it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::common::*;
use postrider_log::{AppendError, Item, Log, Note, Options, SettleLog, Store};
use proptest::prelude::*;

/// Subscriptions of the one log.
const WHO: usize = 2;

#[derive(Clone, Debug)]
enum Step {
    Append {
        records: usize,
        bytes: usize,
    },
    Settle {
        who: usize,
        at: u64,
        count: u64,
    },
    /// Settles the oldest, so that retention has something to remove.
    SettleOldest {
        who: usize,
        count: u64,
    },
    Note {
        who: usize,
        at: u64,
    },
    Seek {
        who: usize,
        to: u64,
    },
    Flush {
        who: usize,
    },
    Reopen,
    /// The power goes after so many more operations of the disk.
    PowerLoss {
        operations: usize,
        seed: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1usize..6, 0usize..900).prop_map(|(records, bytes)| Step::Append { records, bytes }),
        5 => (0..WHO, 0u64..60, 1u64..8).prop_map(|(who, at, count)| Step::Settle { who, at, count }),
        3 => (0..WHO, 1u64..20).prop_map(|(who, count)| Step::SettleOldest { who, count }),
        2 => (0..WHO, 0u64..60).prop_map(|(who, at)| Step::Note { who, at }),
        1 => (0..WHO, 0u64..60).prop_map(|(who, to)| Step::Seek { who, to }),
        4 => (0..WHO).prop_map(|who| Step::Flush { who }),
        1 => Just(Step::Reopen),
        2 => (0usize..12, any::<u64>()).prop_map(|(operations, seed)| Step::PowerLoss { operations, seed }),
    ]
}

/// What must hold, and what may.
#[derive(Default)]
struct Model {
    /// Acknowledged records by sequence.
    durable: BTreeMap<u64, Vec<u8>>,
    /// Unknown ones: they may be there, in this order, behind the durable ones.
    unknown: Vec<Vec<u8>>,
    subscriptions: [Subscription; WHO],
    counter: u64,
    /// The first sequence that was there at the last reopening.
    first: u64,
}

struct Subscription {
    /// Progress as of the last flush, and the states since, any of which a crash may bring back.
    states: Vec<Progress>,
    /// The highest floor ever: what lies below it may be removed, even if the cursor was moved back since.
    floor_max: u64,
}

impl Default for Subscription {
    fn default() -> Self {
        Self { states: vec![Progress::default()], floor_max: 1 }
    }
}

impl Subscription {
    /// A new state, to be changed.
    fn now(&mut self) -> &mut Progress {
        let last = self.states.last().cloned().unwrap_or_default();
        self.states.push(last);
        self.states.last_mut().unwrap()
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Progress {
    settled: std::collections::BTreeSet<u64>,
    notes: BTreeMap<u64, u32>,
}

struct World {
    store: Store,
    log: Arc<Log>,
    settles: [Arc<SettleLog>; WHO],
    flaky: Arc<Flaky>,
}

impl World {
    fn open(path: &std::path::Path) -> Self {
        let flaky = Flaky::new();
        let options = Options { segment_bytes: 2000, retention_bytes: 3000, disk: flaky.disk(), ..options() };
        let (store, damage) = Store::open(path, options).unwrap();
        assert_eq!(damage, [], "a power loss damages nothing that was durable");
        let log = store.ensure_log("t").unwrap();
        let settles = ["s", "r"].map(|name| store.ensure_settle_log(name, &log, b"", 1).unwrap());
        Self { store, log, settles, flaky }
    }

    fn progress(&self, who: usize, end: u64) -> Progress {
        let settles = &self.settles[who];
        let mut now = Progress::default();
        for n in 1..end {
            if settles.is_settled(n) {
                now.settled.insert(n);
            } else {
                let (found, note) = settles.next_unsettled(n, settles.version()).unwrap();
                assert_eq!(found, n);
                if note.attempts > 0 {
                    now.notes.insert(n, note.attempts);
                }
            }
        }
        now
    }
}

impl Model {
    fn end(&self) -> u64 {
        self.durable.last_key_value().map_or(1, |(last, _)| last + 1)
    }

    /// Compares after a reopening, and takes over what turned out of the unknown.
    fn check(&mut self, world: &World) {
        let first = world.log.first();
        let removable = self.subscriptions.iter().map(|of| of.floor_max).min();
        assert!(Some(first) <= removable, "removed up to {first}, and {removable:?} was settled by all");
        assert!(first >= self.first, "what was removed is back: {first} after {}", self.first);
        self.first = first;
        let mut expected = self.durable.range(first..);
        let mut unknown = std::mem::take(&mut self.unknown).into_iter();
        let mut landed = Vec::new();
        for item in read(&world.log, first) {
            let Item::Record(record) = item else { panic!("a hole: {item:?}") };
            match expected.next() {
                Some((sequence, bytes)) => {
                    assert_eq!(
                        (record.sequence, &record.bytes[..]),
                        (*sequence, &bytes[..]),
                        "a durable record"
                    );
                }
                None => {
                    let found = unknown.find(|bytes| bytes[..] == record.bytes[..]);
                    landed.push((record.sequence, found.expect("nobody appended this")));
                }
            }
        }
        assert_eq!(expected.next(), None, "a durable record is lost");
        self.durable.extend(landed);
        let end = self.end();
        assert_eq!(world.log.end(), end);
        for (who, of) in self.subscriptions.iter_mut().enumerate() {
            let now = world.progress(who, end);
            assert!(of.states.contains(&now), "{now:?} is none of {:?}", of.states);
            of.states = vec![now];
        }
    }

    fn append(&mut self, world: &World, records: usize, bytes: usize) {
        let records: Vec<Vec<u8>> = (0..records)
            .map(|_| {
                self.counter += 1;
                let mut record = self.counter.to_le_bytes().to_vec();
                record.resize(8 + bytes, self.counter as u8);
                record
            })
            .collect();
        let slices: Vec<&[u8]> = records.iter().map(|r| &r[..]).collect();
        match append(&world.store, &world.log, &slices) {
            Ok(appended) => {
                assert_eq!(appended.first, self.end());
                self.durable.extend((appended.first..).zip(records));
            }
            Err(AppendError::Unknown(_)) => self.unknown.extend(records),
            Err(AppendError::Poisoned(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }

    fn apply(&mut self, world: &World, step: &Step) {
        let end = self.end();
        match *step {
            Step::Append { records, bytes } => self.append(world, records, bytes),
            Step::Settle { who, at, count } if end > 1 => {
                let from = 1 + at % (end - 1);
                self.settle(world, who, from, (from + count).min(end));
            }
            Step::SettleOldest { who, count } if world.settles[who].floor() < end => {
                let floor = world.settles[who].floor();
                self.settle(world, who, floor, (floor + count).min(end));
            }
            Step::Note { who, at } if end > 1 => {
                let sequence = 1 + at % (end - 1);
                self.counter += 1;
                let attempts = self.counter as u32;
                let settles = &world.settles[who];
                settles.note(sequence, Note { attempts, first_ms: 5 }, settles.version()).unwrap();
                let now = self.subscriptions[who].now();
                if !now.settled.contains(&sequence) {
                    now.notes.insert(sequence, attempts);
                }
            }
            Step::Seek { who, to } => {
                let to = 1 + to % end;
                world.settles[who].seek(to);
                *self.subscriptions[who].now() =
                    Progress { settled: (1..to).collect(), notes: BTreeMap::new() };
            }
            Step::Flush { who } if flush(&world.settles[who]).is_ok() => {
                let states = &mut self.subscriptions[who].states;
                states.drain(..states.len() - 1);
            }
            _ => {}
        }
        for (who, of) in self.subscriptions.iter_mut().enumerate() {
            of.floor_max = of.floor_max.max(world.settles[who].floor());
            // In memory everything holds at once, durable or not.
            assert_eq!(Some(&world.progress(who, end)), of.states.last());
        }
    }

    fn settle(&mut self, world: &World, who: usize, from: u64, to: u64) {
        let settles = &world.settles[who];
        settles.settle(from, to, settles.version()).unwrap();
        let now = self.subscriptions[who].now();
        now.settled.extend(from..to);
        now.notes.retain(|n, _| !(from..to).contains(n));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_work_with_power_losses_keeps_every_promise(steps in prop::collection::vec(step(), 1..60)) {
        // A disk in memory where there is one: what a sync does, the flaky disk plays.
        let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let mut world = World::open(directory.path());
        let mut model = Model::default();
        let mut doom = None;
        for step in &steps {
            match *step {
                Step::PowerLoss { operations, seed } if doom.is_none() => {
                    world.flaky.die_after(operations);
                    doom = Some(seed);
                }
                Step::Reopen | Step::PowerLoss { .. } => {
                    let flaky = Arc::clone(&world.flaky);
                    drop(world);
                    if let Some(seed) = doom.take() {
                        flaky.lose_power(seed);
                    }
                    world = World::open(directory.path());
                    model.check(&world);
                }
                _ => model.apply(&world, step),
            }
        }
    }
}
