//! What the rest of the process sees of the subscription: its status, and its transitions.

use std::time::Duration;

use broker::{Health, Key};
use engine::{BreakerState, PausedBy, Stuck, Token, Transition};
use telemetry::Happened;
use tokio::time::Instant;

use super::{Actor, TOPIC};
use crate::shared::PAUSED_BY_OPERATOR;
use crate::{Part, StuckKey};

/// Between two snapshots of a subscription at work, and of one at rest.
const BUSY: Duration = Duration::from_millis(100);
const IDLE: Duration = Duration::from_secs(1);

impl Actor<'_> {
    pub(super) fn tell(&self, transition: Transition) {
        if matches!(
            transition,
            Transition::BreakerOpened { .. }
                | Transition::Held { .. }
                | Transition::PausedByAnswer
                | Transition::PausedByDeadLetters
                | Transition::PausedByOperator
        ) {
            // What waits for room has not been sent, and is not to be sent now.
            self.room.recall();
        }
        let subscription = &*self.endpoint.name;
        let telemetry = &self.endpoint.telemetry;
        match transition {
            Transition::BreakerOpened { open } => {
                telemetry.tell(Happened::BreakerOpened { subscription, open });
            }
            Transition::BreakerClosed => telemetry.tell(Happened::BreakerClosed { subscription }),
            Transition::Held { until } => {
                let wait = until.saturating_sub(self.epoch.elapsed());
                telemetry.tell(Happened::Held { subscription, wait });
            }
            Transition::PausedByAnswer => telemetry.tell(Happened::Paused { subscription, by: "answer" }),
            Transition::PausedByDeadLetters => {
                telemetry.tell(Happened::Paused { subscription, by: "dead_letters" });
            }
            Transition::PausedByOperator => telemetry.tell(Happened::Paused { subscription, by: "operator" }),
            Transition::Resumed => telemetry.tell(Happened::Resumed { subscription }),
            Transition::Window { attempts } => telemetry.tell(Happened::Window { subscription, attempts }),
            Transition::Stuck { longest, events } => {
                let key = longest.and_then(|token| self.key_of(token)).map(Key::as_bytes);
                telemetry.tell(Happened::Stuck { subscription, key, events });
            }
        }
    }

    /// The key of a delivery, as far as it was seen: a stored one shows it when it is first sent.
    fn key_of(&self, token: Token) -> Option<&Key> {
        let slot = self.feeds[usize::from(token.source.0)].as_ref()?.held.get(token)?;
        let record = slot.record.as_ref().and_then(|record| record.key.as_ref());
        record.or_else(|| slot.last.as_ref().and_then(|last| last.key.as_ref()))
    }

    /// Has what is decided next shown at once: whoever gave the word looks.
    pub(super) fn report_now(&mut self) {
        self.timer.report_at = Instant::now();
    }

    pub(super) fn report_when_due(&mut self) {
        if self.timer.report_at <= Instant::now() {
            self.report();
            self.endpoint.pool.prune();
            self.timer.report_at = Instant::now() + IDLE;
        } else {
            // Something happened: show it soon.
            self.timer.report_at = self.timer.report_at.min(Instant::now() + BUSY);
        }
    }

    pub(super) fn report(&mut self) {
        let engine = self.engine.status();
        let parts = self.parts();
        let lag = self.feeds[0].as_ref().map(|feed| feed.source.lag()).unwrap_or_default();
        let stuck_keys = engine.stuck.iter().map(|stuck| self.stuck_key(stuck)).collect();
        let (state, reason) = match engine.paused {
            _ if engine.draining => ("draining", None),
            Some(by) => ("paused", Some(paused_by(by).to_owned())),
            None if engine.app == engine::App::Down => ("running", Some("the app is not up".to_owned())),
            None if engine.held_until.is_some() => ("running", Some("the webhook asked to wait".to_owned())),
            None => ("running", self.trouble()),
        };
        self.life.shared.report(self.seen.control, |status| {
            state.clone_into(&mut status.state);
            status.reason = reason;
            status.lag = lag.records;
            status.oldest_age_ms =
                lag.oldest.map(|oldest| u64::try_from(oldest.as_millis()).unwrap_or(u64::MAX));
            status.held = engine.held;
            status.in_flight = engine.in_flight;
            status.retrying = engine.retrying;
            status.window = engine.window;
            let breaker = match engine.breaker {
                BreakerState::Closed => "closed",
                BreakerState::Open => "open",
                BreakerState::Probing => "probing",
            };
            breaker.clone_into(&mut status.breaker);
            status.delivered = self.counts.delivered;
            status.dead_lettered = self.counts.dead_lettered;
            status.gaps = self.counts.gaps;
            status.stuck_keys = stuck_keys;
            if let Some(parts) = parts {
                status.parts = parts;
            }
        });
    }

    /// What the topic's source is read in, where it is time to look again: there may be thousands of parts.
    fn parts(&mut self) -> Option<Vec<Part>> {
        let now = Instant::now();
        let Some(feed) = &self.feeds[usize::from(TOPIC.0)] else { return Some(Vec::new()) };
        if self.parts_at > now {
            return None;
        }
        self.parts_at = now + IDLE;
        Some(feed.source.parts().into_iter().map(Part::from).collect())
    }

    /// Why nothing comes or nothing goes, where the broker is the reason.
    fn trouble(&self) -> Option<String> {
        let feed = self.feeds[usize::from(TOPIC.0)].as_ref()?;
        let resting = feed.trouble.as_ref().filter(|_| feed.resting_until.is_some());
        resting.cloned().or_else(|| self.letter_trouble()).or_else(|| match self.life.spec.driver.health() {
            Health::Down { reason, .. } => Some(reason),
            Health::Up => None,
        })
    }

    fn stuck_key(&self, stuck: &Stuck) -> StuckKey {
        let slot = self.feeds[usize::from(stuck.token.source.0)]
            .as_ref()
            .and_then(|feed| feed.held.get(stuck.token));
        let last =
            slot.and_then(|slot| slot.last.as_ref()).map_or_else(String::new, |last| match last.status {
                Some(status) if last.answer.is_empty() => status.to_string(),
                Some(status) => format!("{status}: {}", last.answer),
                None => last.answer.to_string(),
            });
        StuckKey {
            key: self.key_of(stuck.token).map(ToString::to_string).unwrap_or_default(),
            attempts: stuck.attempts,
            waiting: stuck.waiting,
            last,
        }
    }
}

fn paused_by(by: PausedBy) -> &'static str {
    match by {
        PausedBy::Operator => PAUSED_BY_OPERATOR,
        PausedBy::DeadLetters => "too many dead letters by answers; resume it when the webhook is well",
        PausedBy::Answer => "the webhook answered that it is gone (410); probed from time to time",
    }
}
