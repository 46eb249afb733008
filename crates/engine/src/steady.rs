//! The promise that the steady state allocates nothing, shown by the capacity of every buffer the engine owns.

use std::time::Duration;

use crate::{
    Action, Actions, AfterDeadLetter, Breaker, DeadLetter, Engine, Input, Mode, Now, Ordering, Outcome,
    Policy, Retry, Scope, SourceId, Token, Window,
};

impl Engine {
    fn capacities(&self) -> Vec<usize> {
        let mut all = vec![self.broken.capacity()];
        all.extend(self.deliveries.capacities());
        all.extend(self.lanes.capacities());
        all.extend([self.retries.capacity(), self.letters.capacity()]);
        all.extend(self.attempts.capacities());
        all
    }
}

fn policy(mode: Mode) -> Policy {
    let (second, max_attempts) = (Duration::from_secs(1), 30);
    Policy {
        ordering: Ordering::Key,
        concurrency: 64,
        mode,
        retry: Retry {
            initial: second / 5,
            max: 300 * second,
            max_attempts,
            max_age: 86_400 * second,
            retry_after_max: 300 * second,
            budget_floor_per_second: 10,
            budget_ratio: 0.2,
        },
        breaker: Breaker {
            consecutive: 5,
            success_ratio: 0.2,
            over: 10 * second,
            open: second,
            open_max: 60 * second,
            pause_probe: 300 * second,
        },
        window: Window { initial: 4 },
        dead_letter: DeadLetter { max_per_minute: 100, after: AfterDeadLetter::Continue },
        buffer: 1000,
    }
}

/// Deliveries come and go; one in twenty fails once and waits for its retry, one in fifty is revoked, another recalled.
fn run(mode: Mode, steps: usize, warm: usize) {
    let (mut engine, mut actions) = (Engine::new(policy(mode), 1), Actions::default());
    let mut random = fastrand::Rng::with_seed(2);
    let (mut open, mut free): (Vec<_>, Vec<u32>) = (Vec::new(), (0..500).rev().collect());
    let (mut held, mut generation, mut now) = (Vec::<Token>::new(), 0, Duration::ZERO);
    engine.step(Now { monotonic: now, wall_ms: 0 }, &[Input::SourceOpened(SourceId(0))], &mut actions);
    let mut before = Vec::new();
    for step in 0..steps {
        now += Duration::from_millis(5);
        actions.list.clear();
        actions.tokens.clear();
        let at = Now { monotonic: now, wall_ms: now.as_millis() as u64 };
        // At first everything that can be held is: later no buffer needs more than then.
        if (step < 2_000 || random.u32(..2) == 0)
            && let Some(slot) = free.pop()
        {
            generation += 1;
            let token = Token { source: SourceId(0), slot, generation };
            held.push(token);
            let key = Some(u128::from(random.u64(..100_000) + 1));
            engine.step(at, &[Input::Arrived { token, key, attempts: 0, first_ms: 0 }], &mut actions);
        } else if random.u32(..50) == 0 && !held.is_empty() {
            let token = held.swap_remove(random.usize(..held.len()));
            free.push(token.slot);
            engine.step(at, &[Input::Revoked { token }], &mut actions);
        } else if random.u32(..50) == 0 && !held.is_empty() {
            let token = held[random.usize(..held.len())];
            engine.step(at, &[Input::Recalled { token }], &mut actions);
        } else if let Some((attempt, count)) = open.pop() {
            let retry = Outcome::Retry { scope: Scope::Event, after: None };
            let outcome = if random.u32(..20) == 0 { retry } else { Outcome::Done };
            let outcomes = vec![outcome; count as usize];
            let latency = Duration::from_millis(3);
            engine.step(at, &[Input::Answered { attempt, outcomes: &outcomes, latency }], &mut actions);
        } else {
            engine.step(at, &[Input::Woke], &mut actions);
        }
        for action in &actions.list {
            match action {
                Action::Attempt { attempt, count, .. } => open.push((*attempt, *count)),
                Action::Done { token } | Action::Release { token } => {
                    held.retain(|held| held != token);
                    free.push(token.slot);
                }
                _ => {}
            }
        }
        if step == warm {
            before = engine.capacities();
        }
    }
    assert_eq!(engine.capacities(), before, "some buffer grew after {warm} steps");
}

#[test]
fn the_steady_state_allocates_nothing() {
    run(Mode::Single, 100_000, 50_000);
}

#[test]
fn the_steady_state_of_batches_allocates_nothing() {
    run(Mode::Batch { events: 4 }, 100_000, 50_000);
}
