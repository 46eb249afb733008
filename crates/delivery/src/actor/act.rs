//! Carrying out what the engine decided, in its order.

use std::time::Duration;

use broker::{Lease, Settle};
use engine::{Action, Attempt, Outcome, Token};
use telemetry::Happened;

use super::Actor;
use super::feed::Feed;
use super::letter::Wanted;
use crate::attempt::{Job, JobPart, Load, wall_ms};
use crate::held::LetterState;

impl Actor<'_> {
    pub(super) fn carry_out(&mut self) {
        let actions = std::mem::take(&mut self.actions);
        let now_ms = wall_ms();
        for action in &actions.list {
            match *action {
                Action::Attempt { attempt, first, count, probe } => {
                    let range = first as usize..first as usize + count as usize;
                    self.begin_attempt(attempt, &actions.tokens[range], probe);
                }
                Action::Abandon { attempt } => self.attempts.abandon(attempt),
                Action::Done { token } => self.done(token, now_ms),
                Action::Release { token } => self.release(token),
                Action::Note { token, attempts, first_ms } => {
                    if let Some((feed, lease)) = self.feed_of(token) {
                        feed.source.note(lease, broker::Note { attempts, first_ms });
                    }
                }
                Action::DeadLetter { token, reason, attempts, first_ms } => {
                    self.want_letter(Wanted { token, reason, attempts, first_ms });
                }
                Action::Credit { source, events } => {
                    if let Some(feed) = &mut self.feeds[usize::from(source.0)] {
                        feed.set_credit(events);
                    }
                }
                Action::Wake { at } => self.timer.wake_at = Some(self.epoch + at),
                Action::Transition(transition) => self.tell(transition),
                Action::Drained => self.drained = true,
            }
        }
        self.actions = actions;
        self.write_letters();
        while let Some(token) = self.to_forget.pop() {
            if let Some((feed, _)) = self.feed_of(token) {
                feed.held.forget_last(token);
            }
        }
    }

    /// The source and the lease of a delivery that is still held.
    pub(super) fn feed_of(&mut self, token: Token) -> Option<(&mut Feed, Lease)> {
        let feed = self.feeds[usize::from(token.source.0)].as_mut()?;
        let lease = feed.held.get(token)?.lease;
        Some((feed, lease))
    }

    fn begin_attempt(&mut self, attempt: Attempt, tokens: &[Token], probe: bool) {
        let mut parts = Vec::with_capacity(tokens.len());
        for &token in tokens {
            let Some((feed, lease)) = self.feed_of(token) else { continue };
            let Some(slot) = feed.held.get_mut(token) else { continue };
            slot.posts += 1;
            let (number, bytes) = (slot.posts, slot.bytes);
            let record = match &slot.record {
                Some(record) => Load::Here(record.clone()),
                None => Load::Stored(feed.source.load(lease)),
            };
            parts.push(JobPart { token, number, bytes, record });
        }
        if parts.len() == tokens.len() {
            // A probe was asked for by what recalls the others.
            let turn = (!probe).then(|| self.room.turn());
            let job = Job { attempt, probe, parts, room: self.room.clone(), turn };
            self.attempts.begin(self.endpoint.clone(), job);
        } else {
            // The engine never names what was revoked; should it, the attempt must end all the same.
            debug_assert!(false, "an attempt of a delivery that is not held");
            let unreached = std::iter::repeat_n(Outcome::Unreached, tokens.len());
            self.answers.push(attempt, Duration::ZERO, unreached);
        }
    }

    fn done(&mut self, token: Token, now_ms: u64) {
        let Some((feed, lease)) = self.feed_of(token) else { return };
        feed.source.settle(lease, Settle::Done);
        let Some(slot) = feed.held.remove(token) else { return };
        if let Some(chosen) = &mut feed.chosen {
            chosen.remove(&slot.position);
        }
        if slot.letter == LetterState::Durable {
            return;
        }
        self.counts.delivered += 1;
        let age = Duration::from_millis(now_ms.saturating_sub(slot.published_ms));
        let subscription = &self.endpoint.name;
        self.endpoint.telemetry.tell(Happened::Settled { subscription, events: 1, age });
    }

    fn release(&mut self, token: Token) {
        if let Some((feed, lease)) = self.feed_of(token) {
            feed.source.settle(lease, Settle::Release);
            feed.held.remove(token);
        }
    }
}
