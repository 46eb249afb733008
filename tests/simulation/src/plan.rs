//! What a seed decides beforehand.

use std::time::Duration;

use broker::model::Faults;
use engine::{AfterDeadLetter, Breaker, DeadLetter, Mode, Ordering, Policy, Retry, Window};
use fastrand::Rng;
use publish::Limits;

use super::Options;

/// What befalls the process, the broker or the app at a given time.
#[derive(Clone, Copy, Debug)]
pub(super) enum Misfortune {
    /// kill -9.
    Crash,
    /// A drain, and a new process.
    Restart,
    Revoke {
        all: bool,
        rewind: bool,
    },
    Outage(Duration),
    AppDown,
    AppUp,
    Pause,
    Resume,
    /// The wall clock is set forward or back, in milliseconds.
    ClockStep(i64),
    Reconfigure,
    /// The operator asks for the dead letters to be delivered again.
    Redrive,
}

/// The webhook's health for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    Well,
    Slow,
    /// 503 to most requests.
    SickEndpoint,
    /// Connections are refused or reset.
    Refusing,
    /// 429 with `Retry-After`.
    Throttling,
    /// 410.
    Gone,
    /// 500 or a timeout, to many events.
    SickEvents,
    /// 422 to many events that are well: a deployment gone wrong.
    Rejecting,
    /// Succeeds, but often breaks the connection before its answer is through.
    AnswersLost,
}

#[derive(Debug)]
pub(super) struct Plan {
    pub(super) policy: Policy,
    pub(super) faults: Faults,
    pub(super) keys: usize,
    /// Publishers without a key.
    pub(super) keyless: usize,
    /// How often the shell looks at its sources; zero: at once, and then answers come to the engine by themselves.
    pub(super) polls_every: Duration,
    /// How much may be published at once.
    pub(super) limits: Limits,
    /// Chance that a call carries events of several publishers.
    pub(super) together: f64,
    /// Chance that the driver's answer to a call comes late, be it past the deadline.
    pub(super) late_driver: f64,
    /// Mean time between two events of a publisher.
    pub(super) pace: Duration,
    pub(super) misfortunes: Vec<(Duration, Misfortune)>,
    /// The webhook's health, each until the given time, and `Well` after the last.
    pub(super) phases: Vec<(Duration, Health)>,
    pub(super) heal_at: Duration,
}

/// How long publishing and misfortune last.
const TROUBLE: Duration = Duration::from_secs(90);

impl Plan {
    pub(super) fn new(options: &Options, rng: &mut Rng) -> Self {
        let publishers = rng.usize(6..24);
        let keyless = publishers / 5;
        let pace = (TROUBLE * publishers as u32).mul_f64(0.6) / options.events.max(1);
        Self {
            policy: policy(rng),
            faults: faults(rng),
            keys: publishers - keyless,
            keyless,
            polls_every: if rng.bool() { millis(rng, 2..40) } else { Duration::ZERO },
            limits: limits(rng),
            together: if rng.bool() { rng.f64() } else { 0.0 },
            late_driver: if rng.bool() { 0.04 } else { 0.0 },
            pace,
            misfortunes: misfortunes(options, rng),
            phases: phases(rng),
            heal_at: TROUBLE,
        }
    }

    pub(super) fn health(&self, now: Duration) -> Health {
        let phase = self.phases.iter().find(|(until, _)| now < *until);
        phase.filter(|_| now < self.heal_at).map_or(Health::Well, |(_, health)| *health)
    }
}

fn millis(rng: &mut Rng, range: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(rng.u64(range))
}

pub(super) fn policy(rng: &mut Rng) -> Policy {
    let mode = if rng.u8(..5) == 0 { Mode::Batch { events: rng.u32(2..9) } } else { Mode::Single };
    let after = if rng.u8(..8) == 0 { AfterDeadLetter::Pause } else { AfterDeadLetter::Continue };
    Policy {
        ordering: if rng.u8(..10) == 0 { Ordering::None } else { Ordering::Key },
        concurrency: rng.u32(1..17),
        mode,
        retry: Retry {
            initial: millis(rng, 20..300),
            max: millis(rng, 1000..8000),
            max_attempts: rng.u32(3..12),
            max_age: millis(rng, 20_000..7_200_000),
            retry_after_max: millis(rng, 1000..10_000),
            budget_floor_per_second: rng.u32(1..11),
            budget_ratio: 0.2,
        },
        breaker: Breaker {
            consecutive: rng.u32(3..8),
            success_ratio: 0.2,
            over: Duration::from_secs(10),
            open: millis(rng, 200..1500),
            open_max: millis(rng, 2000..8000),
            pause_probe: millis(rng, 2000..15_000),
        },
        window: Window { initial: rng.u32(1..6) },
        dead_letter: DeadLetter { max_per_minute: rng.u32(2..60), after },
        buffer: rng.u32(8..300),
    }
}

fn limits(rng: &mut Rng) -> Limits {
    Limits {
        events_max: rng.u64(2..40),
        bytes_max: if rng.bool() { 1 << 20 } else { rng.u64(200..4000) },
        retry_after: Duration::from_millis(150),
    }
}

/// Between a good day and every fault at once.
fn faults(rng: &mut Rng) -> Faults {
    let mut faults = match rng.u8(..4) {
        0 => Faults::calm(),
        1 => Faults::restless(),
        _ => Faults::nasty(),
    };
    if rng.bool() {
        faults.revoke_every = Some(millis(rng, 4000..40_000));
    }
    faults
}

fn misfortunes(options: &Options, rng: &mut Rng) -> Vec<(Duration, Misfortune)> {
    let mut all = Vec::new();
    let trouble = TROUBLE.as_millis() as u64;
    let at = |rng: &mut Rng| millis(rng, 1000..trouble);
    for _ in 0..options.crashes + rng.u32(..3) {
        all.push((at(rng), Misfortune::Crash));
    }
    for _ in 0..rng.u32(1..5) {
        // While events are still being published: later there may be nothing left to take back.
        all.push((
            millis(rng, 1000..trouble / 2),
            Misfortune::Revoke { all: rng.bool(), rewind: rng.bool() },
        ));
    }
    for _ in 0..rng.u32(..3) {
        all.push((at(rng), Misfortune::Restart));
    }
    for _ in 0..rng.u32(..2) {
        all.push((at(rng), Misfortune::Outage(millis(rng, 100..5000))));
    }
    for (begin, end) in [(Misfortune::AppDown, Misfortune::AppUp), (Misfortune::Pause, Misfortune::Resume)] {
        for _ in 0..rng.u32(..2) {
            let from = at(rng);
            all.push((from, begin));
            all.push((from + millis(rng, 100..8000), end));
        }
    }
    for _ in 0..rng.u32(..3) {
        all.push((at(rng), Misfortune::ClockStep(rng.i64(-3_600_000..3_600_000))));
    }
    for _ in 0..rng.u32(..2) {
        all.push((at(rng), Misfortune::Reconfigure));
    }
    for _ in 0..rng.u32(..3) {
        all.push((at(rng), Misfortune::Redrive));
    }
    all
}

fn phases(rng: &mut Rng) -> Vec<(Duration, Health)> {
    let mut phases = Vec::new();
    let mut until = Duration::ZERO;
    while until < TROUBLE {
        until += millis(rng, 1000..20_000);
        let health = match rng.u8(..16) {
            0 => Health::Slow,
            1 => Health::SickEndpoint,
            2 => Health::Refusing,
            3 => Health::Throttling,
            4 => Health::Gone,
            5 => Health::SickEvents,
            6 => Health::AnswersLost,
            7 => Health::Rejecting,
            _ => Health::Well,
        };
        phases.push((until, health));
    }
    phases
}
