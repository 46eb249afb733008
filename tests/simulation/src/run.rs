//! The loop: whatever happens next happens, the engine is told, and what it says is done.

use std::time::Duration;

use broker::Position;
use broker::model::{Agenda, Faults, Model, Settings};
use engine::{App, Input, Now, Policy, Token};
use fastrand::Rng;

use super::events::Event;
use super::path::{Path, Tickets};
use super::plan::{self, Misfortune, Plan};
use super::publishers::Publishers;
use super::rules::Step;
use super::shell::Life;
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

#[derive(Debug)]
pub(super) struct Simulation {
    pub(super) options: Options,
    pub(super) plan: Plan,
    pub(super) policy: Policy,
    pub(super) rng: Rng,
    pub(super) model: Model,
    pub(super) now: Duration,
    /// How far the wall clock has been set forward or back, in milliseconds.
    pub(super) clock_ms: i64,
    pub(super) queue: Agenda<Event>,
    pub(super) publishers: Publishers,
    /// The process's publisher. It stands before the subscription is opened, and until all is answered.
    pub(super) path: Option<Path>,
    /// Processes so far.
    pub(super) process: u32,
    pub(super) tickets: Tickets,
    /// Until when a publisher that is closed waits.
    pub(super) close_by: Duration,
    pub(super) life: Option<Box<Life>>,
    pub(super) lives: u32,
    /// A redrive's end.
    pub(super) redrive: Option<Position>,
    /// Something was settled that may be the last of it.
    pub(super) redrive_moved: bool,
    /// Log D.
    pub(super) requests: Vec<Request>,
    pub(super) app_up: bool,
    pub(super) paused: bool,
    pub(super) healed: bool,
    /// Deliveries that were done when their lease had died unseen.
    pub(super) stale_done: u32,
    /// Letters that settled what they stand for; all others may stand beside a success.
    pub(super) letters_kept: u32,
    /// The delivery whose letter this step says is durable.
    pub(super) written: Option<Token>,
    /// The last turn brought something.
    pub(super) busy: bool,
    /// When the model has something to do or to say next, where that is known.
    pub(super) model_next_at: Option<Duration>,
    /// When the shell looks at its sources next.
    pub(super) poll_at: Duration,
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
        let mut queue = Agenda::default();
        queue.push(Duration::ZERO, Event::Start);
        let mut publishers = Publishers::new(plan.keys, plan.keyless, options.events);
        for (publisher, it) in publishers.all.iter_mut().enumerate() {
            let due = Duration::from_millis(rng.u64(..2000));
            it.due = Some(due);
            queue.push(due, Event::Publish(publisher));
        }
        for (at, misfortune) in &plan.misfortunes {
            queue.push(*at, Event::Misfortune(*misfortune));
        }
        queue.push(plan.heal_at, Event::Heal);
        queue.push(Duration::from_secs(15), Event::Operator);
        Self {
            options: *options,
            policy: plan.policy.clone(),
            publishers,
            plan,
            rng,
            model,
            now: Duration::ZERO,
            clock_ms: 0,
            queue,
            path: None,
            process: 0,
            tickets: Tickets::default(),
            close_by: Duration::ZERO,
            life: None,
            lives: 0,
            redrive: None,
            redrive_moved: false,
            requests: Vec::new(),
            app_up: true,
            paused: false,
            healed: false,
            stale_done: 0,
            letters_kept: 0,
            written: None,
            busy: true,
            model_next_at: None,
            poll_at: Duration::ZERO,
            mutations: 0,
            report: Report { seed, ..Report::default() },
            trace: Trace::new(options.trace),
        }
    }

    pub(super) fn run(mut self) -> Report {
        let end = self.plan.heal_at + QUIET_WITHIN;
        for turn in 0.. {
            let model = self.model_next_at();
            let next = [self.queue.next_at(), model].into_iter().flatten().min();
            self.now = next.expect("the operator always comes again").max(self.now);
            if self.now > end || turn == TURNS_MAX {
                let left = self.what_is_left();
                let broken =
                    format!("I7: nothing has failed for {QUIET_WITHIN:?} (or {turn} turns), yet {left}");
                self.breaks(&broken);
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

    /// When the model has something to do or to say next.
    ///
    /// It may look ahead too soon (a key's later record is due while its first is not), or have something to say before
    /// the shell looks: such a turn brings nothing, and the next is a while later. Those that could not bring anything
    /// either are passed over.
    fn model_next_at(&mut self) -> Option<Duration> {
        let known = self.model_next_at.take();
        let at = known.or_else(|| self.model.next_event_at())?;
        if self.busy {
            return Some(at);
        }
        let soonest = self.now + IDLE;
        if at > soonest {
            return Some(at);
        }
        let brings = self.model.happens_at().map_or(self.poll_at, |at| at.min(self.poll_at));
        let waits = brings.saturating_sub(soonest).as_nanos().div_ceil(IDLE.as_nanos());
        Some(soonest + IDLE * waits as u32)
    }

    fn turn(&mut self) {
        self.model.advance(self.now);
        while let Some(item) = self.queue.pop_due(self.now) {
            self.busy = true;
            self.happen(item.what);
        }
        self.take_answers();
        self.poll();
        self.follow_redrive();
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Publish(publisher) => self.publish(publisher),
            Event::CallDue { process, call } => self.call_due(process, call),
            Event::Late { process, call } => self.late(process, call),
            Event::HangUp { process, call } => self.hang_up(process, call),
            Event::LetterRefused { life, token } => self.letter_refused(life, token),
            Event::Closing { process } => {
                if process == self.process {
                    self.finish_closing();
                }
            }
            Event::Answer { life, request } => self.answer(life, request),
            Event::Closed { life, request } => self.closed(life, request),
            Event::Wake { life, at } => {
                let rings = |it: &&mut Box<Life>| it.id == life && it.wake == Some(at);
                if let Some(life) = self.life.as_mut().filter(rings) {
                    life.wake = None;
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
            Event::AppNoticed => self.step(&[Input::App(if self.app_up { App::Up } else { App::Down })]),
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
                // Whoever looks after the app notices a little later.
                let wait = Duration::from_millis(self.rng.u64(..2000));
                self.queue.push(self.now + wait, Event::AppNoticed);
            }
            Misfortune::Pause | Misfortune::Resume => {
                self.paused = matches!(misfortune, Misfortune::Pause);
                self.step(&[if self.paused { Input::Pause } else { Input::Resume }]);
            }
            Misfortune::ClockStep(ms) => self.clock_ms += ms,
            Misfortune::Redrive => self.ask_redrive(),
            Misfortune::Reconfigure => {
                let ordering = self.policy.ordering;
                self.policy = Policy { ordering, ..plan::policy(&mut self.rng) };
                self.step(&[Input::Reconfigure(Box::new(self.policy.clone()))]);
            }
        }
    }

    /// Takes leases back. While nothing is held there is nothing to take: then it comes a little later.
    fn revoke(&mut self, all: bool, rewind: bool) {
        match &self.life {
            Some(life) if life.held_len() > 0 => {
                // Each seed is to see one that has an effect.
                let all = all || self.report.revocations + self.report.recalls == 0;
                for source in life.sources.into_iter().flatten() {
                    self.model.revoke(self.now, source, all, rewind);
                }
            }
            _ if !self.healed => {
                let later = self.now + Duration::from_millis(50);
                self.queue.push(later, Event::Misfortune(Misfortune::Revoke { all, rewind }));
            }
            _ => {}
        }
    }

    pub(super) fn engine_now(&self) -> Now {
        Now { monotonic: self.now, wall_ms: self.wall_ms() }
    }

    /// Tells the engine, if there is one, and does what it says.
    pub(super) fn step(&mut self, inputs: &[Input<'_>]) {
        let Some(mut life) = self.life.take() else { return };
        let mut seen = Step::default();
        life.hear(self.engine_now(), inputs, &mut seen);
        self.drive(life, seen, inputs);
    }

    /// A step of the engine, each action held against the rules before it is done.
    pub(super) fn drive(&mut self, mut life: Box<Life>, mut seen: Step, inputs: &[Input<'_>]) {
        self.report.steps += 1;
        life.actions.list.clear();
        life.actions.tokens.clear();
        self.written = seen.written.iter().find(|(_, written)| *written).map(|(token, _)| *token);
        life.engine.step(self.engine_now(), inputs, &mut life.actions);
        let actions = std::mem::take(&mut life.actions);
        let mut drained = false;
        for action in &actions.list {
            life.see(action, &actions.tokens, &mut seen);
            drained |= self.act(&mut life, action, &actions.tokens);
        }
        life.after(seen);
        life.actions = actions;
        for broken in std::mem::take(&mut life.rules.broken) {
            self.breaks(&broken);
        }
        self.life = Some(life);
        if drained {
            self.trace.tell(self.now, format_args!("! drained"));
            self.end_life(true);
        }
    }

    fn is_quiet(&self) -> bool {
        let Some(life) = self.life.as_ref().filter(|_| self.healed) else { return false };
        self.publishers.are_done()
            && life.open.is_empty()
            && self.redrive.is_none()
            && self.path.as_ref().is_some_and(|path| path.waiting() == 0 && path.unanswered() == 0)
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
