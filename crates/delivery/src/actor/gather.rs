//! Waiting for whatever comes first, and taking all that is there.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use engine::{Input, Outcome, Scope, SourceId};
use telemetry::{Happened, Telemetry};
use tokio::time::{Instant, Sleep};

use super::attempts::Ending;
use super::feed::Feed;
use super::{Actor, Counts, LETTERS, TOPIC};
use crate::attempt::{Ended, Finished};
use crate::held::Put;

/// Most answers that are taken in one round, so that a round stays short.
const ANSWERS_MAX: usize = 256;
/// Most inputs of a source that are taken in one round, counted before each poll.
const INPUTS_MAX: usize = 1024;

/// The one timer, armed for whatever is next.
pub(super) struct Timer {
    sleep: Pin<Box<Sleep>>,
    armed: Option<Instant>,
    /// The engine's [`Action::Wake`](engine::Action::Wake).
    pub(super) wake_at: Option<Instant>,
    /// When status is to be published.
    pub(super) report_at: Instant,
    /// A replacement that needs another source: the end of the present one.
    pub(super) reopen_at: Option<Instant>,
}

impl Timer {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            sleep: Box::pin(tokio::time::sleep_until(now)),
            armed: Some(now),
            wake_at: None,
            report_at: now,
            reopen_at: None,
        }
    }

    fn poll(&mut self, next: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(next) = next else { return Poll::Pending };
        if self.armed != Some(next) {
            self.armed = Some(next);
            self.sleep.as_mut().reset(next);
        }
        self.sleep.as_mut().poll(cx).map(|()| self.armed = None)
    }
}

impl Actor<'_> {
    /// Waits until there is something to do, and gathers all of it. Cancel-safe: what was gathered is in `self`.
    pub(super) async fn gather(&mut self) {
        std::future::poll_fn(|cx| self.poll_gather(cx)).await;
    }

    fn poll_gather(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut any = !self.inputs.is_empty() || !self.answers.list.is_empty();
        any |= self.poll_control(cx);
        any |= self.poll_commands(cx);
        any |= self.poll_feed(TOPIC, cx);
        any |= self.poll_feed(LETTERS, cx);
        any |= self.poll_attempts(cx);
        any |= self.poll_letters(cx);
        any |= self.poll_redrive(cx);
        any |= self.poll_timer(cx);
        if any { Poll::Ready(()) } else { Poll::Pending }
    }

    fn poll_control(&mut self, cx: &mut Context<'_>) -> bool {
        let version = self.life.shared.watch(cx.waker());
        let news = std::mem::replace(&mut self.seen.version, version) != version;
        if news {
            self.report_now();
        }
        news
    }

    fn poll_commands(&mut self, cx: &mut Context<'_>) -> bool {
        let before = self.commands.len();
        while let Poll::Ready(command) = self.life.commands.poll_recv(cx) {
            let Some(command) = command else {
                // Every handle is gone, and with them whoever could drain it.
                let first = self.life.drain.is_none();
                self.life.drain.get_or_insert_with(Instant::now);
                return first || self.commands.len() > before;
            };
            self.commands.push(command);
            self.report_now();
        }
        self.commands.len() > before
    }

    fn poll_feed(&mut self, id: SourceId, cx: &mut Context<'_>) -> bool {
        let Some(feed) = &mut self.feeds[usize::from(id.0)] else { return false };
        let mut any = false;
        while feed.inputs.len() < INPUTS_MAX
            && let Poll::Ready(ended) = feed.poll(&self.endpoint.name, cx)
        {
            any = true;
            if let Some(error) = ended {
                // Without its topic the subscription is over, whatever else ended in the same moment.
                if self.lost.as_ref().is_none_or(|(lost, _)| *lost != TOPIC) {
                    self.lost = Some((id, error));
                }
                break;
            }
        }
        let name = &self.endpoint.name;
        let recalled = take_in(feed, &mut self.inputs, &mut self.counts, &self.endpoint.telemetry, name);
        if recalled {
            // What waits for room has not been sent, and nothing new is to begin.
            self.room.recall();
        }
        any
    }

    fn poll_attempts(&mut self, cx: &mut Context<'_>) -> bool {
        let mut taken = 0;
        while taken < ANSWERS_MAX
            && let Poll::Ready(Some((attempt, ending))) = self.attempts.poll_ended(cx)
        {
            taken += 1;
            match ending {
                Ending::Abandoned => self.inputs.push(Input::Abandoned { attempt }),
                Ending::Finished(finished) => self.take_answer(attempt, finished),
                Ending::Panicked { deliveries } => {
                    let again = Outcome::Retry { scope: Scope::Event, after: None };
                    self.answers.push(attempt, Duration::ZERO, std::iter::repeat_n(again, deliveries));
                }
            }
        }
        taken > 0
    }

    fn take_answer(&mut self, attempt: engine::Attempt, finished: Finished) {
        let Finished { latency, ended } = finished;
        self.answers.push(attempt, latency, ended.iter().map(|ended| ended.outcome));
        for Ended { token, outcome, last, dead } in ended {
            let Some(feed) = &mut self.feeds[usize::from(token.source.0)] else { continue };
            if dead {
                // Should its source tell it later, it finds nothing any more.
                let known = feed.held.remove(token).is_some();
                self.inputs.extend(known.then_some(Input::Revoked { token }));
                continue;
            }
            let Some(slot) = feed.held.get_mut(token) else { continue };
            if outcome == Outcome::Unreached {
                slot.posts = slot.posts.saturating_sub(1);
            }
            if last.is_some_and(|last| feed.held.remember(token, last)) {
                self.to_forget.push(token);
            }
        }
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> bool {
        let resting = self.feeds.iter().flatten().filter_map(|feed| feed.resting_until).min();
        let next =
            [self.timer.wake_at, Some(self.timer.report_at), self.timer.reopen_at, self.life.drain, resting];
        let next = next.into_iter().flatten().min();
        if self.timer.poll(next, cx).is_pending() {
            return false;
        }
        if self.timer.wake_at.is_some_and(|at| at <= Instant::now()) {
            self.timer.wake_at = None;
            self.inputs.push(Input::Woke);
        }
        true
    }
}

/// Turns what a source said into inputs. Whether it recalled anything.
fn take_in(
    feed: &mut Feed,
    inputs: &mut Vec<Input<'static>>,
    counts: &mut Counts,
    telemetry: &Telemetry,
    subscription: &str,
) -> bool {
    let mut recalled = false;
    let mut said = std::mem::take(&mut feed.inputs);
    for input in said.drain(..) {
        match input {
            broker::Input::Delivery(delivery) => {
                let left_out =
                    feed.chosen.as_ref().is_some_and(|chosen| !chosen.contains(&delivery.position));
                if left_out {
                    feed.leave_out(delivery.lease, delivery.bytes);
                    continue;
                }
                let broker::Note { attempts, first_ms } = delivery.note;
                let key = delivery.key.as_ref().map(broker::Key::digest);
                let Put { token, superseded } = feed.held.put(delivery);
                inputs.extend(superseded.map(|token| Input::Revoked { token }));
                inputs.push(Input::Arrived { token, key, attempts, first_ms });
            }
            broker::Input::Revoked(lease) => {
                inputs.extend(feed.held.revoke(lease).map(|token| Input::Revoked { token }));
            }
            broker::Input::Recalled(lease) => {
                recalled = true;
                inputs.extend(feed.recall(lease).map(|token| Input::Recalled { token }));
            }
            broker::Input::Gap(gap) => {
                counts.gaps += gap.records.unwrap_or(1);
                let (events, message) = (gap.records, gap.message.as_str());
                telemetry.tell(Happened::Gap { subscription, events, message });
            }
            broker::Input::CaughtUp => feed.caught_up = true,
        }
    }
    feed.inputs = said;
    recalled
}
