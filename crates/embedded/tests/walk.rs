//! Random walks over one subscription, with restarts: every record is delivered until it is settled, each key in order,
//! and what was settled and flushed never comes again.

#![expect(clippy::unwrap_used, reason = "what fails in a test is to fail the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use broker::{
    Batch, Body, Credit, Driver, Hop, Input, Key, Lease, Note, Outcome, Payload, Position, Record, Settle,
    Source, Start, Subscription,
};
use bytes::Bytes;
use postrider_embedded::{Config, Embedded};

struct Walk<'a> {
    path: &'a Path,
    random: fastrand::Rng,
    broker: Arc<Embedded>,
    source: Box<dyn Source>,
    credit: Credit,
    /// Key and bytes of every durable record.
    published: BTreeMap<u64, (u64, usize)>,
    held: BTreeMap<u64, Lease>,
    settled: BTreeSet<u64>,
    /// Settled as of the last flush: these never come again.
    flushed: BTreeSet<u64>,
    /// Flushed at once; a settle that a crash undoes brings its record's note again.
    notes: BTreeMap<u64, u32>,
}

fn subscription() -> Subscription {
    Subscription {
        name: "s".into(),
        topic: "t".into(),
        start: Start::Earliest,
        ordered: true,
        until: None,
        keeps_unsettled: false,
    }
}

async fn open(path: &Path, credit: Credit) -> (Arc<Embedded>, Box<dyn Source>) {
    let config = Config { reserve: 0, segment_bytes: 8192, ..Config::new(path) };
    let broker = Embedded::open(config).unwrap();
    assert_eq!(broker.damage(), []);
    broker.ensure(&subscription()).await.unwrap();
    let source = broker.open(&subscription(), credit).await.unwrap();
    (broker, source)
}

impl Walk<'_> {
    async fn publish(&mut self) {
        let records: Vec<(u64, usize)> =
            (0..self.random.u64(1..8)).map(|_| (self.random.u64(0..6), self.random.usize(0..2000))).collect();
        let record = |&(key, bytes): &(u64, usize)| Record {
            key: (key > 0).then(|| Key::new(format!("key-{key}")).unwrap()),
            body: Body::Foreign { bytes: Bytes::from(vec![key as u8; bytes]), reason: String::new() },
            hop: Hop::default(),
            letter: None,
        };
        let deadline = Instant::now() + Duration::from_secs(60);
        let batch = Batch { topic: "t".into(), records: records.iter().map(record).collect(), deadline };
        for (outcome, record) in self.broker.publish(batch).await.into_iter().zip(records) {
            let Outcome::Durable(Position::Number(position)) = outcome else { panic!("{outcome:?}") };
            assert_eq!(self.published.insert(position, record), None);
        }
    }

    /// Takes what there is; returns whether there was anything.
    async fn poll(&mut self) -> bool {
        let mut inputs = Vec::new();
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(polled) = self.source.poll_next(&mut context, &mut inputs) {
            polled.unwrap();
        }
        let some = !inputs.is_empty();
        for input in inputs {
            match input {
                Input::Recalled(_) | Input::CaughtUp => {}
                Input::Gap(gap) => panic!("{gap:?}"),
                Input::Revoked(lease) => self.held.retain(|_, held| *held != lease),
                Input::Delivery(delivery) => {
                    let Position::Number(position) = delivery.position else { panic!() };
                    let (key, bytes) = self.published[&position];
                    assert_eq!(delivery.key.is_some(), key > 0);
                    assert!(!self.settled.contains(&position), "{position} was settled");
                    let later =
                        self.held.keys().find(|held| **held > position && self.published[held].0 == key);
                    assert!(
                        key == 0 || later.is_none(),
                        "{position} came while {later:?} of its key was held"
                    );
                    assert_eq!(delivery.note.attempts, self.notes.get(&position).copied().unwrap_or(0));
                    let body = match delivery.payload {
                        Payload::Here(record) => record.body.clone(),
                        Payload::Stored => self.source.load(delivery.lease).await.unwrap().body,
                    };
                    assert!(matches!(body, Body::Foreign { bytes: found, .. } if found.len() == bytes));
                    assert_eq!(self.held.insert(position, delivery.lease), None);
                    assert!(self.held.len() <= self.credit.events as usize);
                }
            }
        }
        some
    }

    fn any_held(&mut self) -> Option<(u64, Lease)> {
        let nth = self.random.usize(0..self.held.len().max(1));
        self.held.iter().nth(nth).map(|(position, lease)| (*position, *lease))
    }

    fn done(&mut self) {
        if let Some((position, lease)) = self.any_held() {
            self.source.settle(lease, Settle::Done);
            self.held.remove(&position);
            self.settled.insert(position);
        }
    }

    fn release(&mut self) {
        if let Some((position, lease)) = self.any_held() {
            self.source.settle(lease, Settle::Release);
            let key = self.published[&position].0;
            let dies = |p: u64, k: u64| p == position || key > 0 && k == key && p > position;
            self.held.retain(|p, _| !dies(*p, self.published[p].0));
        }
    }

    fn note(&mut self) {
        if let Some((position, lease)) = self.any_held() {
            let attempts = self.random.u32(1..100);
            self.source.note(lease, Note { attempts, first_ms: 1 });
            self.notes.insert(position, attempts);
        }
    }

    async fn purge(&mut self) {
        let chosen: Vec<u64> = self.published.keys().copied().filter(|_| self.random.u8(..) < 10).collect();
        let positions: Vec<Position> = chosen.iter().map(|n| Position::Number(*n)).collect();
        let new = chosen.iter().filter(|n| !self.settled.contains(n)).count() as u64;
        assert_eq!(self.broker.purge("s", Some(&positions)).await.unwrap(), new);
        self.settled.extend(&chosen);
        // Their leases are dead from here on, whether that was said already or not.
        self.held.retain(|n, _| !chosen.contains(n));
        self.flushed = self.settled.clone();
    }

    async fn restart(&mut self) {
        // A crash: what was not flushed may be forgotten, so it is made certain first, or given up.
        if self.random.bool() {
            self.source.flush().await.unwrap();
            self.flushed = self.settled.clone();
        }
        let nowhere = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let (broker, source) = open(nowhere.path(), self.credit).await;
        drop((std::mem::replace(&mut self.source, source), std::mem::replace(&mut self.broker, broker)));
        (self.broker, self.source) = open(self.path, self.credit).await;
        self.held.clear();
        let lag = self.source.lag().records as usize;
        let (least, most) =
            (self.published.len() - self.settled.len(), self.published.len() - self.flushed.len());
        assert!((least..=most).contains(&lag), "{lag} is not in {least}..={most}");
        // What was not flushed is open: look at what the broker remembers.
        let mut unsettled = self.browse_unsettled().await;
        self.settled = self.published.keys().copied().filter(|n| !unsettled.remove(n)).collect();
        assert!(self.settled.is_superset(&self.flushed), "what was flushed is settled");
    }

    async fn browse_unsettled(&self) -> BTreeSet<u64> {
        let what = broker::Selection { unsettled_of: Some("s".into()), ..Default::default() };
        let mut browse = self.broker.browse("t", what).await.unwrap();
        let mut found = BTreeSet::new();
        loop {
            let page = browse.next(100).await.unwrap();
            if page.is_empty() {
                return found;
            }
            found.extend(page.iter().filter_map(|(position, ..)| match position {
                Position::Number(number) => Some(*number),
                _ => None,
            }));
        }
    }
}

async fn walk(seed: u64) {
    // A disk in memory where there is one: the walks are about what is remembered, not about how it is synced.
    let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let mut random = fastrand::Rng::with_seed(seed);
    let credit = Credit { events: random.u32(1..60), bytes: random.u64(0..20_000) };
    let (broker, source) = open(directory.path(), credit).await;
    let mut walk = Walk {
        path: directory.path(),
        random,
        broker,
        source,
        credit,
        published: BTreeMap::new(),
        held: BTreeMap::new(),
        settled: BTreeSet::new(),
        flushed: BTreeSet::new(),
        notes: BTreeMap::new(),
    };
    for _ in 0..150 {
        match walk.random.u8(0..20) {
            0..4 => walk.publish().await,
            4..9 => drop(walk.poll().await),
            9..14 => walk.done(),
            14..16 => walk.release(),
            16 => {
                walk.note();
                walk.source.flush().await.unwrap();
                walk.flushed = walk.settled.clone();
            }
            17 => walk.purge().await,
            18 => walk.restart().await,
            _ => {
                walk.source.flush().await.unwrap();
                walk.flushed = walk.settled.clone();
            }
        }
    }
    while walk.settled.len() < walk.published.len() {
        let came = walk.poll().await;
        assert!(
            came || !walk.held.is_empty(),
            "{} records never came",
            walk.published.len() - walk.settled.len()
        );
        while !walk.held.is_empty() {
            walk.done();
        }
    }
    assert_eq!(walk.source.lag().records, 0);
}

#[tokio::test]
async fn random_walks_lose_nothing_and_keep_the_order() {
    for seed in 0..40 {
        walk(seed).await;
    }
}
