//! From what happened to evidence, and from evidence to a verdict.

use std::collections::hash_map::Entry;

use broker::{Record, TraceParent};
use foldhash::{HashMap, HashMapExt as _};

use super::publishers::{data, data_of, number, trace};
use super::run::{LETTERS, Simulation, TOPIC};
use super::shell::TOPIC_SOURCE;
use super::{Options, Report};
use crate::checker::{self, Budget, Violation};
use crate::evidence::{Attempt, Evidence, Published};

/// Lets the checker judge a run that has ended.
pub(super) fn judge(mut it: Simulation) -> Report {
    it.judge_path();
    let evidence = evidence(&it);
    let forgotten = it.forgotten();
    let doubtful_letters = evidence.dead.len().saturating_sub(it.letters_kept as usize);
    let excused = it.stale_done as usize + wasted(&it) + doubtful_letters;
    // Exactly what the faults of this run undid: more is the engine's doing.
    let budget = Budget { in_flight: excused, unflushed: forgotten };
    let found = checker::check(&evidence, budget);
    let report = &mut it.report;
    report.events = it.publishers.log.len() as u32;
    report.duplicates = checker::duplicates(&evidence) as u32;
    report.excused = (excused + forgotten) as u32;
    report.dead_letters = evidence.dead.len() as u32;
    report.virtual_time = it.now;
    report.violations.extend(found.iter().map(ToString::to_string));
    report.suspects = found.iter().filter_map(suspect).collect();
    report.trace = it.trace.take();
    it.report
}

/// Successes that counted for nothing, because a fault struck before they were settled.
fn wasted(it: &Simulation) -> usize {
    let successes = it.requests.iter().filter(|request| request.status == Some(200));
    successes.flat_map(|request| &request.carried).filter(|carried| carried.dead).count()
}

fn evidence(it: &Simulation) -> Evidence {
    let keyed = it.policy.ordering == engine::Ordering::Key;
    let keys: Vec<Option<String>> = (it.publishers.all.iter())
        .map(|publisher| publisher.key.as_ref().filter(|_| keyed).map(ToString::to_string))
        .collect();
    let published = it.publishers.log.iter().enumerate().map(|(event, log)| Published {
        id: event.to_string(),
        key: keys[log.publisher].clone(),
        seq: log.seq,
        sha256: data(event),
        trace: Some(hex(trace(event))),
        accepted: log.accepted,
        sends: log.sends,
    });
    let dead = it.model.log(LETTERS).filter_map(|(_, record)| number(record)).map(|event| event.to_string());
    Evidence {
        published: published.collect(),
        attempts: attempts(it, keyed),
        dead: dead.collect(),
        refusals: Vec::new(),
        faults: 1,
    }
}

/// Log D. What a record carries is read as it stands in the broker's log, not from log A.
fn attempts(it: &Simulation, keyed: bool) -> Vec<Attempt> {
    let mut attempts: Vec<Attempt> = Vec::with_capacity(it.requests.len());
    let mut first_of: HashMap<_, usize> = HashMap::with_capacity(it.requests.len());
    for (request, log) in it.requests.iter().enumerate() {
        for carried in &log.carried {
            let topic = if carried.token.source == TOPIC_SOURCE { TOPIC } else { LETTERS };
            let attempt = match first_of.entry((topic, carried.position)) {
                // What it carries was read at its first attempt.
                Entry::Occupied(first) => attempts[*first.get()].clone(),
                Entry::Vacant(first) => {
                    first.insert(attempts.len());
                    let record = it.model.record(topic, carried.position);
                    attempt_of(it, record.expect("what was attempted is in the log"), keyed)
                }
            };
            attempts.push(Attempt {
                request: request as u64,
                attempt: carried.attempt,
                start: log.start.as_nanos() as u64,
                end: log.end.map(|end| end.as_nanos() as u64),
                status: log.status,
                ..attempt
            });
        }
    }
    attempts
}

/// What each attempt of a record carries.
fn attempt_of(it: &Simulation, record: &Record, keyed: bool) -> Attempt {
    let event = number(record).filter(|event| *event < it.publishers.log.len());
    Attempt {
        request: 0,
        id: event.map_or_else(|| "unknown".into(), |event| event.to_string()),
        key: record.key.as_ref().filter(|_| keyed).map(ToString::to_string),
        seq: event.map(|event| it.publishers.log[event].seq),
        sha256: data_of(record),
        trace: record.hop.traceparent.map(|parent| hex(parent.trace)),
        subscription: String::new(),
        path: String::new(),
        attempt: 0,
        start: 0,
        end: None,
        status: None,
    }
}

/// A trace as a `traceparent` has it.
fn hex(trace: u128) -> String {
    let parent = TraceParent { trace, parent: 0, flags: 0 };
    String::from_utf8_lossy(&parent.to_bytes()[3..35]).into_owned()
}

/// What to look for in the trace.
fn suspect(violation: &Violation) -> Option<String> {
    match violation {
        Violation::Lost { key: Some(key), .. }
        | Violation::OutOfOrder { key, .. }
        | Violation::Overlap { key, .. } => Some(format!("[{key}#")),
        Violation::Lost { id, .. } | Violation::Altered { id, .. } => Some(format!("event {id} ")),
        _ => None,
    }
}

/// Lines of a trace that are shown, and how many of them after what broke.
const LINES: usize = 400;
const LINES_AFTER: usize = 10;

/// What broke in a seed, and the part of its trace that shows it: every fault, and what concerns the first violation's
/// key or event.
pub fn explain(seed: u64, options: &Options) -> String {
    let report = super::run(seed, &Options { trace: true, ..*options });
    let suspect = report.suspects.first();
    let concerns = |line: &&str| line.contains(" ! ") || suspect.is_none_or(|suspect| line.contains(suspect));
    let mut lines: Vec<&str> = report.trace.lines().filter(concerns).collect();
    // What was seen to break stands in the trace; what only the end shows does not.
    let broke = lines.iter().position(|line| line.contains("! BROKEN"));
    lines.truncate(broke.map_or(lines.len(), |at| (at + LINES_AFTER).min(lines.len())));
    lines.drain(..lines.len().saturating_sub(LINES));
    format!(
        "seed {seed} breaks {} promises:\n  {}\n\n{}\n",
        report.violations.len(),
        report.violations.iter().take(10).cloned().collect::<Vec<_>>().join("\n  "),
        lines.join("\n")
    )
}
