//! The calls that a producer has taken and librdkafka has not reported whole.

use std::sync::Arc;
use std::time::Instant;

use broker::{Key, Outcome, Position, Promise};
use parking_lot::Mutex;
use slab::Slab;

use super::answer::{Answer, PENDING, is_pending};
use super::routes::Route;
use crate::settings::LANDS_WITHIN;
use broker::{Admission, Permit};

/// One `publish`.
#[derive(Debug)]
struct Call {
    /// Taken when it is answered, which its deadline may do before librdkafka has reported all records.
    promise: Option<Promise>,
    outcomes: Vec<Outcome>,
    keys: Vec<Option<Key>>,
    /// Records that librdkafka has not reported, and one more while they are still being handed over.
    pending: usize,
    is_handed_over: bool,
    /// The burst that waits for it; 0: none does.
    burst: u64,
    deadline: Instant,
    permit: Permit,
    route: Arc<Route>,
}

/// A producer's calls. A record finds its call by the integer that librdkafka carries with it: each is reported exactly
/// once, and until then the call's place in the slab is not given to another.
#[derive(Debug)]
pub(super) struct Calls {
    admission: Arc<Admission>,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    calls: Slab<Call>,
    /// No call that has not been answered has an earlier deadline.
    earliest: Option<Instant>,
}

/// The integer that librdkafka carries: the call's slot above, the record's index in the call below.
pub(super) fn tag(slot: usize, index: usize) -> usize {
    slot << 32 | index
}

fn untag(tag: usize) -> (usize, usize) {
    (tag >> 32, tag & 0xffff_ffff)
}

impl Calls {
    pub(super) fn new(admission: Arc<Admission>) -> Self {
        Self { admission, open: Mutex::default() }
    }

    /// Takes a call, whose records are about to be handed over.
    pub(super) fn begin(
        &self,
        promise: Promise,
        records: usize,
        deadline: Instant,
        permit: Permit,
        route: Arc<Route>,
    ) -> usize {
        let call = Call {
            promise: Some(promise),
            outcomes: vec![PENDING; records],
            keys: Vec::new(),
            pending: records + 1,
            is_handed_over: false,
            burst: 0,
            deadline,
            permit,
            route,
        };
        let mut open = self.open.lock();
        open.earliest = Some(open.earliest.map_or(deadline, |earliest| earliest.min(deadline)));
        open.calls.insert(call)
    }

    /// All records of a call are handed over, but for those that were refused.
    pub(super) fn handed_over(
        &self,
        slot: usize,
        burst: u64,
        keys: Vec<Option<Key>>,
        refused: Vec<(usize, Outcome)>,
    ) {
        let mut open = self.open.lock();
        let call = &mut open.calls[slot];
        call.keys = keys;
        (call.is_handed_over, call.burst) = (true, burst);
        call.pending -= 1 + refused.len();
        for (index, outcome) in refused {
            call.outcomes[index] = outcome;
        }
        let ended = (call.pending == 0).then(|| open.calls.remove(slot));
        drop(open);
        self.end(ended);
    }

    /// librdkafka reports a record.
    pub(super) fn reported(&self, tag: usize, outcome: Outcome) {
        let (slot, index) = untag(tag);
        let mut open = self.open.lock();
        // Absent only where its producer was given up and everything was answered before librdkafka was done.
        let Some(call) = open.calls.get_mut(slot) else { return };
        if let Outcome::Durable(Position::Pair(partition, _)) = &outcome {
            call.route.facts.has_partitions(&call.route.topic, partition + 1);
        }
        if call.promise.is_some() {
            call.outcomes[index] = outcome;
        }
        call.pending -= 1;
        let ended = (call.pending == 0).then(|| open.calls.remove(slot));
        drop(open);
        self.end(ended);
    }

    fn end(&self, call: Option<Call>) {
        let Some(call) = call else { return };
        // Its own producer, which the topic may leave once the call is done.
        let producer = Arc::clone(&call.route.producer.read_recursive());
        // The room is free before the publisher can come back for it.
        self.admission.release(call.permit);
        if let Some(promise) = call.promise {
            Answer::new(promise, call.outcomes, &call.keys).give();
        }
        call.route.done(call.burst);
        // It may let through what waits for it. Whoever sends holds this lock already where librdkafka took nothing.
        producer.pass(|gate| gate.reported(call.burst));
    }

    /// Answers the calls whose deadline has passed. They keep their place: librdkafka still has their records. Costs
    /// nothing to speak of until the earliest has passed.
    pub(super) fn expire(&self, now: Instant) {
        let mut open = self.open.lock();
        if open.earliest.is_none_or(|earliest| earliest > now) {
            return;
        }
        let (mut earliest, mut answers) = (None::<Instant>, Vec::new());
        for (_, call) in open.calls.iter_mut().filter(|(_, call)| call.promise.is_some()) {
            // One that is still being handed over is answered at the next tick.
            if call.deadline > now || !call.is_handed_over {
                earliest = Some(earliest.map_or(call.deadline, |earliest| earliest.min(call.deadline)));
            } else {
                answers.extend(call.answer_now(late));
            }
        }
        open.earliest = earliest;
        drop(open);
        answers.into_iter().for_each(Answer::give);
    }

    /// The client is gone: what it has not reported is never reported. Calls that it never had stay.
    pub(super) fn give_up(&self, why: &str) {
        let given: Vec<Call> = {
            let mut open = self.open.lock();
            let had = open.calls.iter().filter(|(_, call)| call.is_handed_over).map(|(slot, _)| slot);
            let had: Vec<usize> = had.collect();
            had.into_iter().map(|slot| open.calls.remove(slot)).collect()
        };
        for mut call in given {
            if let Some(answer) = call.answer_now(|| why.to_owned()) {
                answer.give();
            }
            self.end(Some(call));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.lock().calls.is_empty()
    }
}

fn late() -> String {
    let seconds = LANDS_WITHIN.as_secs();
    format!(
        "the broker did not acknowledge it in time; it may yet land within {seconds} s: send it again with the same id"
    )
}

impl Call {
    /// Its answer as far as it is known; the rest is `Unknown`.
    fn answer_now(&mut self, why: impl Fn() -> String) -> Option<Answer> {
        let promise = self.promise.take()?;
        let mut outcomes = std::mem::take(&mut self.outcomes);
        for outcome in outcomes.iter_mut().filter(|outcome| is_pending(outcome)) {
            *outcome = Outcome::Unknown(why());
        }
        Some(Answer::new(promise, outcomes, &self.keys))
    }
}
