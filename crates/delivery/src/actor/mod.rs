//! The task of an open subscription: gather what is ready, let the engine decide, carry it out.

mod act;
mod attempts;
mod feed;
mod gather;
mod letter;
mod redrive;
mod report;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use broker::{BoxFuture, Source};
use engine::{Actions, App, Engine, Input, Now, Outcome, SourceId, Token};
use telemetry::Happened;
use tokio::time::Instant;

use crate::Spec;
use crate::attempt::{Endpoint, wall_ms};
use crate::life::{End, Life};
use crate::room::Room;
use crate::shared::{Command, Control};
use attempts::Attempts;
use feed::Feed;
use gather::Timer;
use letter::Letters;
use redrive::Opening;

/// The subscription's own topic, and the dead letters of a redrive.
const TOPIC: SourceId = SourceId::TOPIC;
const LETTERS: SourceId = SourceId(1);

/// How long a source may take to flush and close once the drain's deadline has passed.
const CLOSE_GRACE: Duration = Duration::from_secs(2);

pub(crate) struct Actor<'a> {
    life: &'a mut Life,
    endpoint: Arc<Endpoint>,
    engine: Engine,
    epoch: Instant,
    /// By [`SourceId`].
    feeds: [Option<Feed>; 2],
    attempts: Attempts,
    room: Arc<Room>,
    letters: Letters,
    /// A redrive's source on its way to being open, or closed.
    opening: Option<Opening>,
    closing: Option<BoxFuture<'static, Result<(), broker::Error>>>,
    timer: Timer,

    // What was gathered for the next step.
    inputs: Vec<Input<'static>>,
    answers: Answers,
    commands: Vec<Command>,
    lost: Option<(SourceId, broker::Error)>,
    /// Deliveries whose last attempt is remembered beyond this step only if it led to a dead letter.
    to_forget: Vec<Token>,

    actions: Actions,
    seen: Seen,
    counts: Counts,
    /// When the source's parts are looked at next.
    parts_at: Instant,
    drained: bool,
}

/// Answers in flat buffers, which are used again for every step.
#[derive(Debug, Default)]
struct Answers {
    list: Vec<Answered>,
    outcomes: Vec<Outcome>,
}

#[derive(Debug)]
struct Answered {
    attempt: engine::Attempt,
    /// Its outcomes are those before this index, down to the answer before.
    until: usize,
    latency: Duration,
}

impl Answers {
    fn push(
        &mut self,
        attempt: engine::Attempt,
        latency: Duration,
        outcomes: impl IntoIterator<Item = Outcome>,
    ) {
        self.outcomes.extend(outcomes);
        self.list.push(Answered { attempt, until: self.outcomes.len(), latency });
    }

    fn inputs(&self) -> impl Iterator<Item = Input<'_>> {
        self.list.iter().scan(0, |from, answered| {
            let outcomes = &self.outcomes[*from..answered.until];
            *from = answered.until;
            Some(Input::Answered { attempt: answered.attempt, outcomes, latency: answered.latency })
        })
    }

    fn clear(&mut self) {
        self.list.clear();
        self.outcomes.clear();
    }
}

/// What the engine was told of [`Control`].
#[derive(Debug)]
struct Seen {
    version: u64,
    control: Control,
}

#[derive(Debug, Default)]
struct Counts {
    delivered: u64,
    dead_lettered: u64,
    gaps: u64,
}

impl std::fmt::Debug for Actor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Actor").field("subscription", &self.endpoint.name).finish_non_exhaustive()
    }
}

impl<'a> Actor<'a> {
    /// Takes a source over that has no credit yet.
    pub(crate) fn new(life: &'a mut Life, source: Box<dyn Source>) -> Result<Self, String> {
        let endpoint = endpoint(life, &life.spec)?;
        let control = life.shared.control();
        let before = life.shared.status();
        let mut inputs = vec![Input::SourceOpened(TOPIC), Input::App(app(control.app_up))];
        if control.paused {
            inputs.push(Input::Pause);
        }
        life.shared.set_state("running", None);
        let engine = Engine::new(life.spec.engine_policy(), fastrand::u64(..));
        let opened = Happened::Opened { subscription: &endpoint.name, window: engine.status().window };
        endpoint.telemetry.tell(opened);
        Ok(Self {
            endpoint: Arc::new(endpoint),
            engine,
            epoch: Instant::now(),
            feeds: [Some(Feed::new(TOPIC, source, None)), None],
            attempts: Attempts::default(),
            room: Room::new(),
            letters: Letters::new(),
            opening: None,
            closing: None,
            timer: Timer::new(),
            inputs,
            answers: Answers::default(),
            commands: Vec::new(),
            lost: None,
            to_forget: Vec::new(),
            actions: Actions::default(),
            seen: Seen { version: 0, control },
            counts: Counts {
                delivered: before.delivered,
                dead_lettered: before.dead_lettered,
                gaps: before.gaps,
            },
            parts_at: Instant::now(),
            drained: false,
            life,
        })
    }

    /// Runs until drained, replaced, or without its source.
    pub(crate) async fn run(mut self) -> End {
        loop {
            self.gather().await;
            self.heed_control();
            self.obey();
            if let Some(error) = self.source_lost() {
                return End::Lost(error);
            }
            self.step();
            self.carry_out();
            self.tend_redrive();
            self.report_when_due();
            if let Some(end) = self.ended() {
                self.close().await;
                return end;
            }
            tokio::task::coop::consume_budget().await;
        }
    }

    /// Lets the engine decide on all that was gathered.
    fn step(&mut self) {
        self.actions.list.clear();
        self.actions.tokens.clear();
        // The inputs that borrow from the answers live for this step alone; the vector's memory lives on.
        let mut inputs: Vec<Input<'_>> = std::mem::take(&mut self.inputs);
        inputs.extend(self.answers.inputs());
        if !inputs.is_empty() {
            let now = Now { monotonic: self.epoch.elapsed(), wall_ms: wall_ms() };
            self.engine.step(now, &inputs, &mut self.actions);
        }
        inputs.clear();
        self.inputs = inputs.into_iter().map(|_| Input::Woke).collect();
        self.answers.clear();
    }

    /// Tells the engine what operators and the app's health want now.
    fn heed_control(&mut self) {
        let control = self.life.shared.control();
        let seen = std::mem::replace(&mut self.seen.control, control);
        if control.app_up != seen.app_up {
            self.inputs.push(Input::App(app(control.app_up)));
            self.room.recall();
        }
        if control.paused && !seen.paused {
            self.inputs.push(Input::Pause);
        }
        if !control.paused && control.resumes != seen.resumes {
            self.inputs.push(Input::Resume);
        }
    }

    /// Takes commands up.
    fn obey(&mut self) {
        let mut commands = std::mem::take(&mut self.commands);
        for command in commands.drain(..) {
            match command {
                Command::Drain { deadline, done } => {
                    let earlier = self.life.drain;
                    // Whoever asked first waits no longer for it.
                    self.life.drain = Some(earlier.map_or(deadline, |earlier| earlier.min(deadline)));
                    // The end is the drain's now, and nothing is opened after it.
                    self.timer.reopen_at = None;
                    self.life.waiting.push(done);
                    if earlier.is_none() {
                        self.begin_to_drain();
                    }
                }
                Command::Replace { spec, done } => {
                    self.replace(spec);
                    // Whoever asked may have stopped waiting, here and below.
                    done.send(()).ok();
                }
                Command::Redrive { choice, done } => self.begin_redrive(choice, done),
            }
        }
        self.commands = commands;
    }

    fn begin_to_drain(&mut self) {
        self.inputs.push(Input::Drain);
        self.room.recall();
        self.life.shared.set_state("draining", None);
    }

    fn replace(&mut self, spec: Arc<Spec>) {
        let reopen = self.life.spec.differs_on_the_broker(&spec);
        let deadline = Instant::now() + self.life.spec.webhook.timeout;
        match endpoint(self.life, &spec) {
            Ok(endpoint) => self.endpoint = Arc::new(endpoint),
            Err(reason) => {
                // Callers check that before; should one not have, the old configuration goes on.
                tracing::error!(subscription = %self.endpoint.name, reason, "the new webhook cannot be used");
                return;
            }
        }
        self.life.set_spec(spec.clone());
        if self.life.drain.is_some() {
            // It ends in any case.
        } else if reopen {
            self.timer.reopen_at = Some(deadline);
            self.begin_to_drain();
        } else {
            self.inputs.push(Input::Reconfigure(Box::new(spec.engine_policy())));
        }
    }

    /// Whether it is over, and how.
    fn ended(&self) -> Option<End> {
        let past = |deadline: Option<Instant>| deadline.is_some_and(|at| at <= Instant::now());
        if self.life.drain.is_some() && (self.drained || past(self.life.drain)) {
            return Some(End::Drained);
        }
        (self.timer.reopen_at.is_some() && (self.drained || past(self.timer.reopen_at)))
            .then_some(End::Reopen)
    }

    /// The topic's source is gone: nothing can be settled any more.
    fn source_lost(&mut self) -> Option<broker::Error> {
        let (source, error) = self.lost.take()?;
        if source == TOPIC {
            return Some(error);
        }
        tracing::warn!(subscription = %self.endpoint.name, %error, "a redrive lost its source; redrive again");
        self.feeds[usize::from(LETTERS.0)] = None;
        self.inputs.push(Input::SourceClosed(LETTERS));
        None
    }

    /// Ends open attempts, releases what is held, flushes.
    async fn close(&mut self) {
        // Their connections close here, before their deliveries are given back.
        self.attempts = Attempts::default();
        let grace = Instant::now() + CLOSE_GRACE;
        let deadline = self.life.drain.or(self.timer.reopen_at).map_or(grace, |at| at.max(grace));
        let sources = self.feeds.iter_mut().filter_map(Option::take).map(|feed| feed.source.close());
        // Side by side, that none has to wait for another; a redrive's that is closing already, too.
        let closing = sources.chain(self.closing.take());
        let closing = closing.map(|close| tokio::time::timeout_at(deadline, close));
        for closed in futures::future::join_all(closing).await {
            match closed {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(subscription = %self.endpoint.name, %error, "what was settled last may come again");
                }
                Err(_) => {
                    tracing::warn!(subscription = %self.endpoint.name, "closing took too long; what was settled last may come again");
                }
            }
        }
        self.report();
    }
}

fn endpoint(life: &Life, spec: &Spec) -> Result<Endpoint, String> {
    let app_up: Arc<AtomicBool> = life.shared.app_up.clone();
    let tools = &life.tools;
    Endpoint::new(spec, &tools.push, tools.telemetry.clone(), tools.publisher.clone(), app_up)
}

fn app(up: bool) -> App {
    if up { App::Up } else { App::Down }
}
