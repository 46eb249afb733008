//! Mutants of the engine: a rule that protects the endpoint, or the memory, broken each.

use super::mutants::{Mutant, source};

pub(super) const MUTANTS: &[Mutant] = &[
    source(
        "probe-spends",
        "A probe spends an attempt.",
        "crates/engine/src/answer.rs",
        "            self.probe_ended(&verdict, actions);\n\
         \x20           return false;",
        "            self.probe_ended(&verdict, actions);\n\
         \x20           return true;",
    ),
    source(
        "retry-budget-ignored",
        "Retries keep to no budget.",
        "crates/engine/src/budget.rs",
        "if self.slot(now).again < policy.budget_floor_per_second {",
        "if self.slot(now).again < u32::MAX {",
    ),
    source(
        "ignore-retry-after",
        "A Retry-After holds nothing.",
        "crates/engine/src/gate.rs",
        "            self.gate.hold_until = until;\n\
         ",
        "",
    ),
    source(
        "retry-after-uncapped",
        "A Retry-After is obeyed beyond its cap.",
        "crates/engine/src/gate.rs",
        "self.now.monotonic + after.min(self.policy.retry.retry_after_max)",
        "self.now.monotonic + after",
    ),
    source(
        "event-retry-after-ignored",
        "A Retry-After of one event is not waited for.",
        "crates/engine/src/answer.rs",
        "wait.max(after.min(self.policy.retry.retry_after_max))",
        "wait.max(after.min(Duration::ZERO))",
    ),
    source(
        "breaker-never-opens",
        "Failures in a row do not open the breaker.",
        "crates/engine/src/breaker.rs",
        "let in_a_row = self.consecutive >= policy.consecutive.max(1);",
        "let in_a_row = self.consecutive == u32::MAX;",
    ),
    source(
        "breaker-opens-early",
        "One failure opens the breaker.",
        "crates/engine/src/breaker.rs",
        "let in_a_row = self.consecutive >= policy.consecutive.max(1);",
        "let in_a_row = self.consecutive >= 1;",
    ),
    source(
        "breaker-ignored",
        "Attempts go on while the breaker is open.",
        "crates/engine/src/gate.rs",
        "self.may_probe() && self.gate.answer.is_none() && self.breaker.is_closed()",
        "self.may_probe() && self.gate.answer.is_none()",
    ),
    source(
        "breaker-never-closes",
        "A good probe leaves the breaker open.",
        "crates/engine/src/answer.rs",
        "            self.breaker.close();\n\
         \x20           actions.list.push(Action::Transition(Transition::BreakerClosed));",
        "",
    ),
    source(
        "probe-too-soon",
        "An open breaker probes at once.",
        "crates/engine/src/breaker.rs",
        "self.state = State::Open { until: now + open };",
        "self.state = State::Open { until: now };",
    ),
    source(
        "probes-in-a-crowd",
        "A paused subscription is probed though a probe is open.",
        "crates/engine/src/dispatch.rs",
        "if self.probes.open || due.is_none_or",
        "if due.is_none_or",
    ),
    source(
        "probe-the-same-key",
        "Every probe is of the same key.",
        "crates/engine/src/dispatch.rs",
        "self.other_lane().or_else(|| self.any_lane())",
        "self.any_lane()",
    ),
    source(
        "attempts-while-draining",
        "Attempts begin during a drain.",
        "crates/engine/src/gate.rs",
        "self.app == App::Down || self.operator || self.letters || self.draining",
        "self.app == App::Down || self.operator || self.letters",
    ),
    source(
        "pause-ignored",
        "Attempts begin while the operator has paused the subscription.",
        "crates/engine/src/gate.rs",
        "self.app == App::Down || self.operator || self.letters || self.draining",
        "self.app == App::Down || self.letters || self.draining",
    ),
    source(
        "app-down-ignored",
        "Attempts begin while the app is down.",
        "crates/engine/src/gate.rs",
        "self.app == App::Down || self.operator || self.letters || self.draining",
        "self.operator || self.letters || self.draining",
    ),
    source(
        "buffer-exceeded",
        "More is read than the buffer holds.",
        "crates/engine/src/credit.rs",
        "let room = buffer.saturating_sub(others).max(least);",
        "let room = u32::MAX / 2 - others;",
    ),
    source(
        "window-ignored",
        "More attempts are open than the window allows.",
        "crates/engine/src/dispatch.rs",
        "while self.attempts.open() < self.window.size() && self.send(actions) {}",
        "while self.send(actions) {}",
    ),
    source(
        "window-never-shrinks",
        "The window stays as it is when the endpoint fails.",
        "crates/engine/src/window.rs",
        "            self.size = (self.size / 2.0).max(1.0);\n\
         \x20           self.threshold = self.size;",
        "            self.threshold = self.size;",
    ),
    source(
        "window-never-grows",
        "The window never grows again.",
        "crates/engine/src/window.rs",
        "            self.size = (self.size + step).min(self.most);",
        "            let _ = step;",
    ),
    source(
        "window-stays-at-429",
        "The window stays as it is at a Retry-After.",
        "crates/engine/src/window.rs",
        "        self.size = 1.0;\n\
         \x20       self.recovery = next_serial;",
        "        self.recovery = next_serial;",
    ),
    source(
        "wake-forgotten",
        "No timer is armed for a retry.",
        "crates/engine/src/wake.rs",
        "        self.retries.peek(&self.deliveries).map(|(due, _)| due)\n\
         ",
        "        None\n\
         ",
    ),
];
