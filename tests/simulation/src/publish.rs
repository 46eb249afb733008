//! What passes through the publish path: events of publishers, and dead letters.

use std::time::Duration;

use broker::model::Happened;
use broker::{Letter, Outcome, Promise, Record};
use engine::{Input, Reason, Token};
use foldhash::{HashMap, HashMapExt as _};
use publish::Error;

use super::events::Event;
use super::path::{GRACE, Path, Taken, Who};
use super::publishers::{self, DEADLINE};
use super::run::{LETTERS, SUBSCRIPTION, Simulation, TOPIC};
use super::shell::{Life, TOPIC_SOURCE};

/// Most events of one call.
const TOGETHER_MAX: usize = 8;
/// How late a late driver answers at most.
const LATE_MAX: Duration = Duration::from_secs(3);
/// How long a process that ends waits for what it publishes.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

impl Simulation {
    pub(super) fn schedule_publish(&mut self, publisher: usize, wait: Duration) {
        let due = self.now + wait;
        self.publishers.all[publisher].due = Some(due);
        self.queue.push(due, Event::Publish(publisher));
    }

    /// A publisher's time has come. Some of the others send their events in the same call.
    pub(super) fn publish(&mut self, publisher: usize) {
        if self.publishers.all[publisher].due != Some(self.now) {
            return;
        }
        if self.path.is_none() {
            // Nobody listens: it was not sent.
            self.schedule_publish(publisher, publishers::AGAIN);
            return;
        }
        let mut who = Vec::new();
        self.join_call(publisher, &mut who);
        if self.rng.f64() < self.plan.together {
            let most = self.rng.usize(2..=TOGETHER_MAX);
            for other in 0..self.publishers.all.len() {
                if who.len() < most && self.publishers.all[other].due.is_some() && self.rng.bool() {
                    self.join_call(other, &mut who);
                }
            }
        }
        if !who.is_empty() {
            self.call(who);
        }
    }

    fn join_call(&mut self, publisher: usize, who: &mut Vec<(usize, usize)>) {
        self.publishers.all[publisher].due = None;
        if let Some(event) = self.publishers.next(publisher) {
            who.push((publisher, event));
        }
    }

    fn call(&mut self, who: Vec<(usize, usize)>) {
        let items = who.iter().map(|(publisher, event)| self.publishers.item(*publisher, *event)).collect();
        let Some(path) = self.path.as_mut() else { return };
        match path.publish(self.now, who.clone(), items) {
            Ok(taken) => {
                for (_, event) in &who {
                    self.publishers.log[*event].sends += 1;
                    let name = self.name(*event);
                    self.trace.tell(self.now, format_args!("publish {name}"));
                }
                self.judge_admission(who.len() as u64);
                let call = self.hand_over(taken, TOPIC, who.len());
                if let Some(call) = call.filter(|_| !self.healed && self.rng.u8(..50) == 0) {
                    let wait = Duration::from_millis(self.rng.u64(..1000));
                    self.queue.push(self.now + wait, Event::HangUp { process: self.process, call });
                }
            }
            Err(error) => self.refused(&who, &error),
        }
    }

    fn refused(&mut self, who: &[(usize, usize)], error: &Error) {
        let idle = self.path.as_ref().is_some_and(|path| path.unanswered() == 0);
        if matches!(error, Error::Overloaded { .. }) && idle {
            self.breaks("P2: a call is refused as too much though nothing is under way");
        }
        if error.retry_after().is_none() || error.code().is_empty() {
            self.breaks(&format!("I6: {error:?} tells neither a code nor when to come again"));
        }
        for (publisher, event) in who {
            let name = self.name(*event);
            self.trace.tell(self.now, format_args!("refused {name}: {}", error.code()));
            self.schedule_publish(*publisher, error.retry_after().unwrap_or(publishers::AGAIN));
        }
    }

    fn judge_admission(&mut self, events: u64) {
        let Some(path) = &self.path else { return };
        let (unanswered, most) = (path.unanswered(), path.limits.events_max);
        if unanswered > events && unanswered > most {
            self.breaks(&format!("P2: {unanswered} events are under way, at most {most} are admitted"));
        } else if path.is_pending() || path.is_closing() {
            self.breaks("P3: an event is written while the gate is closed");
        }
    }

    /// Carries what the driver was given to the model.
    fn hand_over(&mut self, taken: Option<Taken>, topic: &str, records: usize) -> Option<u64> {
        let Some(Taken { call, batch, promise }) = taken else {
            self.breaks("P1: a call was taken in and never reached the driver");
            return None;
        };
        let due = self.path.as_ref().is_some_and(|path| path.deadline_of(self.now) == batch.deadline);
        if &*batch.topic != topic || batch.records.len() != records || !due {
            self.breaks("P1: the driver was given another topic, number of events or deadline");
        }
        let ticket = self.model.publish(self.now, topic, batch.records, self.now + DEADLINE);
        self.tickets.waiting.insert(ticket, (call, promise));
        self.queue.push(self.now + DEADLINE + GRACE, Event::CallDue { process: self.process, call });
        Some(call)
    }

    pub(super) fn take_answers(&mut self) {
        let mut answers = Vec::new();
        self.model.answers(&mut answers);
        self.busy |= !answers.is_empty();
        for (ticket, outcomes) in answers {
            let Some((call, promise)) = self.tickets.waiting.remove(&ticket) else { continue };
            if !self.healed && self.rng.f64() < self.plan.late_driver {
                let wait = LATE_MAX.mul_f64(self.rng.f64());
                self.tickets.late.insert(call, (promise, outcomes));
                self.queue.push(self.now + wait, Event::Late { process: self.process, call });
                self.report.faults += 1;
            } else {
                self.deliver(call, promise, outcomes);
            }
        }
    }

    /// A driver that was late answers.
    pub(super) fn late(&mut self, process: u32, call: u64) {
        if process != self.process {
            return;
        }
        if let Some((promise, outcomes)) = self.tickets.late.remove(&call) {
            self.deliver(call, promise, outcomes);
        }
    }

    fn deliver(&mut self, call: u64, promise: Promise, said: Vec<Outcome>) {
        let Some(path) = self.path.as_mut() else { return };
        path.answer(self.now, promise, said.clone());
        if let Some((who, outcomes)) = path.poll(self.now, call) {
            if outcomes != said {
                self.breaks(&format!("P1: the driver said {said:?}, told is {outcomes:?}"));
            }
            self.finish(who, &outcomes);
        }
        self.finish_closing();
    }

    /// A call's deadline is over: it has been answered, or is now, and nobody knows what became of it.
    pub(super) fn call_due(&mut self, process: u32, call: u64) {
        if process != self.process {
            return;
        }
        let Some(path) = self.path.as_mut().filter(|path| path.waits(call)) else { return };
        match path.poll(self.now, call) {
            Some((who, outcomes)) => {
                if outcomes.iter().any(|outcome| !matches!(outcome, Outcome::Unknown(_))) {
                    self.breaks(&format!(
                        "P1: the driver said nothing by the deadline, told is {outcomes:?}"
                    ));
                }
                self.finish(who, &outcomes);
            }
            None => self.breaks("P1: a call is not answered by its deadline"),
        }
    }

    pub(super) fn hang_up(&mut self, process: u32, call: u64) {
        if process != self.process {
            return;
        }
        let Some(path) = self.path.as_mut() else { return };
        if let Some(who) = path.hang_up(self.now, call) {
            self.report.faults += 1;
            self.trace.tell(self.now, format_args!("! a publisher hangs up"));
            self.nobody_answers(who);
        }
    }

    /// Whoever waited finds the connection broken, and cannot know.
    fn nobody_answers(&mut self, who: Who) {
        if let Who::Publishers(who) = who {
            for (publisher, _) in who {
                self.schedule_publish(publisher, publishers::AGAIN);
            }
        }
    }

    fn finish(&mut self, who: Who, outcomes: &[Outcome]) {
        match who {
            Who::Publishers(who) => {
                for ((publisher, event), outcome) in who.into_iter().zip(outcomes) {
                    let name = self.name(event);
                    self.trace.tell(self.now, format_args!("told {name}: {outcome:?}"));
                    let wait = if self.publishers.answered(publisher, outcome) {
                        self.plan.pace.mul_f64(2.0 * self.rng.f64())
                    } else {
                        publishers::AGAIN
                    };
                    self.schedule_publish(publisher, wait);
                }
            }
            Who::Letter(token) => {
                let written = outcomes.first().is_some_and(Outcome::is_durable);
                self.letter_written(token, written);
            }
        }
    }

    fn letter_written(&mut self, token: Token, written: bool) {
        self.trace.tell(self.now, format_args!("letter of {token:?} written: {written}"));
        self.step(&[Input::DeadLettered { token, written }]);
    }

    pub(super) fn write_letter(&mut self, life: &Life, token: Token, reason: Reason, note: broker::Note) {
        let Some(held) = life.held(token).copied() else { return };
        let name = held.event.map(|event| self.name(event)).unwrap_or_default();
        self.trace.tell(self.now, format_args!("letter of {token:?}, {reason:?}: {name}"));
        let topic = if token.source == TOPIC_SOURCE { TOPIC } else { LETTERS };
        let record = self.model.record(topic, held.position).cloned();
        let Some(mut record) = record else { return };
        let letter = self.letter(&mut record, held.position, reason, note);
        let Some(path) = self.path.as_mut() else { return };
        match path.letter(self.now, token, record, letter) {
            Ok(taken) => drop(self.hand_over(taken, LETTERS, 1)),
            // Told later: the engine is in the middle of a step.
            Err(_) => self.queue.push(self.now, Event::LetterRefused { life: life.id, token }),
        }
    }

    fn letter(&self, record: &mut Record, position: u64, reason: Reason, note: broker::Note) -> Letter {
        let before = record.letter.take();
        Letter {
            topic: TOPIC.into(),
            position: before.map_or_else(|| position.to_string(), |before| before.position),
            subscription: SUBSCRIPTION.into(),
            reason: format!("{reason:?}"),
            attempts: note.attempts,
            first_ms: note.first_ms,
            last_ms: self.wall_ms(),
            status: None,
            answer: String::new(),
        }
    }

    pub(super) fn letter_refused(&mut self, life: u32, token: Token) {
        if self.life.as_ref().is_some_and(|it| it.id == life) {
            self.letter_written(token, false);
        }
    }

    /// A process that ends takes nothing in any more, and lets what is under way end.
    pub(super) fn close_path(&mut self) {
        let Some(path) = self.path.as_mut().filter(|path| !path.is_closing()) else { return };
        path.close(self.now, self.now + CLOSE_WITHIN);
        self.close_by = self.now + CLOSE_WITHIN;
        self.queue.push(self.close_by + Duration::from_millis(2), Event::Closing { process: self.process });
        self.finish_closing();
    }

    pub(super) fn finish_closing(&mut self) {
        let Some(path) = self.path.as_mut() else { return };
        if !path.has_closed(self.now) {
            return;
        }
        let unanswered = path.unanswered();
        if unanswered > 0 && self.now < self.close_by {
            self.breaks(&format!("P2: closed while {unanswered} events are under way"));
        }
        self.end_process();
        self.queue.push(self.now + Duration::from_millis(self.rng.u64(..500)), Event::Start);
    }

    /// The process is gone, and its connections with it.
    pub(super) fn end_process(&mut self) {
        (self.tickets.waiting, self.tickets.late) = Default::default();
        for who in self.path.take().map(Path::die).unwrap_or_default() {
            self.nobody_answers(who);
        }
    }

    /// What the end of a run shows of the publish path.
    pub(super) fn judge_path(&mut self) {
        let idle = self.path.as_mut().is_none_or(|path| {
            path.close(self.now, self.now + Duration::from_secs(3600));
            path.has_closed(self.now)
        });
        if !idle {
            self.breaks("P2: nothing is under way, and close waits for something");
        }
        let mut highest = HashMap::new();
        let mut sunk = 0;
        for (_, record) in self.model.log(TOPIC) {
            let (Some(key), Some(origin)) = (&record.key, record.hop.origin) else { continue };
            let last = highest.insert((key, origin.0), record.hop.sequence);
            sunk += u32::from(last.is_some_and(|last| record.hop.sequence <= last));
        }
        if sunk > 0 {
            self.breaks(&format!("P4: the sequence does not rise within a key, {sunk} times"));
        }
        let originals: Vec<&Record> = self.model.log(TOPIC).map(|(_, record)| record).collect();
        let touched = self.model.log(LETTERS).filter(|(_, record)| {
            let letter = record.letter.as_ref();
            let at = letter.and_then(|letter| letter.position.parse::<usize>().ok());
            !at.and_then(|at| originals.get(at)).is_some_and(|original| {
                let same = publishers::number(record) == publishers::number(original);
                same && record.key == original.key && record.hop == original.hop
            })
        });
        let touched = touched.count();
        if touched > 0 {
            self.breaks(&format!("P4: {touched} letters are not their event untouched"));
        }
    }

    /// Settles that the broker forgot: they excuse duplicates.
    pub(super) fn forgotten(&self) -> usize {
        self.model.history().count(|what| matches!(what, Happened::Forgotten { .. }))
    }
}
