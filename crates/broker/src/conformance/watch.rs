use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use super::samples::number;
use crate::{
    Capabilities, Credit, Delivery, Error, Input, Lease, Note, Payload, Position, Record, Settle, Source,
};

/// A source that is watched: whatever it says is held against the contract, and against what it said before.
#[derive(Debug)]
pub(super) struct Watched {
    source: Box<dyn Source>,
    can: Capabilities,
    ordered: bool,
    patience: Duration,
    quiet: Duration,
    credit: Credit,
    events_max: u32,
    held: BTreeMap<u32, Held>,
    /// The last generation of each slot.
    generations: BTreeMap<u32, u32>,
    hand_outs: u64,
    recalled: HashSet<Lease>,
    caught_up: bool,
}

/// What the suite holds.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) delivery: Delivery,
    /// Loaded, where it was not in the delivery.
    record: Option<Record>,
    /// Which hand-out of the source it was.
    nth: u64,
}

impl Held {
    pub(super) fn lease(&self) -> Lease {
        self.delivery.lease
    }

    pub(super) fn position(&self) -> &Position {
        &self.delivery.position
    }

    pub(super) fn record(&self) -> &Record {
        self.record.as_ref().expect("records are loaded before a chapter sees what is held")
    }

    pub(super) fn number(&self) -> u64 {
        number(self.record())
    }
}

impl Watched {
    pub(super) fn new(
        source: Box<dyn Source>,
        credit: Credit,
        can: Capabilities,
        ordered: bool,
        [patience, quiet]: [Duration; 2],
    ) -> Self {
        Self {
            source,
            can,
            ordered,
            patience,
            quiet,
            credit,
            events_max: credit.events,
            held: BTreeMap::new(),
            generations: BTreeMap::new(),
            hand_outs: 0,
            recalled: HashSet::new(),
            caught_up: false,
        }
    }

    /// Waits until so many deliveries are held, and returns them in the order of their hand-outs.
    pub(super) async fn hold(&mut self, count: usize) -> Vec<Held> {
        while self.held.len() < count {
            let came = self.step(self.patience).await;
            assert!(came, "line 4: {count} deliveries were to come, {} are held", self.held.len());
        }
        self.held()
    }

    /// What is held now, in the order of the hand-outs.
    pub(super) fn held(&self) -> Vec<Held> {
        let mut held: Vec<Held> = self.held.values().cloned().collect();
        held.sort_by_key(|h| h.nth);
        held
    }

    /// Settles so many deliveries as done, which must be all that there are; returns them in that order.
    pub(super) async fn drain(&mut self, count: usize) -> Vec<Held> {
        let done = self.take_some(count).await;
        let more = numbers(&self.held());
        assert!(more.is_empty(), "line 4: {count} deliveries were to come, and {more:?} came besides");
        done
    }

    /// Takes and settles as done until so many deliveries were done; returns them in that order.
    pub(super) async fn take_some(&mut self, count: usize) -> Vec<Held> {
        let mut done = Vec::new();
        while done.len() < count {
            let next = self.hold(1).await.remove(0);
            self.settle(next.lease(), Settle::Done);
            done.push(next);
        }
        done
    }

    /// Nothing comes but what was held before: a hand-out of it again, or its revocation.
    pub(super) async fn expect_quiet(&mut self, promise: &str) {
        let before: Vec<Position> = self.held.values().map(|h| h.position().clone()).collect();
        while self.step(self.quiet).await {
            let new = self.held.values().find(|h| !before.contains(h.position()));
            assert!(new.is_none(), "{promise}: nothing more was to be handed out, but {new:?} was");
        }
    }

    /// Waits until these leases are dead.
    pub(super) async fn expect_revoked(&mut self, leases: &[Lease], promise: &str) {
        while self.held.values().any(|h| leases.contains(&h.lease())) {
            let came = self.step(self.patience).await;
            assert!(came, "{promise}: what is held of it is to be reported as revoked");
        }
    }

    /// Takes whatever still comes, until nothing does.
    pub(super) async fn settle_down(&mut self) {
        while self.step(self.quiet).await {}
    }

    /// Waits for `CaughtUp`.
    pub(super) async fn expect_caught_up(&mut self) {
        while !self.caught_up {
            let came = self.step(self.patience).await;
            assert!(came, "CaughtUp was to be said once everything of the opening had been handed out");
        }
    }

    pub(super) fn is_caught_up(&self) -> bool {
        self.caught_up
    }

    pub(super) fn settle(&mut self, lease: Lease, settle: Settle) {
        self.source.settle(lease, settle);
        let alive = self.held.get(&lease.slot).is_some_and(|h| h.lease() == lease);
        if !alive {
            return;
        }
        let Some(ended) = self.held.remove(&lease.slot) else { return };
        if settle == Settle::Release && ended.delivery.key.is_some() {
            // The held tail of the key died with it.
            self.held.retain(|_, h| h.delivery.key != ended.delivery.key || h.nth < ended.nth);
        }
    }

    pub(super) fn note(&mut self, lease: Lease, note: Note) {
        self.source.note(lease, note);
    }

    pub(super) fn set_credit(&mut self, credit: Credit) {
        self.credit = credit;
        self.events_max = self.events_max.max(credit.events);
        self.source.set_credit(credit);
    }

    pub(super) async fn flush(&mut self) {
        let flushed = tokio::time::timeout(self.patience, self.source.flush()).await;
        flushed.expect("line 8: a flush returns").expect("line 8: a flush succeeds on a broker that is well");
    }

    pub(super) fn source(&mut self) -> &mut dyn Source {
        &mut *self.source
    }

    pub(super) async fn close(self) -> Result<(), Error> {
        let closed = tokio::time::timeout(self.patience, self.source.close()).await;
        closed.expect("a source closes")
    }

    /// Waits for inputs, at most so long, and takes them in. False where none came.
    async fn step(&mut self, wait: Duration) -> bool {
        let mut inputs = Vec::new();
        let polled = {
            let poll = std::future::poll_fn(|cx| self.source.poll_next(cx, &mut inputs));
            tokio::time::timeout(wait, poll).await
        };
        match polled {
            Err(_) => return false,
            Ok(Err(error)) => assert!(error.is_temporary(), "an open source goes on: {error}"),
            Ok(Ok(())) => assert!(!inputs.is_empty(), "a poll brings an input or is pending"),
        }
        for input in inputs {
            self.take(input);
        }
        self.load().await;
        self.check_order();
        true
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Delivery(delivery) => self.take_delivery(delivery),
            Input::Revoked(lease) => self.held.retain(|_, h| h.lease() != lease),
            // It stays held until it is settled or revoked.
            Input::Recalled(lease) => self.take_recall(lease),
            Input::Gap(gap) => {
                panic!("line 4: a gap was reported, though retention took nothing: {gap:?}");
            }
            Input::CaughtUp => {
                assert!(
                    self.can.caught_up,
                    "line 10: CaughtUp was said, which is not among the capabilities"
                );
                assert!(!self.caught_up, "CaughtUp is said once");
                self.caught_up = true;
            }
        }
    }

    fn take_recall(&mut self, lease: Lease) {
        let known = self.generations.get(&lease.slot).is_some_and(|last| *last == lease.generation);
        assert!(known, "line 6: a slot's recall comes before its next delivery: {lease:?}");
        assert!(self.recalled.insert(lease), "line 6: a lease is recalled once: {lease:?}");
    }

    fn take_delivery(&mut self, delivery: Delivery) {
        let lease = delivery.lease;
        // Line 5: the same position again supersedes the older lease.
        self.held.retain(|_, h| h.delivery.position != delivery.position);
        let (events, max) = (self.held.len() + 1, self.credit.events as usize);
        assert!(events <= max, "line 9: {events} events are held on a credit of {max}");
        assert!(
            lease.slot < self.events_max,
            "slots are dense: slot {} came, and the largest credit was {}",
            lease.slot,
            self.events_max
        );
        let clash = self.held.get(&lease.slot);
        assert!(clash.is_none(), "a slot is given out again only after its lease died: {clash:?}, {lease:?}");
        let last = self.generations.insert(lease.slot, lease.generation);
        assert_ne!(last, Some(lease.generation), "a slot's next lease has another generation");
        let keyed = delivery.key.is_some();
        assert!(self.ordered || !keyed, "where order does not matter, a delivery has no key");
        self.hand_outs += 1;
        let record = match &delivery.payload {
            Payload::Here(record) => Some(Record::clone(record)),
            Payload::Stored => None,
        };
        self.held.insert(lease.slot, Held { delivery, record, nth: self.hand_outs });
        self.check_bytes();
    }

    fn check_bytes(&self) {
        let here = self.held.values().filter(|h| matches!(h.delivery.payload, Payload::Here(_)));
        let (count, bytes) = here.fold((0, 0), |(n, sum), h| (n + 1, sum + u64::from(h.delivery.bytes)));
        let max = self.credit.bytes;
        assert!(count <= 1 || bytes <= max, "line 9: {bytes} bytes are held on a credit of {max}");
    }

    async fn load(&mut self) {
        let stored: Vec<Lease> = self.held.values().filter(|h| h.record.is_none()).map(Held::lease).collect();
        for lease in stored {
            let record = self.source.load(lease).await.expect("the record of a live lease can be loaded");
            if let Some(held) = self.held.get_mut(&lease.slot) {
                held.record = Some(record);
            }
        }
    }

    /// Line 2: of each key what is held was handed out in append order, which is the order of the numbers.
    fn check_order(&self) {
        let mut last: BTreeMap<&crate::Key, u64> = BTreeMap::new();
        let mut held: Vec<&Held> = self.held.values().collect();
        held.sort_by_key(|h| h.nth);
        for one in held {
            let Some(key) = &one.delivery.key else { continue };
            let before = last.insert(key, one.number()).unwrap_or(0);
            let number = one.number();
            assert!(
                number == 0 || before < number,
                "line 2: of {key}, {number} was handed out after {before}"
            );
        }
    }
}

/// The numbers of what is held, in that order.
pub(super) fn numbers(held: &[Held]) -> Vec<u64> {
    held.iter().map(Held::number).collect()
}

/// The numbers of what is held, sorted.
pub(super) fn sorted(held: &[Held]) -> Vec<u64> {
    let mut numbers = numbers(held);
    numbers.sort_unstable();
    numbers
}
