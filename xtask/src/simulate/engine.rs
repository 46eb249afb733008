//! Mutants of the engine: a rule of deliveries, lanes and dead letters broken each.

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
        "Now and then a failed delivery is not tried again for a day.",
        "crates/engine/src/answer.rs",
        "due.max(self.gate.hold_until));",
        "due.max(self.gate.hold_until) + Duration::from_secs(if tries % 4 == 3 { 86_400 } else { 0 }));",
    ),
    source(
        "lose-count-on-revoke",
        "A delivery that comes again has lost its spent attempts.",
        "crates/engine/src/deliveries.rs",
        "Self { generation, attempts, first_ms, state: State::Ready",
        "Self { generation, attempts: attempts.min(0), first_ms, state: State::Ready",
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
        "            (Some(of_lane), Some(_)) if self.turns.free => of_lane,\n",
        "",
    ),
    source(
        "starve-the-patient",
        "The lane that became ready last goes first.",
        "crates/engine/src/lanes.rs",
        "        self.ready.head().map(LaneId)",
        "        self.ready.tail().map(LaneId)",
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
        "                self.write_letter(at, actions);\n",
        "                self.deliveries[at].state = State::Lettering;\n\
         \x20               self.lettering += 1;\n",
    ),
    source(
        "drain-does-not-wait",
        "A drain ends while attempts are open.",
        "crates/engine/src/arrive.rs",
        "if !self.gate.draining || self.attempts.open() > 0 || self.lettering > 0 {",
        "if !self.gate.draining {",
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
        "failed-spoils-the-batch",
        "An event that failed takes others along.",
        "crates/engine/src/dispatch.rs",
        "room = if delivery.marks.alone() { 0 } else { room - 1 };",
        "room -= 1;",
    ),
    source(
        "redrive-beside-the-key",
        "Dead letters are redriven beside the events of their key.",
        "crates/engine/src/arrive.rs",
        "self.lanes.of_key(key)",
        "self.lanes.of_key(key ^ u128::from(token.source.0))",
    ),
    source(
        "redrive-passes-all",
        "Dead letters that are redriven go ahead of whatever waits of their key.",
        "crates/engine/src/pass.rs",
        "(self.deliveries[first].state == State::LetterWaiting).then_some(first)",
        "(self.deliveries[first].state != State::Vacant).then_some(first)",
    ),
    source(
        "batch-too-large",
        "An attempt carries one event more than it may.",
        "crates/engine/src/dispatch.rs",
        "Mode::Batch { events } => events.max(1),",
        "Mode::Batch { events } => events.max(1) + 1,",
    ),
];
