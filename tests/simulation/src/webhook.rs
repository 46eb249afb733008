//! The webhook: what it answers, and what it writes down (log D).

use std::time::Duration;

use engine::{Outcome, Scope, Token};
use fastrand::Rng;

use super::plan::Health;

/// An event that a request carries.
#[derive(Clone, Debug)]
pub(super) struct Carried {
    pub(super) token: Token,
    /// The record's position in the topic.
    pub(super) position: u64,
    pub(super) attempt: u32,
    /// Its lease died while the request was open, or its process did: should it succeed, that counts for nothing.
    pub(super) dead: bool,
}

/// One request, of log D.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) attempt: engine::Attempt,
    pub(super) carried: Vec<Carried>,
    pub(super) start: Duration,
    pub(super) end: Option<Duration>,
    pub(super) status: Option<u16>,
    /// What it will be answered with.
    pub(super) answer: Answer,
}

/// What the webhook does with a request: when, what it writes down, and what its sender makes of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) after: Duration,
    pub(super) status: Option<u16>,
    pub(super) outcome: Outcome,
}

const ENDPOINT: Outcome = Outcome::Retry { scope: Scope::Endpoint, after: None };
const EVENT: Outcome = Outcome::Retry { scope: Scope::Event, after: None };

/// An event that the webhook never takes, by its number: two in a hundred are answered 500 until all is well, one in a
/// hundred 422 for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Poison {
    None,
    Failing,
    Rejected,
}

pub(super) fn poison(number: u64, healed: bool) -> Poison {
    match number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32 {
        hash if hash % 100 < 2 && !healed => Poison::Failing,
        hash if hash % 100 == 2 => Poison::Rejected,
        _ => Poison::None,
    }
}

impl Answer {
    pub(super) fn decide(health: Health, poison: Poison, alone: bool, up: bool, rng: &mut Rng) -> Self {
        let after = Duration::from_micros(match health {
            Health::Slow => rng.u64(200_000..3_000_000),
            _ => rng.u64(500..40_000),
        });
        let answer = |status, outcome| Self { after, status, outcome };
        if !up {
            return Self { after: Duration::from_micros(200), ..answer(None, Outcome::Unreached) };
        }
        match health {
            Health::SickEndpoint if rng.u8(..10) < 9 => return answer(Some(503), ENDPOINT),
            Health::Refusing => return answer(None, ENDPOINT),
            Health::Throttling if rng.u8(..10) < 8 => {
                let after = Some(Duration::from_millis(rng.u64(50..60_000)));
                return answer(Some(429), Outcome::Retry { scope: Scope::Endpoint, after });
            }
            Health::Gone => return answer(Some(410), Outcome::Pause),
            Health::Rejecting if rng.bool() && alone => return answer(Some(422), Outcome::DeadLetter),
            Health::SickEvents if rng.u8(..10) < 5 => return answer(Some(500), EVENT),
            Health::SickEvents if rng.u8(..10) < 2 => {
                let after = Some(Duration::from_millis(rng.u64(50..20_000)));
                return answer(Some(425), Outcome::Retry { scope: Scope::Event, after });
            }
            Health::SickEvents if rng.u8(..10) < 2 => {
                return Self { after: Duration::from_secs(10), ..answer(None, EVENT) };
            }
            _ => {}
        }
        match poison {
            Poison::Failing => answer(Some(500), EVENT),
            // Which event of a batch it rejects, the status cannot tell: each is to be asked alone.
            Poison::Rejected if !alone => answer(Some(422), EVENT),
            Poison::Rejected => answer(Some(422), Outcome::DeadLetter),
            Poison::None if health == Health::AnswersLost && rng.bool() => answer(Some(200), ENDPOINT),
            Poison::None => answer(Some(200), Outcome::Done),
        }
    }

    pub(super) fn succeeds(&self) -> bool {
        self.status == Some(200)
    }
}
