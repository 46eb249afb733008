//! From what happened to evidence, and from evidence to a verdict.

use broker::model::Happened;

use super::publishers::{number, trace};
use super::run::{LETTERS, Simulation};
use super::{Options, Report};
use crate::checker::{self, Budget, Violation};
use crate::evidence::{Attempt, Evidence, Published};

/// Lets the checker judge a run that has ended.
pub(super) fn judge(mut it: Simulation) -> Report {
    let evidence = evidence(&it);
    let forgotten = it.model.history().count(|what| matches!(what, Happened::Forgotten { .. }));
    let excused = it.stale_done as usize + wasted(&it);
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
    let key = |publisher: usize| {
        it.publishers.all[publisher].key.as_ref().filter(|_| keyed).map(ToString::to_string)
    };
    let published = it.publishers.log.iter().enumerate().map(|(event, log)| Published {
        id: event.to_string(),
        key: key(log.publisher),
        seq: log.seq,
        sha256: String::new(),
        trace: Some(format!("{:032x}", trace(event))),
        accepted: log.accepted,
        sends: log.sends,
    });
    // What a record carries, as it stands in the broker's log: its delivery is read from there, not from log A.
    let records: Vec<_> = it.model.log(super::run::TOPIC).map(|(_, record)| record).collect();
    let attempts = it.requests.iter().enumerate().flat_map(|(request, log)| {
        log.carried.iter().map({
            let records = &records;
            move |carried| {
                let record = records[carried.position as usize];
                let event = number(record).filter(|event| *event < it.publishers.log.len());
                Attempt {
                    request: request as u64,
                    id: event.map_or_else(|| "unknown".into(), |event| event.to_string()),
                    key: record.key.as_ref().filter(|_| keyed).map(ToString::to_string),
                    seq: event.map(|event| it.publishers.log[event].seq),
                    sha256: String::new(),
                    trace: record.hop.traceparent.map(|parent| format!("{:032x}", parent.trace)),
                    subscription: String::new(),
                    path: String::new(),
                    attempt: carried.attempt,
                    start: log.start.as_nanos() as u64,
                    end: log.end.map(|end| end.as_nanos() as u64),
                    status: log.status,
                }
            }
        })
    });
    let dead = it.model.log(LETTERS).filter_map(|(_, record)| number(record)).map(|event| event.to_string());
    Evidence {
        published: published.collect(),
        attempts: attempts.collect(),
        dead: dead.collect(),
        refusals: Vec::new(),
        faults: 1,
    }
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

/// What broke in a seed, and the part of its trace that shows it: every fault, and what concerns the first violation's
/// key or event.
pub fn explain(seed: u64, options: &Options) -> String {
    let report = super::run(seed, &Options { trace: true, ..*options });
    let suspect = report.suspects.first();
    let concerns = |line: &&str| line.contains(" ! ") || suspect.is_none_or(|suspect| line.contains(suspect));
    let mut lines: Vec<&str> = report.trace.lines().filter(concerns).collect();
    let skipped = lines.len().saturating_sub(400);
    lines.drain(..skipped);
    format!(
        "seed {seed} breaks {} promises:\n  {}\n\n{}\n",
        report.violations.len(),
        report.violations.iter().take(10).cloned().collect::<Vec<_>>().join("\n  "),
        lines.join("\n")
    )
}
