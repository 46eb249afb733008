//! Mutants of the publish path: one rule of `crates/publish` broken each.

use super::mutants::{Mutant, source};

pub(super) const MUTANTS: &[Mutant] = &[
    source(
        "durable-on-timeout",
        "A publish that nobody answered for is called durable.",
        "crates/publish/src/under_way.rs",
        "vec![Outcome::Unknown(late); self.records]",
        "vec![Outcome::Durable(broker::Position::Number(late.len() as u64)); self.records]",
    ),
    source(
        "deadline-dropped",
        "A publish waits for its driver however long that takes.",
        "crates/publish/src/under_way.rs",
        "tokio::time::timeout_at((deadline + GRACE).into(), receipt)",
        "tokio::time::timeout_at((deadline + GRACE * 600).into(), receipt)",
    ),
    source(
        "outcomes-in-another-order",
        "The outcomes of a call are told to the wrong events.",
        "crates/publish/src/under_way.rs",
        "                outcomes.resize(",
        "                outcomes.reverse();\n\
         \x20               outcomes.resize(",
    ),
    source(
        "room-never-given-back",
        "What was admitted once is counted for ever.",
        "crates/publish/src/admission.rs",
        "if self.admission.events.fetch_sub(self.events, SeqCst) == self.events {",
        "if self.admission.events.load(SeqCst) == 0 {",
    ),
    source(
        "everything-admitted",
        "Any number of events is admitted.",
        "crates/publish/src/admission.rs",
        "if over && events_now > events {",
        "if over && events_now == u64::MAX {",
    ),
    source(
        "room-given-back-early",
        "A call whose caller has gone is no longer counted, though its driver holds it.",
        "crates/publish/src/under_way.rs",
        "        let story = self.story.take();\n\
         \x20       // Outside",
        "        let story = self.story.take();\n\
         \x20       if story.is_some() || story.is_none() {\n\
         \x20           return;\n\
         \x20       }\n\
         \x20       // Outside",
    ),
    source(
        "given-key-ignored",
        "The publisher's own key is passed over.",
        "crates/publish/src/key.rs",
        "    if given.is_some() {",
        "    if given.is_some() && topic.key.is_none() {",
    ),
    source(
        "partition-key-ignored",
        "The partitionkey attribute is passed over.",
        "crates/publish/src/key.rs",
        ".filter(|bytes| !bytes.is_empty());",
        ".filter(|bytes| bytes.is_empty());",
    ),
    source(
        "trace-dropped",
        "The publisher's trace ends here.",
        "crates/publish/src/publisher.rs",
        "                traceparent: item.traceparent,",
        "                traceparent: None,",
    ),
    source(
        "sequence-stands-still",
        "Every call begins with the same sequence number.",
        "crates/publish/src/order.rs",
        "self.sequence.fetch_add(records.len() as u64, Relaxed)",
        "self.sequence.load(Relaxed)",
    ),
    source(
        "gate-ignored",
        "Events are written before the subscriptions exist.",
        "crates/publish/src/publisher.rs",
        "        self.check_gate(&topic)?;\n\
         ",
        "",
    ),
    source(
        "close-does-not-wait",
        "A publisher closes while events are under way.",
        "crates/publish/src/admission.rs",
        "            if self.events.load(SeqCst) == 0 {\n\
         \x20               return;",
        "            if self.closed.load(SeqCst) {\n\
         \x20               return;",
    ),
    source(
        "closed-takes-in",
        "A publisher that has closed takes events in.",
        "crates/publish/src/admission.rs",
        "if self.closed.load(SeqCst) { Err(Error::Closing) } else { Ok(permit) }",
        "Ok(permit)",
    ),
    source(
        "letter-without-key",
        "A dead letter loses its event's key.",
        "crates/publish/src/publisher.rs",
        "        record.letter = letter.map(Box::new).or(record.letter);",
        "        record.letter = letter.map(Box::new).or(record.letter);\n\
         \x20       record.key = None;",
    ),
    source(
        "letter-without-hop",
        "A dead letter loses its event's hop headers.",
        "crates/publish/src/publisher.rs",
        "        record.letter = letter.map(Box::new).or(record.letter);",
        "        record.letter = letter.map(Box::new).or(record.letter);\n\
         \x20       record.hop = Hop::default();",
    ),
];
