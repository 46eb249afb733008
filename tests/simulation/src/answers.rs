//! What has to follow from an answer.

use std::time::Duration;

use engine::{Outcome, Reason, Scope, Token};

use super::rules::{Answered, Rules, Step};
use super::shell::{Held, Life};

impl Life {
    pub(super) fn judge_answer(&mut self, step: &Step) {
        let Some(answered) = step.answered.as_ref().filter(|answered| !answered.living.is_empty()) else {
            return;
        };
        let spends = answered.counts && !step.opened;
        for (token, held) in &answered.living {
            match answered.outcome {
                Outcome::Done if !step.done.contains(token) => {
                    self.rules.breaks("E1", format_args!("{token:?} succeeded and is not done"));
                }
                Outcome::Done => {}
                Outcome::DeadLetter => self.judge_condemned(*token, held, step),
                Outcome::Retry { scope, after } => {
                    self.judge_retry(*token, held, spends, step);
                    let gate_asks = self.rules.breaker.open || self.rules.gate.answer;
                    self.asked_to_wait(*token, scope, after, spends || !gate_asks);
                }
                Outcome::Unreached | Outcome::Pause => {
                    self.expect_no_spending(*token, step);
                    let waits = answered.outcome == Outcome::Unreached
                        && !(self.rules.breaker.open || self.rules.gate.answer);
                    self.asked_to_wait(*token, Scope::Endpoint, None, waits);
                }
            }
        }
        self.rules.judge_hold(answered, step);
        self.rules.judge_breaker(answered, step);
        self.rules.judge_window(answered, step);
    }

    fn judge_retry(&mut self, token: Token, held: &Held, spends: bool, step: &Step) {
        if !spends {
            self.expect_no_spending(token, step);
            return;
        }
        let (now, retry) = (self.rules.now, self.rules.policy.retry);
        let attempts = held.note.attempts.saturating_add(1);
        let began_ms = step.answered.as_ref().map_or(0, |answered| answered.began.wall_ms);
        let first_ms = if held.note.first_ms == 0 { began_ms.max(1) } else { held.note.first_ms };
        if !step.notes.contains(&(token, attempts, first_ms)) {
            let notes = &step.notes;
            let broken =
                format!("{token:?} spent its attempt {attempts}, first at {first_ms}: noted is {notes:?}");
            self.rules.breaks("E5", broken);
        }
        let age = Duration::from_millis(now.wall_ms.saturating_sub(first_ms));
        let due = match () {
            () if attempts >= retry.max_attempts => Some(Reason::AttemptsUsedUp),
            () if age > retry.max_age => Some(Reason::TooOld),
            () => None,
        };
        self.expect_letter(token, due.map(|reason| (reason, attempts)), step);
        if let Some(held) = self.held_mut(token) {
            held.note = broker::Note { attempts, first_ms };
        }
    }

    fn judge_condemned(&mut self, token: Token, held: &Held, step: &Step) {
        let written = step.letters.iter().any(|(it, ..)| *it == token);
        if !written && self.rules.gate.letters {
            return;
        }
        let attempts = held.note.attempts.saturating_add(1);
        self.expect_letter(token, Some((Reason::Answered, attempts)), step);
        if let Some(held) = self.held_mut(token) {
            held.note.attempts = attempts;
        }
        let Rules { letters: (count, since), rate_most, now, .. } = &mut self.rules;
        *count += 1;
        let minutes = now.monotonic.saturating_sub(*since).as_secs_f64() / 60.0;
        if f64::from(*count) > f64::from(*rate_most) * (1.0 + minutes) + 1.0 {
            let broken = format!("{count} letters within {minutes:.1} minutes, at most {rate_most} a minute");
            self.rules.breaks("E6", broken);
        }
    }

    fn expect_no_spending(&mut self, token: Token, step: &Step) {
        if step.notes.iter().any(|(it, ..)| *it == token) {
            self.rules.breaks("E5", format_args!("{token:?} is noted though its attempt spends nothing"));
        }
        self.expect_letter(token, None, step);
    }

    fn expect_letter(&mut self, token: Token, due: Option<(Reason, u32)>, step: &Step) {
        let written = step.letters.iter().find(|(it, ..)| *it == token);
        let written = written.map(|(_, reason, attempts)| (*reason, *attempts));
        if written != due {
            self.rules.breaks("E6", format_args!("{token:?}: due is {due:?}, written is {written:?}"));
        }
    }
}

impl Rules {
    fn judge_hold(&mut self, answered: &Answered, step: &Step) {
        let now = self.now.monotonic;
        if let Outcome::Retry { scope: Scope::Endpoint, after: Some(after) } = answered.outcome {
            let until = now + after.min(self.policy.retry.retry_after_max);
            self.gate.hold_until = self.gate.hold_until.max(until);
            let told = self.window.told;
            if told != 1 {
                self.breaks("E7", format_args!("a window of {told} after a Retry-After"));
            }
            self.window.recovery = answered.serial;
        }
        if let Some(until) = step.held_until.filter(|until| *until != self.gate.hold_until) {
            let asked = self.gate.hold_until;
            self.breaks("E3", format_args!("held until {until:?}, asked for was {asked:?}"));
        }
    }

    fn judge_breaker(&mut self, answered: &Answered, step: &Step) {
        let good = matches!(answered.outcome, Outcome::Done | Outcome::DeadLetter);
        // A pause lasts anew from each answer that asks for it, and from each probe that fails.
        if self.gate.answer && (answered.outcome == Outcome::Pause || answered.began.probe) {
            self.breaker.probe_at = self.now.monotonic + self.policy.breaker.pause_probe;
        }
        if answered.began.probe && good && (self.breaker.open || self.gate.answer) {
            self.breaks("E4", "a good probe leaves the breaker open");
        }
        if step.closed && !(answered.began.probe && good) {
            self.breaks("E4", "the breaker closes without a good probe");
        }
        if !answered.counts {
            return;
        }
        match answered.outcome {
            _ if step.opened => return,
            Outcome::Done | Outcome::DeadLetter => self.breaker.in_a_row = 0,
            Outcome::Retry { scope: Scope::Endpoint, after: None } => self.breaker.in_a_row += 1,
            _ => {}
        }
        let (in_a_row, most) = (self.breaker.in_a_row, self.policy.breaker.consecutive.max(1));
        if in_a_row >= most && matches!(answered.outcome, Outcome::Retry { .. }) {
            self.breaks("E4", format_args!("{in_a_row} failures in a row leave the breaker closed"));
        }
    }

    fn judge_window(&mut self, answered: &Answered, step: &Step) {
        let (before, told) = (step.window_before, self.window.told);
        let counts = answered.counts && answered.began.serial >= self.window.recovery;
        match answered.outcome {
            Outcome::Retry { scope: Scope::Endpoint, after: None } if counts => {
                if told > (before / 2).max(1) {
                    self.breaks("E7", format_args!("a window of {before} is {told} after a failure"));
                }
                self.window.recovery = answered.serial;
            }
            Outcome::Done if counts && told == before && told < self.policy.concurrency => {
                self.window.stalled += u32::from(answered.open * 2 >= told as usize);
                if self.window.stalled > 8 * told + 60 {
                    self.breaks("E7", format_args!("a window of {told} does not grow"));
                    self.window.stalled = 0;
                }
            }
            _ => {}
        }
    }
}
