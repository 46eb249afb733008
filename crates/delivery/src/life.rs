//! A subscription's task from its birth to its end: ensure, open, deliver, and begin again after a failure.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use broker::{BoxFuture, Credit, Source};
use futures::FutureExt;
use publish::Publisher;
use telemetry::Telemetry;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::actor::Actor;
use crate::push::Push;
use crate::shared::{Command, Shared};
use crate::waits::{Waits, answered};
use crate::{Error, Spec};

/// A source that was open for so long was well: what befalls it then is a new story.
const WELL: Duration = Duration::from_secs(60);

/// What every subscription of this process works with.
#[derive(Clone, Debug)]
pub(crate) struct Tools {
    pub(crate) publisher: Publisher,
    pub(crate) telemetry: Telemetry,
    pub(crate) push: Push,
}

/// A subscription's task.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) shared: Arc<Shared>,
    pub(crate) tools: Tools,
    pub(crate) spec: Arc<Spec>,
    pub(crate) commands: mpsc::Receiver<Command>,
    /// A drain that was asked for: the moment it must be over, and who waits for it.
    pub(crate) drain: Option<Instant>,
    pub(crate) waiting: Vec<oneshot::Sender<()>>,
    /// When the present period's source was opened, if it was.
    pub(crate) opened_at: Option<Instant>,
}

/// How a period of delivering ended.
#[derive(Debug)]
pub(crate) enum End {
    Drained,
    /// The configuration changed so that the source has to be opened anew.
    Reopen,
    /// The source is gone, or could not be opened.
    Lost(broker::Error),
}

impl Life {
    /// Runs until drained. A panic anywhere below costs the open attempts and what was not flushed, and no event: the
    /// broker hands out again what was not settled.
    pub(crate) async fn run(mut self) {
        let mut waits = Waits::default();
        loop {
            self.opened_at = None;
            let end = AssertUnwindSafe(self.period()).catch_unwind().await;
            if self.opened_at.is_some_and(|at| at.elapsed() > WELL) {
                waits = Waits::default();
            }
            let wait = match end {
                Ok(End::Drained) => break,
                Ok(End::Reopen) if self.drain.is_none() => continue,
                Ok(End::Reopen) => break,
                Ok(End::Lost(error)) => self.tell_lost(&error, &mut waits),
                Err(panic) => self.tell_panic(panic.as_ref(), &mut waits),
            };
            if self.drain.is_some() || self.rest(wait).await {
                break;
            }
        }
        self.shared.set_drained();
        for done in self.waiting {
            // Whoever asked may have stopped waiting.
            done.send(()).ok();
        }
    }

    /// From ensuring to the end of the source.
    async fn period(&mut self) -> End {
        let shared = self.shared.clone();
        let tell = move |slow| shared.set_state("pending", Some(slow));
        let opening = open(self.spec.clone(), self.shared.clone(), self.tools.publisher.clone());
        let source = match self.meanwhile(Box::pin(answered("the subscription", opening, tell))).await {
            Some(Ok(source)) => source,
            Some(Err(error)) => return End::Lost(error),
            None => return if self.drain.is_some() { End::Drained } else { End::Reopen },
        };
        self.opened_at = Some(Instant::now());
        match Actor::new(self, source) {
            Ok(actor) => actor.run().await,
            Err(reason) => End::Lost(broker::Error::new(broker::ErrorKind::Conflict, reason)),
        }
    }

    /// Awaits `work` and answers commands. `None`: a command ended it.
    async fn meanwhile<T>(&mut self, mut work: BoxFuture<'_, T>) -> Option<T> {
        loop {
            tokio::select! {
                biased;
                command = self.commands.recv() => {
                    if self.answer_while_closed(command) {
                        return None;
                    }
                }
                done = &mut work => return Some(done),
            }
        }
    }

    /// Waits. True: drained meanwhile.
    async fn rest(&mut self, wait: Duration) -> bool {
        let sleep: BoxFuture<'static, ()> = Box::pin(tokio::time::sleep(wait));
        self.meanwhile(sleep).await;
        self.drain.is_some()
    }

    /// Answers a command while no source is open. True: what is under way has lost its purpose.
    fn answer_while_closed(&mut self, command: Option<Command>) -> bool {
        match command {
            // Every handle is gone, and with them whoever could drain it.
            None => {
                self.drain = Some(Instant::now());
                true
            }
            Some(Command::Drain { deadline, done }) => {
                self.drain = Some(deadline);
                self.waiting.push(done);
                true
            }
            Some(Command::Replace { spec, done }) => {
                self.set_spec(spec);
                done.send(()).ok();
                true
            }
            Some(Command::Redrive { done, .. }) => {
                let status = self.shared.status();
                let state = status.reason.unwrap_or(status.state);
                drop(done.send(Err(Error::NotRunning { name: status.name, state })));
                false
            }
        }
    }

    pub(crate) fn set_spec(&mut self, spec: Arc<Spec>) {
        if self.spec.differs_on_the_broker(&spec) {
            self.shared.set_ensured(false);
        }
        self.shared.set_spec(&spec);
        self.spec = spec;
    }

    fn tell_lost(&self, error: &broker::Error, waits: &mut Waits) -> Duration {
        let temporary = error.is_temporary();
        let state = if temporary { "pending" } else { "failed" };
        let wait = waits.wait(temporary);
        tracing::warn!(subscription = self.spec.name, %error, state, retry_in = ?wait, "the subscription is not open");
        self.shared.set_closed(state, error.message.clone());
        wait
    }

    fn tell_panic(&self, panic: &(dyn std::any::Any + Send), waits: &mut Waits) -> Duration {
        let message = panic_message(panic);
        let wait = waits.wait(true);
        tracing::error!(
            subscription = self.spec.name,
            message,
            retry_in = ?wait,
            "the subscription's task panicked; nothing is lost, it is opened again"
        );
        self.shared.set_closed("failed", format!("internal error: {message}"));
        wait
    }
}

pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic without a message")
}

type Opened = Result<Box<dyn Source>, broker::Error>;

/// Makes the subscription, its dead-letter topic, the subscription on that, and its reply topic durable, then opens the
/// first. The source hands nothing out before it is granted credit.
fn open(spec: Arc<Spec>, shared: Arc<Shared>, publisher: Publisher) -> BoxFuture<'static, Opened> {
    Box::pin(async move {
        spec.driver.ensure(&spec.durable).await?;
        let letters = &spec.dead_letter;
        // Topic and subscription at once: only so does the broker know that this topic is to keep what it holds.
        letters.driver.ensure(&spec.redrive(None)).await?;
        if let Some(replies) = spec.reply_topic.as_deref().and_then(|name| publisher.topic(name)) {
            replies.driver.ensure_topic(&replies.on_broker).await?;
        }
        shared.set_ensured(true);
        spec.driver.open(&spec.durable, Credit::NONE).await
    })
}
