//! The model keeps the contract while it misbehaves: a caller that plays by the rules loses nothing, whatever the seed.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use postrider_broker::model::{Faults, Happened, Model, Moment, Settings, SourceId};
use postrider_broker::{
    Body, Credit, Hop, Input, Key, Lease, Note, Outcome, Payload, Position, Record, Settle, Start,
    Subscription,
};

const TOPIC: &str = "orders";

fn record(key: Option<u8>, number: u64) -> Record {
    Record {
        key: key.and_then(|k| Key::new(vec![b'k', k])),
        body: Body::Foreign { bytes: number.to_be_bytes().to_vec().into(), reason: "a test's".into() },
        hop: Hop { sequence: number, ..Hop::default() },
        letter: None,
    }
}

fn subscription(ordered: bool) -> Subscription {
    Subscription {
        name: "svc.sub".into(),
        topic: TOPIC.into(),
        start: Start::Earliest,
        ordered,
        until: None,
        keeps_unsettled: false,
    }
}

/// A caller that publishes at random, settles at random, crashes the model now and then, and keeps account.
struct Run {
    model: Model,
    rng: fastrand::Rng,
    now: Duration,
    ordered: bool,
    source: Option<SourceId>,
    /// Leases that the caller takes to be alive, by position, with the key.
    held: BTreeMap<u64, (Lease, Option<Key>)>,
    done: BTreeSet<u64>,
    recalled: HashSet<Lease>,
    sequence: u64,
}

const CREDIT: Credit = Credit { events: 32, bytes: 400 };

impl Run {
    fn new(seed: u64, faults: Faults) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let ordered = rng.u8(..4) > 0;
        let settings = Settings { faults, ..Settings::default() };
        let mut model = Model::new(settings, rng.fork());
        model.ensure(Duration::ZERO, &subscription(ordered)).expect("the model is up");
        Self {
            model,
            rng,
            now: Duration::ZERO,
            ordered,
            source: None,
            held: BTreeMap::new(),
            done: BTreeSet::new(),
            recalled: HashSet::new(),
            sequence: 0,
        }
    }

    fn poll(&mut self) {
        let Some(source) = self.source else {
            self.source = self.model.open(self.now, &subscription(self.ordered), CREDIT).ok();
            return;
        };
        let mut inputs = Vec::new();
        if let Err(error) = self.model.poll(self.now, source, &mut inputs) {
            assert!(error.is_temporary(), "a source that is open only fails for a while: {error}");
        }
        for input in inputs {
            self.take(input);
        }
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Delivery(delivery) => {
                let Position::Number(position) = delivery.position else {
                    panic!("not the model's position")
                };
                assert!(matches!(delivery.payload, Payload::Here(_)));
                self.held.remove(&position);
                if let Some(key) = &delivery.key {
                    let later =
                        self.held.iter().find(|(p, (_, k))| **p > position && k.as_ref() == Some(key));
                    assert_eq!(later, None, "line 2: {position} of {key} comes while a later one is held");
                }
                let clash = self.held.values().find(|(l, _)| l.slot == delivery.lease.slot);
                assert_eq!(clash, None, "a slot is given out while it is held");
                assert!(delivery.lease.slot < CREDIT.events, "slots are dense");
                self.held.insert(position, (delivery.lease, delivery.key));
                assert!(self.held.len() <= CREDIT.events as usize, "line 9: more than the credit is out");
            }
            Input::Revoked(lease) => self.held.retain(|_, (l, _)| *l != lease),
            Input::Gap(gap) => panic!("nothing expired: {gap:?}"),
            Input::Recalled(lease) => {
                assert!(self.recalled.insert(lease), "line 6: recalled once: {lease:?}");
            }
            Input::CaughtUp => {}
        }
    }

    fn settle_some(&mut self) {
        let Some(source) = self.source else { return };
        let positions: Vec<u64> = self.held.keys().copied().collect();
        for position in positions {
            let Some((lease, key)) = self.held.get(&position).cloned() else { continue };
            match self.rng.u8(..10) {
                0..4 => {
                    if self.model.settle(self.now, source, lease, Settle::Done) {
                        self.done.insert(position);
                    }
                    self.held.remove(&position);
                }
                4 => {
                    self.model.settle(self.now, source, lease, Settle::Release);
                    self.held
                        .retain(|p, (_, k)| *p < position || *p != position && (key.is_none() || *k != key));
                }
                5 => {
                    let note = Note { attempts: 1, first_ms: 5 };
                    self.model.note(self.now, source, lease, note);
                }
                _ => {}
            }
        }
    }

    fn publish_some(&mut self) {
        let count = self.rng.usize(1..=4);
        let records = (0..count)
            .map(|_| {
                self.sequence += 1;
                let key = self.rng.u8(..7);
                record((key > 0).then_some(key), self.sequence)
            })
            .collect();
        let deadline = self.now + Duration::from_millis(self.rng.u64(0..2_000));
        let _ticket = self.model.publish(self.now, TOPIC, records, deadline);
    }

    fn crash(&mut self) {
        self.model.crash(self.now);
        self.source = None;
        self.held.clear();
        self.recalled.clear();
    }

    fn rounds(&mut self, rounds: usize, crash: bool) {
        for _ in 0..rounds {
            self.now += Duration::from_millis(self.rng.u64(0..200));
            match self.rng.u8(..8) {
                0..3 => self.publish_some(),
                3..5 => self.poll(),
                5..7 => self.settle_some(),
                _ if crash && self.rng.u8(..20) == 0 => self.crash(),
                _ => {}
            }
        }
    }

    /// No more faults and no more publishing: everything that landed must be done in the end.
    fn quiet_down(&mut self) {
        self.model.set_faults(Faults::calm());
        for _ in 0..10_000 {
            if self.model.under_way() == 0
                && self.model.unanswered() == 0
                && self.model.lag_of("svc.sub").records == 0
            {
                break;
            }
            let next = self.model.next_event_at().unwrap_or(self.now);
            self.now = self.now.max(next) + Duration::from_millis(1);
            self.poll();
            self.settle_some();
        }
    }
}

/// What the history must show.
fn judge(model: &Model) {
    let mut appended: BTreeMap<(u64, usize), u64> = BTreeMap::new();
    for moment in &model.history().moments {
        if let Happened::Appended { position, ticket, index, .. } = &moment.what {
            let twice = appended.insert((ticket.0, *index), *position);
            assert_eq!(twice, None, "line 3: one record landed twice");
        }
    }
    for moment in &model.history().moments {
        let Happened::Answered { ticket, outcomes } = &moment.what else { continue };
        for (index, outcome) in outcomes.iter().enumerate() {
            let landed = appended.get(&(ticket.0, index));
            match outcome {
                Outcome::Durable(position) => {
                    assert_eq!(
                        landed.map(|p| Position::Number(*p)).as_ref(),
                        Some(position),
                        "line 1: no lie"
                    );
                }
                Outcome::Refused(refusal) => {
                    assert_eq!(landed, None, "line 1: refused, yet written: {refusal:?}");
                }
                Outcome::Unknown(_) => {}
            }
        }
    }
    let lag = model.lag_of("svc.sub");
    assert_eq!(lag.records, 0, "line 4: something landed and is never handed out");
}

/// Line 6: what was recalled is settled, or revoked when its time is over (an outage prolongs that), and not before.
fn judge_recalls(model: &Model) {
    let mut open: BTreeMap<(SourceId, u64), (Lease, Duration)> = BTreeMap::new();
    let mut ends_of_outages = Duration::ZERO;
    for Moment { at, what } in &model.history().moments {
        match what {
            Happened::Outage { until } => ends_of_outages = ends_of_outages.max(*until),
            Happened::Recalled { source, lease, position, until } => {
                let twice = open.insert((*source, *position), (*lease, *until));
                assert_eq!(twice, None, "{position} is recalled under two leases at once");
            }
            Happened::Settled { source, position, lease, .. }
            | Happened::Superseded { source, position, lease } => {
                let recalled = open.remove(&(*source, *position));
                assert!(recalled.is_none_or(|(it, _)| it == *lease), "another lease of {position} lived");
            }
            Happened::Revoked { source, position, .. } => {
                open.remove(&(*source, *position));
            }
            Happened::HandedOut { source, position, .. } => {
                let alive = open.get(&(*source, *position));
                assert_eq!(alive, None, "{position} is handed out while it is held elsewhere");
            }
            Happened::Closed { source, .. } => open.retain(|(of, _), _| of != source),
            Happened::Crashed => open.clear(),
            _ => {}
        }
        let over = |until: Duration| until.max(ends_of_outages) < *at;
        let late = open.iter().find(|(_, (_, until))| over(*until));
        assert_eq!(late, None, "a recall has no end at {at:?}");
    }
}

/// Per key and process, what landed did so in call order.
fn judge_order(model: &Model) {
    let crashes = model.history().count(|h| *h == Happened::Crashed);
    let mut last: BTreeMap<Key, u64> = BTreeMap::new();
    for (_, record) in model.log(TOPIC) {
        if let Some(key) = &record.key {
            let before = last.insert(key.clone(), record.hop.sequence).unwrap_or(0);
            assert!(crashes > 0 || before < record.hop.sequence, "line 2: {key} landed out of call order");
        }
    }
}

#[test]
fn a_rule_abiding_caller_loses_nothing() {
    for seed in 0..150 {
        let faults = match seed % 3 {
            0 => Faults::calm(),
            1 => Faults::restless(),
            _ => Faults::nasty(),
        };
        let mut run = Run::new(seed, faults);
        run.rounds(400, seed % 2 == 0);
        run.quiet_down();
        judge(&run.model);
        judge_recalls(&run.model);
        judge_order(&run.model);
    }
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let history = |seed| {
        let mut run = Run::new(seed, Faults::nasty());
        run.rounds(500, true);
        format!("{:?}", run.model.history())
    };
    assert_eq!(history(7), history(7), "a model that depends on anything but its seed cannot be replayed");
    assert_ne!(history(7), history(8), "the seed changes nothing");
}

#[test]
fn every_fault_happens() {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in 0..20 {
        let mut run = Run::new(seed, Faults::nasty());
        run.rounds(500, true);
        for moment in &run.model.history().moments {
            let name = match &moment.what {
                Happened::Superseded { .. } => "superseded",
                Happened::Revoked { .. } => "revoked",
                Happened::Recalled { .. } => "recalled",
                Happened::Stale { .. } => "stale",
                Happened::Forgotten { .. } => "forgotten",
                Happened::Outage { .. } => "outage",
                Happened::Crashed => "crashed",
                Happened::Answered { outcomes, .. }
                    if outcomes.iter().any(|o| matches!(o, Outcome::Unknown(_))) =>
                {
                    "unknown"
                }
                Happened::Answered { outcomes, .. }
                    if outcomes.iter().any(|o| matches!(o, Outcome::Refused(_))) =>
                {
                    "refused"
                }
                _ => continue,
            };
            *seen.entry(name).or_default() += 1;
        }
    }
    assert_eq!(seen.len(), 9, "the nasty model never did some of what it claims to: {seen:?}");
}

#[test]
fn unknown_records_land_late_or_never() {
    let (mut late, mut never, mut overtaken) = (0, 0, 0);
    for seed in 0..20 {
        let mut run = Run::new(seed, Faults::nasty());
        run.rounds(500, false);
        run.quiet_down();
        let moments = &run.model.history().moments;
        for (at, moment) in moments.iter().enumerate() {
            let Happened::Answered { ticket, outcomes } = &moment.what else { continue };
            for (i, _) in outcomes.iter().enumerate().filter(|(_, o)| matches!(o, Outcome::Unknown(_))) {
                let landed = |m: &Moment| matches!(&m.what, Happened::Appended { ticket: t, index, .. } if t == ticket && *index == i);
                match moments[at..].iter().position(landed) {
                    Some(after) => {
                        late += 1;
                        let appended = |m: &Moment| matches!(m.what, Happened::Appended { .. });
                        overtaken += usize::from(moments[at..at + after].iter().any(appended));
                    }
                    None if moments.iter().any(landed) => {}
                    None => never += 1,
                }
            }
        }
    }
    assert!(late > 0 && never > 0 && overtaken > 0, "late {late}, never {never}, overtaken {overtaken}");
}

#[test]
fn retention_is_told_as_a_gap() {
    let mut model = Model::new(Settings::default(), fastrand::Rng::with_seed(1));
    let at = Duration::from_millis;
    model.ensure(at(0), &subscription(true)).unwrap();
    let _ticket = model.publish(at(0), TOPIC, (1..=5).map(|n| record(Some(1), n)).collect(), at(100));
    model.advance(at(50));
    model.expire(at(50), TOPIC, 2);
    let source = model.open(at(50), &subscription(true), CREDIT).unwrap();
    let mut inputs = Vec::new();
    model.poll(at(50), source, &mut inputs).unwrap();
    assert!(matches!(&inputs[0], Input::Gap(gap) if gap.records == Some(2)), "{inputs:?}");
    assert_eq!(inputs.iter().filter(|i| matches!(i, Input::Delivery(_))).count(), 3);
    assert!(matches!(inputs.last(), Some(Input::CaughtUp)));
}
