//! The mutants: the product with one promise broken, and the test that names it.

use crate::workshop::Edit;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Mutant {
    pub(super) name: &'static str,
    /// One sentence: what it does wrong.
    pub(super) what: &'static str,
    pub(super) edit: Edit,
    pub(super) test: Test,
    /// Stands in what the test says when it fails for this reason.
    pub(super) says: &'static str,
}

/// A test of the built binary: `tests/tests/{file}.rs`, and its name in there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Test {
    pub(super) file: &'static str,
    pub(super) name: &'static str,
}

const AFTER_THE_SYNC: Test =
    Test { file: "answered_after_the_sync", name: "no_2xx_leaves_before_the_covering_sync_returned" };
const EARLY: &str = "before a sync covered it";

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "publish-answers-at-once",
        what: "A publish is called durable when the driver has taken it, which has not answered yet.",
        edit: Edit {
            file: "crates/publish/src/under_way.rs",
            find: "        let Some(receipt) = self.receipt.as_mut() else { return Vec::new() };",
            replace: "        if self.receipt.is_some() {
            return vec![Outcome::Durable(broker::Position::Number(0)); self.records];
        }
        let Some(receipt) = self.receipt.as_mut() else { return Vec::new() };",
        },
        test: AFTER_THE_SYNC,
        says: EARLY,
    },
    Mutant {
        name: "publish-unknown-is-durable",
        what: "An outcome that the driver does not know is called durable.",
        edit: Edit {
            file: "crates/publish/src/under_way.rs",
            find: "                self.receipt = None;\n",
            replace: "                self.receipt = None;
                for outcome in &mut outcomes {
                    if matches!(outcome, Outcome::Unknown(_)) {
                        *outcome = Outcome::Durable(broker::Position::Number(0));
                    }
                }\n",
        },
        test: Test {
            file: "disk_faults",
            name: "after_a_failed_sync_nothing_is_accepted_until_a_restart_which_recovers",
        },
        says: "the batch whose sync failed may have landed, and what came later is refused",
    },
    Mutant {
        name: "log-answers-before-the-sync",
        what: "Appends are acknowledged when they are written, ahead of their fdatasync.",
        edit: Edit {
            file: "crates/log/src/commit.rs",
            find: "            self.sync(group);\n",
            replace: "            for pending in group.iter_mut() {
                let done = std::mem::replace(&mut pending.done, Box::new(drop));
                done(pending.outcome.clone().unwrap_or(Err(AppendError::Closed)));
            }
            self.sync(group);\n",
        },
        test: AFTER_THE_SYNC,
        says: EARLY,
    },
    Mutant {
        name: "log-recovery-drops-the-last",
        what: "A record at the end of the log is taken for a torn one at the next start.",
        edit: Edit {
            file: "crates/log/src/recover.rs",
            find: "            Frame::Record { offset, sequence, time_ms, .. } => {\n",
            replace: "            Frame::Record { offset, .. }
                if may_be_torn && scanner.offset() + HEADER as u64 >= segment.bytes =>
            {
                segment.bytes = offset;
                return Ok(());
            }
            Frame::Record { offset, sequence, time_ms, .. } => {\n",
        },
        test: Test {
            file: "promise_1_accepted_means_durable",
            name: "a_kill_during_recovery_loses_nothing_either::embedded",
        },
        says: "I1: event",
    },
    Mutant {
        name: "log-settles-not-written",
        what: "What was settled is never written to the settle log.",
        edit: Edit {
            file: "crates/log/src/settle_file.rs",
            find: "        end_frame(frame, 0, self.seed);\n",
            replace: "        if !frame.is_empty() {
            return Ok(());
        }
        end_frame(frame, 0, self.seed);\n",
        },
        test: Test {
            file: "promise_4_few_duplicates",
            name: "a_kill_under_load_brings_again_only_what_was_open_or_unflushed::embedded",
        },
        says: "I4: ",
    },
    Mutant {
        name: "embedded-notes-forgotten",
        what: "Attempts that were made are not remembered over a restart.",
        edit: Edit {
            file: "crates/embedded/src/source.rs",
            find: "        self.settles.note(held.position, note, self.version)\n",
            replace: "        if note.attempts > 0 {
            return Ok(());
        }
        self.settles.note(held.position, note, self.version)\n",
        },
        test: Test {
            file: "promise_2_delivered_or_dead_lettered",
            name: "attempts_are_counted_across_restarts::embedded",
        },
        says: "attempts are counted across restarts",
    },
    Mutant {
        name: "delivery-unwritten-letter-is-done",
        what: "An event is settled though its dead letter could not be written.",
        edit: Edit {
            file: "crates/delivery/src/actor/letter.rs",
            find: "            self.inputs.push(Input::DeadLettered { token, written: is_written });",
            replace: "            self.inputs.push(Input::DeadLettered { token, written: true });",
        },
        test: Test {
            file: "promise_2_delivered_or_dead_lettered",
            name: "an_event_whose_dead_letter_finds_no_room_is_kept_until_it_does",
        },
        says: "I1: event",
    },
    Mutant {
        name: "delivery-reset-is-done",
        what: "A delivery is done when its webhook resets the connection.",
        edit: Edit {
            file: "crates/delivery/src/push/answer.rs",
            find: "    match failure {\n",
            replace: "    match failure {\n        Failure::Broken(_) => Outcome::Done,\n",
        },
        test: Test {
            file: "promise_2_delivered_or_dead_lettered",
            name: "under_every_kind_of_answer_and_a_kill_nothing_is_dropped::embedded",
        },
        says: "I1: event",
    },
    Mutant {
        name: "delivery-ignores-retry-after",
        what: "Retry-After is not read.",
        edit: Edit {
            file: "crates/delivery/src/push/answer.rs",
            find: "headers.get(header::RETRY_AFTER).and_then(",
            replace: "headers.get(header::RETRY_AFTER).filter(|_| false).and_then(",
        },
        test: Test {
            file: "promise_5_outages_and_storms",
            name: "a_storm_of_429s_is_answered_with_patience::embedded",
        },
        says: "Retry-After is obeyed",
    },
    Mutant {
        name: "delivery-compares-no-keys",
        what: "Deliveries have no key: those of one go out at the same time.",
        edit: Edit {
            file: "crates/delivery/src/actor/gather.rs",
            find: "let key = delivery.key.as_ref().map(broker::Key::digest);",
            replace: "let key = delivery.key.as_ref().map(broker::Key::digest).filter(|_| false);",
        },
        test: Test {
            file: "promise_3_order_per_key",
            name: "failures_and_slow_answers_never_change_a_keys_order::embedded",
        },
        says: "I3: key",
    },
    Mutant {
        name: "delivery-ends-the-trace",
        what: "The trace of the publisher's request is not handed on to the webhook.",
        edit: Edit {
            file: "crates/delivery/src/push/request.rs",
            find: "    if let Some(parent) = &record.hop.traceparent {",
            replace: "    if let Some(parent) = &record.hop.traceparent.filter(|_| false) {",
        },
        test: Test {
            file: "promise_7_one_trace",
            name: "the_trace_headers_pass_and_the_tracing_attributes_are_left_alone::embedded",
        },
        says: "the hop's own header",
    },
    Mutant {
        name: "api-writes-part-of-a-batch",
        what: "A batch with a malformed entry is refused, and what stands before that is written.",
        edit: Edit {
            file: "crates/api/src/app/batch.rs",
            find: "        let events = event::json::batch_from_bytes(body).map_err(",
            replace: "        if let Err((Some(bad), _)) = event::json::batch_from_bytes(body.clone()) {
            let mut entries: Vec<serde_json::Value> = serde_json::from_slice(&body).unwrap_or_default();
            entries.truncate(bad);
            let good = serde_json::to_vec(&entries).unwrap_or_default();
            let (parts, _) =
                self.prepare_batch(target, context, event::json::batch_from_bytes(good.into()).unwrap_or_default())?;
            for part in parts {
                part.send(deadline).await;
            }
        }
        let events = event::json::batch_from_bytes(body).map_err(",
        },
        test: Test {
            file: "bad_input",
            name: "one_malformed_entry_refuses_the_whole_batch_and_is_pointed_at",
        },
        says: "of a refused batch nothing is written",
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;

    #[test]
    fn every_mutant_still_applies_and_its_test_still_says_what_it_is_to_say() {
        let root = crate::root();
        let checker = fs::read_to_string(root.join("tests/simulation/src/checker.rs")).unwrap();
        let mut names = BTreeSet::new();
        for Mutant { name, edit, test, says, .. } in MUTANTS {
            assert!(names.insert(name), "{name} is there twice");
            let fault = edit.fault(&root);
            assert!(fault.is_none(), "{name} {}", fault.unwrap_or_default());
            let text =
                fs::read_to_string(root.join("tests/tests").join(test.file).with_extension("rs")).unwrap();
            let function = test.name.split("::").next().unwrap_or_default();
            assert!(text.contains(&format!("async fn {function}(")), "{name}: there is no test {function}");
            assert!(text.contains(says) || checker.contains(says), "{name}: nothing says {says:?}");
        }
    }
}
