//! The loop: whatever happens next happens, the engine is told, and what it says is done.

use std::collections::BTreeMap;
use std::time::Duration;

use broker::model::{Faults, Model, Settings, Ticket};
use broker::{Credit, Settle, Start, Subscription};
use engine::{App, Input, Now, Policy, Token};
use fastrand::Rng;

use super::events::{Event, Queue};
use super::plan::{self, Misfortune, Plan};
use super::publishers::{self, Publishers};
use super::shell::{Life, SOURCE};
use super::trace::Trace;
use super::webhook::Request;
use super::{Options, Report, judge};

pub(super) const TOPIC: &str = "events";
pub(super) const LETTERS: &str = "letters";
pub(super) const SUBSCRIPTION: &str = "simulated";
/// From the moment when nothing fails any more, all must be quiet within this time.
const QUIET_WITHIN: Duration = Duration::from_secs(900);
/// The next turn after one that brought nothing, at the earliest.
const IDLE: Duration = Duration::from_millis(1);
/// More turns than any run needs: something spins.
const TURNS_MAX: u64 = 100_000;

/// Who waits for a publish to be answered.
#[derive(Clone, Copy, Debug)]
pub(super) enum Waits {
    Publisher(usize),
    Letter { life: u32, token: Token },
}

#[derive(Debug)]
pub(super) struct Simulation {
    pub(super) options: Options,
    pub(super) plan: Plan,
    pub(super) policy: Policy,
    pub(super) rng: Rng,
    pub(super) model: Model,
    pub(super) now: Duration,
    /// How far the wall clock has been set forward or back, in milliseconds.
    clock_ms: i64,
    pub(super) queue: Queue,
    pub(super) publishers: Publishers,
    pub(super) tickets: BTreeMap<Ticket, Waits>,
    pub(super) life: Option<Life>,
    lives: u32,
    /// Log D.
    pub(super) requests: Vec<Request>,
    pub(super) app_up: bool,
    pub(super) paused: bool,
    pub(super) healed: bool,
    /// Deliveries that were done when their lease had died unseen.
    pub(super) stale_done: u32,
    /// The last turn brought something.
    pub(super) busy: bool,
    /// How often a mutant did its work.
    pub(super) mutations: u32,
    pub(super) report: Report,
    pub(super) trace: Trace,
}

impl Simulation {
    pub(super) fn new(seed: u64, options: &Options) -> Self {
        let mut rng = Rng::with_seed(seed);
        let plan = Plan::new(options, &mut rng);
        let settings = Settings { faults: plan.faults.clone(), ..Settings::default() };
        let model = Model::new(settings, rng.fork());
        let mut queue = Queue::default();
        queue.push(Duration::ZERO, Event::Start);
        for publisher in 0..plan.keys + plan.keyless {
            queue.push(Duration::from_millis(rng.u64(..2000)), Event::Publish(publisher));
        }
        for (at, misfortune) in &plan.misfortunes {
            queue.push(*at, Event::Misfortune(*misfortune));
        }
        queue.push(plan.heal_at, Event::Heal);
        queue.push(Duration::from_secs(15), Event::Operator);
        Self {
            options: *options,
            policy: plan.policy.clone(),
            publishers: Publishers::new(plan.keys, plan.keyless, options.events),
            plan,
            rng,
            model,
            now: Duration::ZERO,
            clock_ms: 0,
            queue,
            tickets: BTreeMap::new(),
            life: None,
            lives: 0,
            requests: Vec::new(),
            app_up: true,
            paused: false,
            healed: false,
            stale_done: 0,
            busy: true,
            mutations: 0,
            report: Report { seed, ..Report::default() },
            trace: Trace::new(options.trace),
        }
    }

    pub(super) fn run(mut self) -> Report {
        let end = self.plan.heal_at + QUIET_WITHIN;
        for turn in 0.. {
            // The model may look ahead too soon (a key's later record is due while its first is not): such a turn brings
            // nothing, and the next is a while later.
            let idle = if self.busy { Duration::ZERO } else { IDLE };
            let model = self.model.next_event_at().map(|at| at.max(self.now + idle));
            let next = [self.queue.next_at(), model].into_iter().flatten().min();
            self.now = next.expect("the operator always comes again").max(self.now);
            if self.now > end || turn == TURNS_MAX {
                let left = self.what_is_left();
                let broken =
                    format!("I7: nothing has failed for {QUIET_WITHIN:?} (or {turn} turns), yet {left}");
                self.report.violations.push(broken);
                break;
            }
            self.busy = false;
            self.turn();
            if self.is_quiet() {
                break;
            }
        }
        judge::judge(self)
    }

    fn turn(&mut self) {
        self.model.advance(self.now);
        while let Some(event) = self.queue.pop_due(self.now) {
            self.busy = true;
            self.happen(event);
        }
        self.take_answers();
        self.poll();
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Publish(publisher) => self.publish(publisher),
            Event::Answer { life, request } => self.answer(life, request),
            Event::Closed { life, request } => self.closed(life, request),
            Event::Wake { life, at } => {
                let rings = |it: &Life| it.id == life && it.wake == Some(at);
                if self.life.as_ref().is_some_and(rings) {
                    self.step(&[Input::Woke]);
                }
            }
            Event::Misfortune(misfortune) => {
                if !self.healed {
                    self.befall(misfortune);
                }
            }
            Event::Start => self.start(),
            Event::DrainDeadline { life } => {
                if self.life.as_ref().is_some_and(|it| it.id == life) {
                    self.trace.tell(self.now, format_args!("! the drain takes too long"));
                    self.end_life(false);
                }
            }
            Event::Operator => {
                if !self.paused {
                    self.step(&[Input::Resume]);
                }
                self.queue.push(self.now + Duration::from_secs(15), Event::Operator);
            }
            Event::Heal => self.heal(),
        }
    }

    fn heal(&mut self) {
        self.trace.tell(self.now, format_args!("! nothing fails any more"));
        self.healed = true;
        self.paused = false;
        self.app_up = true;
        self.model.set_faults(Faults::calm());
        self.step(&[Input::App(App::Up), Input::Resume]);
    }

    fn befall(&mut self, misfortune: Misfortune) {
        self.trace.tell(self.now, format_args!("! {misfortune:?}"));
        self.report.faults += 1;
        match misfortune {
            Misfortune::Crash => self.crash(),
            Misfortune::Restart => self.drain(),
            Misfortune::Revoke { all, rewind } => self.revoke(all, rewind),
            Misfortune::Outage(length) => self.model.outage(self.now, length),
            Misfortune::AppDown | Misfortune::AppUp => {
                self.app_up = matches!(misfortune, Misfortune::AppUp);
                self.step(&[Input::App(if self.app_up { App::Up } else { App::Down })]);
            }
            Misfortune::Pause | Misfortune::Resume => {
                self.paused = matches!(misfortune, Misfortune::Pause);
                self.step(&[if self.paused { Input::Pause } else { Input::Resume }]);
            }
            Misfortune::ClockStep(ms) => self.clock_ms += ms,
            Misfortune::Reconfigure => {
                let ordering = self.policy.ordering;
                self.policy = Policy { ordering, ..plan::policy(&mut self.rng) };
                if let Some(life) = &mut self.life {
                    life.concurrency = life.concurrency.max(self.policy.concurrency);
                }
                self.step(&[Input::Reconfigure(Box::new(self.policy.clone()))]);
            }
        }
    }

    /// Takes leases back. While nothing is held there is nothing to take: then it comes a little later.
    fn revoke(&mut self, all: bool, rewind: bool) {
        match &self.life {
            Some(life) if life.holds_any() => {
                // Each seed is to see one that has an effect.
                let all = all || self.report.revocations + self.report.recalls == 0;
                self.model.revoke(self.now, life.source, all, rewind);
            }
            _ if !self.healed => {
                let later = self.now + Duration::from_millis(50);
                self.queue.push(later, Event::Misfortune(Misfortune::Revoke { all, rewind }));
            }
            _ => {}
        }
    }

    /// The process dies, and another starts after a while.
    fn crash(&mut self) {
        self.report.crashes += 1;
        self.model.crash(self.now);
        for (_, waits) in std::mem::take(&mut self.tickets) {
            // Whoever waited for an answer finds the connection broken, and cannot know.
            if let Waits::Publisher(publisher) = waits {
                self.queue.push(self.now + publishers::AGAIN, Event::Publish(publisher));
            }
        }
        self.cut_requests();
        if self.life.take().is_some() {
            let pause = Duration::from_millis(self.rng.u64(..2000));
            self.queue.push(self.now + pause, Event::Start);
        }
    }

    fn drain(&mut self) {
        let Some(life) = self.life.as_mut().filter(|life| !life.draining) else { return };
        life.draining = true;
        let id = life.id;
        self.report.restarts += 1;
        self.queue.push(self.now + Duration::from_secs(8), Event::DrainDeadline { life: id });
        self.step(&[Input::Drain]);
    }

    /// A process that has drained (or cannot wait any longer) ends, and its successor starts.
    pub(super) fn end_life(&mut self, drained: bool) {
        self.cut_requests();
        let Some(life) = self.life.take() else { return };
        if drained {
            // During an outage the flush fails, and what was not flushed comes again.
            drop(self.model.close(self.now, life.source));
        } else {
            self.model.abandon(self.now, life.source);
        }
        self.queue.push(self.now + Duration::from_millis(self.rng.u64(..500)), Event::Start);
    }

    fn start(&mut self) {
        if self.life.is_some() {
            return;
        }
        let subscription = Subscription {
            name: SUBSCRIPTION.into(),
            topic: TOPIC.into(),
            start: Start::Earliest,
            ordered: self.policy.ordering == engine::Ordering::Key,
            until: None,
            keeps_unsettled: false,
        };
        let opened = self
            .model
            .ensure_topic(self.now, LETTERS)
            .and_then(|()| self.model.ensure(self.now, &subscription))
            .and_then(|()| self.model.open(self.now, &subscription, Credit::NONE));
        let Ok(source) = opened else {
            self.queue.push(self.now + Duration::from_millis(100), Event::Start);
            return;
        };
        self.lives += 1;
        self.trace.tell(self.now, format_args!("! process {} starts", self.lives));
        self.life = Some(Life::new(self.lives, &self.policy, self.report.seed, source));
        let app = if self.app_up { App::Up } else { App::Down };
        self.step(&[Input::SourceOpened(SOURCE), Input::App(app)]);
        if self.paused {
            self.step(&[Input::Pause]);
        }
    }

    /// Tells the engine, if there is one, and does what it says.
    pub(super) fn step(&mut self, inputs: &[Input<'_>]) {
        let Some(mut life) = self.life.take() else { return };
        self.report.steps += 1;
        life.actions.list.clear();
        life.actions.tokens.clear();
        let wall_ms = self.model.settings().epoch_ms + self.now.as_millis() as u64;
        let now = Now { monotonic: self.now, wall_ms: wall_ms.saturating_add_signed(self.clock_ms) };
        life.engine.step(now, inputs, &mut life.actions);
        let actions = std::mem::take(&mut life.actions);
        let mut drained = false;
        for action in &actions.list {
            drained |= self.act(&mut life, action, &actions.tokens);
        }
        life.actions = actions;
        self.life = Some(life);
        if drained {
            self.trace.tell(self.now, format_args!("! drained"));
            self.end_life(true);
        }
    }

    pub(super) fn settle(&mut self, life: &mut Life, token: Token, settle: Settle) -> bool {
        life.end_lease(token);
        let lease = super::shell::lease(token);
        self.model.settle(self.now, life.source, lease, settle)
    }

    fn is_quiet(&self) -> bool {
        let Some(life) = self.life.as_ref().filter(|_| self.healed) else { return false };
        self.publishers.are_done()
            && life.open.is_empty()
            && self.tickets.is_empty()
            && self.model.under_way() == 0
            && self.model.lag_of(SUBSCRIPTION).records == 0
            && life.engine.status().held == 0
    }

    fn what_is_left(&self) -> String {
        let status = self.life.as_ref().map(|life| life.engine.status());
        format!(
            "{} records are unsettled, publishers done: {}, under way: {}, {} open; {status:?}",
            self.model.lag_of(SUBSCRIPTION).records,
            self.publishers.are_done(),
            self.model.under_way(),
            self.life.as_ref().map_or(0, |life| life.open.len()),
        )
    }
}
