use std::time::Duration;

use crate::attempts::Attempts;
use crate::breaker::Breaker;
use crate::budget;
use crate::deliveries::{Deliveries, Handle, State};
use crate::gate::Gate;
use crate::lanes::{LaneId, Lanes};
use crate::list::List;
use crate::timers::Timers;
use crate::window::Window;
use crate::{Action, Actions, App, Input, Now, Policy, Transition};

/// The decisions of one subscription. See the [crate documentation](crate).
#[derive(Debug)]
pub struct Engine {
    pub(crate) policy: Policy,
    pub(crate) random: fastrand::Rng,
    pub(crate) now: Now,
    pub(crate) deliveries: Deliveries,
    pub(crate) lanes: Lanes,
    /// Ready deliveries without a lane.
    pub(crate) free: List,
    pub(crate) retries: Timers,
    /// Dead letters that could not be written, waiting to be tried again.
    pub(crate) letters: Timers,
    pub(crate) attempts: Attempts,
    pub(crate) window: Window,
    pub(crate) breaker: Breaker,
    pub(crate) budget: budget::Retries,
    pub(crate) letter_rate: budget::Letters,
    pub(crate) gate: Gate,
    pub(crate) probes: Probes,
    pub(crate) turns: Turns,
    /// Dead letters being written.
    pub(crate) lettering: u32,
    /// Lanes that stand still after a dead letter.
    pub(crate) stopped: u32,
    /// Lanes of which a part has to go back, and some of which it has gone.
    pub(crate) broken: Vec<LaneId>,
    /// What was recalled and has ended since the last step's end, with its lane.
    pub(crate) returning: Vec<(Handle, LaneId)>,
    /// A retry is due and the budget does not allow it.
    pub(crate) budget_blocked: bool,
    pub(crate) stuck: bool,
    told_window: u32,
    pub(crate) armed: Option<Duration>,
    pub(crate) ignored: u64,
}

/// The probes of an open breaker, or of a subscription that an answer paused.
#[derive(Debug, Default)]
pub(crate) struct Probes {
    pub(crate) open: bool,
    /// The lane and the delivery of the last one.
    pub(crate) last: Option<(LaneId, Handle)>,
    /// The next one prefers a delivery that waits for its retry.
    pub(crate) waiting_next: bool,
    /// Probes since more was read for them.
    pub(crate) asked: u32,
    /// Every lane that is held has been asked: so many deliveries may be held to find another.
    pub(crate) reach: u32,
}

/// Whose turn it is where two kinds of work are ready.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// The last attempt began with a retry.
    pub(crate) retry: bool,
    /// Of the last two of both kinds that could have gone first, the one without a lane did.
    pub(crate) free: bool,
}

impl Engine {
    /// A new engine without sources: [`Input::SourceOpened`] adds them. The app counts as up until [`Input::App`] says
    /// otherwise. The same seed and the same inputs give the same actions.
    pub fn new(policy: Policy, seed: u64) -> Self {
        Self {
            window: Window::new(policy.window.initial, policy.concurrency),
            letter_rate: budget::Letters::full(Duration::ZERO, policy.dead_letter.max_per_minute),
            told_window: policy.window.initial.clamp(1, policy.concurrency.max(1)),
            policy,
            random: fastrand::Rng::with_seed(seed),
            now: Now { monotonic: Duration::ZERO, wall_ms: 0 },
            deliveries: Deliveries::default(),
            lanes: Lanes::default(),
            free: List::EMPTY,
            retries: Timers::of(State::Waiting),
            letters: Timers::of(State::LetterWaiting),
            attempts: Attempts::new(),
            breaker: Breaker::new(),
            budget: budget::Retries::default(),
            gate: Gate::default(),
            probes: Probes::default(),
            turns: Turns::default(),
            lettering: 0,
            stopped: 0,
            broken: Vec::new(),
            returning: Vec::new(),
            budget_blocked: false,
            stuck: false,
            armed: None,
            ignored: 0,
        }
    }

    /// Takes in what happened and appends what to do to `actions`, which the caller has cleared. Inputs about leases
    /// and attempts that are no longer known are ignored and counted ([`Status::ignored`](crate::Status::ignored)).
    pub fn step(&mut self, now: Now, inputs: &[Input<'_>], actions: &mut Actions) {
        self.now = Now { monotonic: now.monotonic.max(self.now.monotonic), wall_ms: now.wall_ms };
        if self.armed.is_some_and(|at| at <= self.now.monotonic) {
            self.armed = None;
        }
        for input in inputs {
            self.take(input, actions);
        }
        self.return_recalled(actions);
        self.mend(actions);
        self.send_letters(actions);
        self.dispatch(actions);
        self.finish_drain(actions);
        self.tell_window(actions);
        self.tell_stuck(actions);
        self.grant(actions);
        self.arm(actions);
    }

    fn take(&mut self, input: &Input<'_>, actions: &mut Actions) {
        match input {
            Input::Arrived { token, key, attempts, first_ms } => {
                self.arrived(*token, *key, *attempts, *first_ms, actions);
            }
            Input::Revoked { token } => self.revoked(*token, actions),
            Input::Recalled { token } => self.recalled(*token),
            Input::Answered { attempt, outcomes, latency } => {
                self.answered(*attempt, outcomes, *latency, actions);
            }
            Input::Abandoned { attempt } => self.abandoned(*attempt, actions),
            Input::DeadLettered { token, written } => self.dead_lettered(*token, *written, actions),
            Input::Woke => self.armed = None,
            Input::App(app) => self.app(*app),
            Input::Pause => self.pause_by_operator(actions),
            Input::Resume => self.resume(actions),
            Input::Reconfigure(policy) => self.reconfigure(policy),
            Input::SourceOpened(source) => {
                if !self.deliveries.open(*source) {
                    self.ignored += 1;
                }
            }
            Input::SourceClosed(source) => self.source_closed(*source, actions),
            Input::Drain => self.gate.draining = true,
        }
    }

    /// Every rule takes effect with the next decision. What was decided stands: waits that have begun keep their due
    /// time, open attempts end as they began, and lanes that exist stay lanes until they are empty.
    fn reconfigure(&mut self, policy: &Policy) {
        self.policy = policy.clone();
        self.window.limit(policy.concurrency);
    }

    fn app(&mut self, app: App) {
        // An app that has come back deserves to be asked at once, however long the breaker meant to stay open.
        if self.gate.app == App::Down && app == App::Up {
            self.breaker.probe_now(self.now.monotonic);
        }
        self.gate.app = app;
    }

    /// Puts a delivery back to where it may be attempted.
    pub(crate) fn make_ready(&mut self, at: Handle) {
        let delivery = &mut self.deliveries[at];
        delivery.state = State::Ready;
        if delivery.lane == LaneId::NONE {
            self.free.push_back(&mut self.deliveries, at.0);
        } else {
            let lane = delivery.lane;
            self.refresh(lane);
        }
    }

    /// Lets the round-robin follow what became of a lane.
    pub(crate) fn refresh(&mut self, lane: LaneId) {
        if self.lanes.is_live(lane) {
            let head = self.lanes[lane].queue.head();
            let ready = head.map(|head| self.deliveries[Handle(head)]);
            let ready = ready.is_some_and(|head| head.state == State::Ready && !head.marks.recalled());
            self.lanes.refresh(lane, ready);
        }
    }

    /// Forgets a delivery whose lease has ended.
    pub(crate) fn remove(&mut self, at: Handle) {
        let delivery = self.deliveries[at];
        match delivery.state {
            State::Waiting => self.retries.left(),
            State::LetterWaiting => self.letters.left(),
            State::Lettering => self.lettering -= 1,
            State::Ready if delivery.lane == LaneId::NONE => self.free.remove(&mut self.deliveries, at.0),
            State::Ready | State::Open | State::Vacant => {}
        }
        if delivery.lane != LaneId::NONE {
            let lane = &mut self.lanes[delivery.lane];
            lane.recalled -= u32::from(delivery.marks.recalled());
            if lane.broken == at.0 {
                lane.broken = delivery.link.next;
            }
            lane.queue.remove(&mut self.deliveries, at.0);
        }
        self.deliveries.vacate(at);
        if delivery.lane != LaneId::NONE {
            self.refresh(delivery.lane);
            self.was_passed_by(at, delivery.lane);
        }
    }

    fn tell_window(&mut self, actions: &mut Actions) {
        let attempts = self.window.size();
        if attempts != self.told_window {
            self.told_window = attempts;
            actions.list.push(Action::Transition(Transition::Window { attempts }));
        }
    }
}
