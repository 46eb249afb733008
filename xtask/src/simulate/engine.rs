//! Mutants of the engine: one rule of `crates/engine` broken each.

use super::mutants::{Mutant, source};

pub(super) const MUTANTS: &[Mutant] = &[
    source(
        "settle-early",
        "A delivery is settled as its attempt begins.",
        "crates/engine/src/dispatch.rs",
        "        actions.list.push(Action::Attempt { attempt, first: first as u32, count, probe });",
        "        actions.list.extend(actions.tokens[first..].iter().map(|token| Action::Done { token: *token }));\n\
         \x20       actions.list.push(Action::Attempt { attempt, first: first as u32, count, probe });",
    ),
    source(
        "drop-unwritten-letter",
        "A delivery is dropped when its dead letter cannot be written.",
        "crates/engine/src/letter.rs",
        "        if !written {\n\
         \x20           self.lettering -= 1;",
        "        if false {\n\
         \x20           self.lettering -= 1;",
    ),
    source(
        "overlap-attempts",
        "A delivery that was attempted before does not wait for its key.",
        "crates/engine/src/arrive.rs",
        "self.lanes.of_key(key)",
        "self.lanes.of_key(key ^ u128::from(attempts.min(1)))",
    ),
    source(
        "free-lane-too-soon",
        "The lane of a revoked delivery goes on though the old attempt is open.",
        "crates/engine/src/lanes.rs",
        "head_ready && lane.attempt == NONE && !lane.stopped",
        "head_ready && !lane.stopped",
    ),
    source(
        "forget-retry",
        "Now and then a failed delivery is not tried again.",
        "crates/engine/src/answer.rs",
        "        self.retries.wait(&mut self.deliveries, at, due.max(self.gate.hold_until));",
        "        if tries % 4 != 3 {\n\
         \x20           self.retries.wait(&mut self.deliveries, at, due.max(self.gate.hold_until));\n\
         \x20       }",
    ),
    source(
        "lose-count-on-revoke",
        "A delivery that comes again has lost its spent attempts.",
        "crates/engine/src/deliveries.rs",
        "Self { generation, attempts, first_ms, state: State::Ready",
        "Self { generation, attempts: attempts.min(0), first_ms, state: State::Ready",
    ),
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
        "spend-across-breaker",
        "An attempt is spent though the breaker opened and closed meanwhile.",
        "crates/engine/src/answer.rs",
        " || ended.began.epoch != self.breaker.epoch() {",
        " {",
    ),
    source(
        "spend-though-opened",
        "The attempt that opens the breaker is spent.",
        "crates/engine/src/answer.rs",
        "            actions.list.push(Action::Transition(Transition::BreakerOpened { open }));\n\
         \x20       }\n\
         \x20       self.breaker.is_closed()",
        "            actions.list.push(Action::Transition(Transition::BreakerOpened { open }));\n\
         \x20       }\n\
         \x20       true",
    ),
    source(
        "unreached-spends",
        "An attempt that never reached the app is spent.",
        "crates/engine/src/answer.rs",
        "            Outcome::Unreached => self.again(at, Scope::Endpoint, None, false),",
        "            Outcome::Unreached => {\n\
         \x20               spent_ms.and_then(|began_ms| self.spend(at, began_ms, actions));\n\
         \x20               self.again(at, Scope::Endpoint, None, false);\n\
         \x20           }",
    ),
    source(
        "release-without-tail",
        "A recalled delivery is released, and those behind it are kept.",
        "crates/engine/src/recall.rs",
        "            self.release(Handle(last), actions);\n\
         \x20           if last == first.0 {\n\
         \x20               return;\n\
         \x20           }",
        "            let _ = last;\n\
         \x20           self.release(first, actions);\n\
         \x20           return;",
    ),
    source(
        "recall-ignored",
        "A recall is not listened to.",
        "crates/engine/src/engine.rs",
        "Input::Recalled { token } => self.recalled(*token),",
        "Input::Recalled { .. } => {}",
    ),
    source(
        "release-while-lettering",
        "What is recalled goes back while its dead letter is being written.",
        "crates/engine/src/recall.rs",
        "            if !delivery.is_idle() {\n\
         \x20               break;\n\
         \x20           }",
        "            if delivery.state == crate::deliveries::State::Open {\n\
         \x20               break;\n\
         \x20           }",
    ),
    source(
        "mend-nothing",
        "Where an earlier delivery of a key was revoked, the later ones go on.",
        "crates/engine/src/engine.rs",
        "        self.mend(actions);\n\
         ",
        "",
    ),
    source(
        "abandon-forgotten",
        "The attempt of a revoked delivery goes on.",
        "crates/engine/src/arrive.rs",
        "                actions.list.push(Action::Abandon { attempt });",
        "                let _ = attempt;",
    ),
    source(
        "starve-lanes",
        "Deliveries without a key always go before those with one.",
        "crates/engine/src/dispatch.rs",
        "if self.turns.free { free } else { of_lane }",
        "free",
    ),
    source(
        "starve-the-patient",
        "The lane that became ready last goes first.",
        "crates/engine/src/lanes.rs",
        "        self.ready.head().map(LaneId)",
        "        self.ready.tail().map(LaneId)",
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
        "letter-one-short",
        "A dead letter is written one attempt short.",
        "crates/engine/src/answer.rs",
        "if attempts >= retry.max_attempts.min",
        "if attempts + 1 >= retry.max_attempts.min",
    ),
    source(
        "letter-never",
        "Used-up attempts are no end.",
        "crates/engine/src/answer.rs",
        "            Some(Reason::AttemptsUsedUp)",
        "            None",
    ),
    source(
        "age-of-the-unspent",
        "Age is judged on an attempt that spends nothing.",
        "crates/engine/src/answer.rs",
        "spent_ms.and_then(|began_ms| self.spend(at, began_ms, actions));",
        "spent_ms.and_then(|began_ms| self.spend(at, began_ms, actions)).or_else(|| {\n\
         \x20                   let age = self.now.wall_ms.saturating_sub(self.deliveries[at].first_ms);\n\
         \x20                   let old = self.deliveries[at].first_ms > 0 && Duration::from_millis(age) > self.policy.retry.max_age;\n\
         \x20                   old.then_some(Reason::TooOld)\n\
         \x20               });",
    ),
    source(
        "clock-back-ages",
        "A wall clock that was set back makes deliveries old.",
        "crates/engine/src/answer.rs",
        "self.now.wall_ms.saturating_sub(first_ms)",
        "self.now.wall_ms.abs_diff(first_ms)",
    ),
    source(
        "note-not-written",
        "A spent attempt is not remembered with the broker.",
        "crates/engine/src/answer.rs",
        "        actions.list.push(Action::Note { token: self.deliveries.token(at), attempts, first_ms });\n\
         ",
        "",
    ),
    source(
        "first-attempt-forgotten",
        "The age of a delivery begins anew with each spent attempt.",
        "crates/engine/src/answer.rs",
        "        if delivery.first_ms == 0 {\n\
         \x20           delivery.first_ms = began_ms.max(1);\n\
         \x20       }",
        "        delivery.first_ms = began_ms.max(1);",
    ),
    source(
        "letters-flood",
        "Answers may cause any number of dead letters.",
        "crates/engine/src/letter.rs",
        "if !self.letter_rate.take(self.now.monotonic, self.policy.dead_letter.max_per_minute) {",
        "if self.policy.dead_letter.max_per_minute == u32::MAX {",
    ),
    source(
        "lane-goes-on-after-letter",
        "A lane that is to stand still after a dead letter goes on.",
        "crates/engine/src/letter.rs",
        "self.policy.dead_letter.after == AfterDeadLetter::Pause",
        "self.policy.dead_letter.after == AfterDeadLetter::Pause && false",
    ),
    source(
        "letter-rewrite-forgotten",
        "A dead letter that could not be written is not tried again.",
        "crates/engine/src/letter.rs",
        "            self.letters.left();\n\
         \x20           self.write_letter(at, actions);",
        "            self.letters.left();\n\
         \x20           self.deliveries[at].state = State::Lettering;\n\
         \x20           self.lettering += 1;",
    ),
    source(
        "drain-does-not-wait",
        "A drain ends while attempts are open.",
        "crates/engine/src/arrive.rs",
        "if !self.gate.draining || self.attempts.open() > 0 || self.lettering > 0 {",
        "if !self.gate.draining {",
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
        "held-for-ever",
        "What a delivery took of the buffer is never given back.",
        "crates/engine/src/deliveries.rs",
        "        source.held -= 1;\n\
         \x20       self.held -= 1;",
        "        source.held -= 1;",
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
        "failed-spoils-the-batch",
        "An event that failed goes with others again.",
        "crates/engine/src/dispatch.rs",
        "follower.state != State::Ready || follower.marks.alone() || follower.marks.recalled()",
        "follower.state != State::Ready || follower.marks.recalled()",
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
