//! The one judge of every test: pure functions over logs A and D.
//!
//! - **I1** What was accepted was delivered or dead-lettered.
//! - **I2** Nothing was delivered that was not published; data and trace are intact.
//! - **I3** A key's events first succeeded in publish order, and never were two of its requests open at once.
//! - **I4** Duplicates are at most what was in flight or not yet flushed, for each fault.
//! - **I6** A refusal carries a reason and, where waiting helps, `Retry-After`.
//!
//! A checker that cannot fail proves nothing: `tests/checker.rs` mutates good logs, and each mutant must be caught.

use std::collections::BTreeSet;
use std::fmt;

use foldhash::{HashMap, HashMapExt as _, HashSet, HashSetExt as _};

use crate::evidence::{Attempt, Evidence, Published};

/// How many events one fault may bring again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Attempts that may have been open.
    pub in_flight: usize,
    /// Settles that may not have been durable: 1,000, or what 100 ms bring.
    pub unflushed: usize,
}

/// One broken promise, with what is needed to look for its cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    Lost { id: String, key: Option<String>, seq: u64 },
    Invented { id: String },
    Altered { id: String, what: &'static str, sent: String, came: String },
    OutOfOrder { key: String, seq: u64, after: u64 },
    Overlap { key: String, first: String, second: String },
    TooManyDuplicates { found: usize, allowed: usize, faults: usize },
    MuteRefusal { status: u16, lacks: &'static str },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { id, key, seq } => {
                write!(
                    f,
                    "I1: event {id} (key {key:?}, seq {seq}) was accepted, yet neither delivered nor dead-lettered"
                )
            }
            Self::Invented { id } => write!(f, "I2: event {id:?} was delivered, yet nobody published it"),
            Self::Altered { id, what, sent, came } => {
                write!(f, "I2: the {what} of event {id} changed on the way: {sent} was sent, {came} arrived")
            }
            Self::OutOfOrder { key, seq, after } => {
                write!(f, "I3: key {key}: seq {seq} succeeded for the first time after seq {after} had")
            }
            Self::Overlap { key, first, second } => {
                write!(f, "I3: key {key}: {second} began while {first} was still open")
            }
            Self::TooManyDuplicates { found, allowed, faults } => {
                write!(f, "I4: {found} duplicates after {faults} faults; at most {allowed} are excused")
            }
            Self::MuteRefusal { status, lacks } => write!(f, "I6: a {status} was answered without {lacks}"),
        }
    }
}

/// Judges one subscription's evidence, taken once all was quiet. Empty: every invariant holds.
pub fn check(evidence: &Evidence, budget: Budget) -> Vec<Violation> {
    let mut found = nothing_lost(evidence);
    found.extend(nothing_invented(evidence));
    found.extend(keys_in_order(evidence));
    found.extend(no_key_twice_at_once(evidence));
    found.extend(few_duplicates(evidence, budget));
    found.extend(refusals_explained(evidence));
    found
}

/// As [`check`], where several sidecars share a subscription and each posts to a path of its own. A key has one owner at
/// a time, yet an owner that was stopped may wake up with what it held: I3 holds for each owner.
pub fn check_owners(evidence: &Evidence, budget: Budget) -> Vec<Violation> {
    let mut found = nothing_lost(evidence);
    found.extend(nothing_invented(evidence));
    let owners: BTreeSet<&str> = evidence.attempts.iter().map(|attempt| attempt.path.as_str()).collect();
    for owner in owners {
        let attempts = evidence.attempts.iter().filter(|attempt| attempt.path == owner).cloned().collect();
        let its_own = Evidence { attempts, dead: evidence.dead.clone(), ..Evidence::default() };
        found.extend(no_key_twice_at_once(&its_own));
    }
    found.extend(few_duplicates(evidence, budget));
    found.extend(refusals_explained(evidence));
    found
}

/// As [`check`], for tests: panics with every violation (of a flood, the first twenty).
#[track_caller]
pub fn assert_holds(evidence: &Evidence, budget: Budget) {
    assert_none(evidence, &check(evidence, budget));
}

/// As [`check_owners`], for tests.
#[track_caller]
pub fn assert_holds_for_owners(evidence: &Evidence, budget: Budget) {
    assert_none(evidence, &check_owners(evidence, budget));
}

#[track_caller]
fn assert_none(evidence: &Evidence, found: &[Violation]) {
    if found.is_empty() {
        return;
    }
    let mut lines: Vec<String> = found.iter().take(20).map(|violation| format!("  {violation}")).collect();
    if found.len() > lines.len() {
        lines.push(format!("  … and {} more", found.len() - lines.len()));
    }
    panic!(
        "{} violations in {} published events and {} attempts:\n{}",
        found.len(),
        evidence.published.len(),
        evidence.attempts.len(),
        lines.join("\n")
    );
}

/// I1.
pub fn nothing_lost(evidence: &Evidence) -> Vec<Violation> {
    let mut safe: HashSet<&str> = evidence.dead.iter().map(String::as_str).collect();
    safe.extend(evidence.attempts.iter().filter(|a| a.succeeded()).map(|a| a.id.as_str()));
    let lost = evidence.published.iter().filter(|event| event.accepted && !safe.contains(event.id.as_str()));
    lost.map(|e| Violation::Lost { id: e.id.clone(), key: e.key.clone(), seq: e.seq }).collect()
}

/// I2.
pub fn nothing_invented(evidence: &Evidence) -> Vec<Violation> {
    let published: HashMap<&str, &Published> =
        evidence.published.iter().map(|event| (event.id.as_str(), event)).collect();
    let mut found = Vec::new();
    for attempt in &evidence.attempts {
        match published.get(attempt.id.as_str()) {
            Some(event) => found.extend(altered(event, attempt)),
            None => found.push(Violation::Invented { id: attempt.id.clone() }),
        }
    }
    found
}

fn altered(event: &Published, attempt: &Attempt) -> Vec<Violation> {
    let same_data = event.sha256 == attempt.sha256 && event.key == attempt.key;
    if same_data && attempt.seq == Some(event.seq) && event.trace == attempt.trace {
        return Vec::new();
    }
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".into());
    let pairs = [
        ("data", event.sha256.clone(), attempt.sha256.clone()),
        ("key", text(&event.key), text(&attempt.key)),
        ("seq", event.seq.to_string(), attempt.seq.map_or_else(|| "nothing".into(), |seq| seq.to_string())),
        // Where the publisher sent no trace, there is none to keep.
        ("trace", text(&event.trace), text(if event.trace.is_some() { &attempt.trace } else { &None })),
    ];
    let changed = pairs.into_iter().filter(|(_, sent, came)| sent != came);
    changed.map(|(what, sent, came)| Violation::Altered { id: event.id.clone(), what, sent, came }).collect()
}

/// I3, first half. Dead-lettered events are left out: their lane went on, and a redrive does not restore order.
pub fn keys_in_order(evidence: &Evidence) -> Vec<Violation> {
    let dead: HashSet<&str> = evidence.dead.iter().map(String::as_str).collect();
    let mut successes: Vec<&Attempt> =
        evidence.attempts.iter().filter(|a| a.succeeded() && !dead.contains(a.id.as_str())).collect();
    // One request may carry a run of a key, which its sender took in order: the position in the log decides then.
    successes.sort_by_key(|attempt| attempt.end);
    let mut seen = HashSet::new();
    let mut highest: HashMap<&str, u64> = HashMap::new();
    let mut found = Vec::new();
    for attempt in successes {
        let (Some(key), Some(seq)) = (attempt.key.as_deref(), attempt.seq) else { continue };
        if !seen.insert(attempt.id.as_str()) {
            continue;
        }
        let highest = highest.entry(key).or_insert(seq);
        if seq < *highest {
            found.push(Violation::OutOfOrder { key: key.into(), seq, after: *highest });
        }
        *highest = seq.max(*highest);
    }
    found
}

/// I3, second half.
pub fn no_key_twice_at_once(evidence: &Evidence) -> Vec<Violation> {
    let mut attempts: Vec<&Attempt> = evidence.attempts.iter().filter(|a| a.key.is_some()).collect();
    attempts.sort_by_key(|attempt| attempt.start);
    let mut last: HashMap<&str, &Attempt> = HashMap::new();
    let mut found = Vec::new();
    for attempt in attempts {
        let key = attempt.key.as_deref().unwrap_or_default();
        if let Some(before) = last.insert(key, attempt)
            && before.request != attempt.request
            && before.end.is_none_or(|end| end > attempt.start)
        {
            let name =
                |a: &Attempt| format!("attempt {} of event {} (request {})", a.attempt, a.id, a.request);
            found.push(Violation::Overlap { key: key.into(), first: name(before), second: name(attempt) });
        }
    }
    found
}

/// I4. An event that its publisher sent again, because it could not know, may have landed as often as it was sent.
pub fn few_duplicates(evidence: &Evidence, budget: Budget) -> Vec<Violation> {
    let found = duplicates(evidence);
    let allowed = evidence.faults * (budget.in_flight + budget.unflushed);
    if found <= allowed {
        return Vec::new();
    }
    vec![Violation::TooManyDuplicates { found, allowed, faults: evidence.faults }]
}

/// How many successes came on top of one for each time that an event may have been written.
pub fn duplicates(evidence: &Evidence) -> usize {
    let sends: HashMap<&str, u32> =
        evidence.published.iter().map(|e| (e.id.as_str(), e.sends.max(1))).collect();
    let mut successes: HashMap<&str, u32> = HashMap::new();
    for attempt in evidence.attempts.iter().filter(|attempt| attempt.succeeded()) {
        *successes.entry(attempt.id.as_str()).or_default() += 1;
    }
    let extra = |(id, count): (&str, u32)| count.saturating_sub(sends.get(id).copied().unwrap_or(1)) as usize;
    successes.into_iter().map(extra).sum()
}

/// I6.
pub fn refusals_explained(evidence: &Evidence) -> Vec<Violation> {
    let mut found = Vec::new();
    for refusal in &evidence.refusals {
        if refusal.code.is_none() {
            found.push(Violation::MuteRefusal { status: refusal.status, lacks: "a problem with a code" });
        }
        if matches!(refusal.status, 429 | 503) && !refusal.retry_after {
            found.push(Violation::MuteRefusal { status: refusal.status, lacks: "Retry-After" });
        }
    }
    found
}
