//! The checker, checked: good logs pass, and every seeded mutant of a good log is caught.

use simulation::checker::{Budget, Violation, check};
use simulation::evidence::{Attempt, Evidence, Published, Refusal};

const BUDGET: Budget = Budget { in_flight: 2, unflushed: 3 };
const SEEDS: u64 = 200;

/// A run without a fault: a few keys, some failed attempts, every event delivered once and in order.
fn good(random: &mut fastrand::Rng) -> Evidence {
    let mut evidence = Evidence::default();
    let (mut request, mut clock) = (0, 0);
    let keys = random.u64(2..6);
    for seq in 0..random.u64(3..12) {
        for key in 0..keys {
            let event = published(key, seq);
            for attempt in 1..=random.u32(1..4) {
                evidence.attempts.push(Attempt { attempt, ..attempt_of(&event, request, clock, 503) });
                (request, clock) = (request + 1, clock + 10);
            }
            evidence.attempts.last_mut().expect("one at least").status = Some(200);
            evidence.published.push(event);
        }
    }
    evidence
}

fn published(key: u64, seq: u64) -> Published {
    Published {
        id: format!("{key}-{seq}"),
        key: Some(format!("key-{key}")),
        seq,
        sha256: format!("hash-{key}-{seq}"),
        trace: Some(format!("trace-{key}-{seq}")),
        accepted: true,
        sends: 1,
    }
}

fn attempt_of(event: &Published, request: u64, start: u64, status: u16) -> Attempt {
    Attempt {
        request,
        id: event.id.clone(),
        key: event.key.clone(),
        seq: Some(event.seq),
        sha256: event.sha256.clone(),
        trace: event.trace.clone(),
        subscription: "s".into(),
        path: "/".into(),
        attempt: 1,
        start,
        end: Some(start + 5),
        status: Some(status),
    }
}

/// The places of all successes in the log.
fn successes(evidence: &Evidence) -> Vec<usize> {
    (0..evidence.attempts.len()).filter(|i| evidence.attempts[*i].succeeded()).collect()
}

fn any<T: Copy>(random: &mut fastrand::Rng, of: &[T]) -> T {
    of[random.usize(..of.len())]
}

/// Mutates a good log with each of the seeds; each mutant must show such a violation.
fn caught(mutate: impl Fn(&mut Evidence, &mut fastrand::Rng), shows: impl Fn(&Violation) -> bool) {
    for seed in 0..SEEDS {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut evidence = good(&mut random);
        assert_eq!(check(&evidence, BUDGET), [], "seed {seed}: a good log is blamed");
        mutate(&mut evidence, &mut random);
        let found = check(&evidence, BUDGET);
        assert!(found.iter().any(&shows), "seed {seed}: the mutant was not caught; found only {found:?}");
    }
}

#[test]
fn a_lost_event_is_caught() {
    caught(
        |evidence, random| {
            let lost = evidence.attempts[any(random, &successes(evidence))].id.clone();
            evidence.attempts.retain(|attempt| attempt.id != lost);
        },
        |violation| matches!(violation, Violation::Lost { .. }),
    );
}

#[test]
fn an_event_that_only_failed_is_lost_too() {
    caught(
        |evidence, random| {
            let at = any(random, &successes(evidence));
            evidence.attempts[at].status = Some(500);
        },
        |violation| matches!(violation, Violation::Lost { .. }),
    );
}

#[test]
fn two_swapped_events_of_a_key_are_caught() {
    caught(
        |evidence, random| {
            let at = any(random, &successes(evidence));
            let key = evidence.attempts[at].key.clone();
            let of_key: Vec<usize> =
                successes(evidence).into_iter().filter(|i| evidence.attempts[*i].key == key).collect();
            let (first, second) = (of_key[0], of_key[of_key.len() - 1]);
            let swapped = evidence.attempts[first].clone();
            let other = evidence.attempts[second].clone();
            let times =
                |a: Attempt, b: &Attempt| Attempt { start: b.start, end: b.end, request: b.request, ..a };
            evidence.attempts[first] = times(other.clone(), &swapped);
            evidence.attempts[second] = times(swapped, &other);
        },
        |violation| matches!(violation, Violation::OutOfOrder { .. }),
    );
}

#[test]
fn two_open_attempts_of_a_key_are_caught() {
    caught(
        |evidence, random| {
            let at = any(random, &successes(evidence));
            let mut again = evidence.attempts[at].clone();
            again.request = u64::MAX;
            again.start += random.u64(1..5);
            again.end = Some(again.start + 1);
            again.status = None;
            evidence.attempts.push(again);
        },
        |violation| matches!(violation, Violation::Overlap { .. }),
    );
}

#[test]
fn an_attempt_that_never_ended_overlaps_what_follows() {
    caught(
        |evidence, _| {
            let key = evidence.attempts[0].key.clone();
            evidence.attempts[0].end = None;
            assert!(evidence.attempts[1..].iter().any(|attempt| attempt.key == key), "the key goes on");
        },
        |violation| matches!(violation, Violation::Overlap { .. }),
    );
}

#[test]
fn a_corrupted_hash_key_or_trace_is_caught() {
    for what in ["data", "key", "seq", "trace"] {
        caught(
            |evidence, random| {
                let at = any(random, &successes(evidence));
                let attempt = &mut evidence.attempts[at];
                match what {
                    "data" => attempt.sha256.push('x'),
                    "key" => attempt.key = None,
                    "seq" => attempt.seq = None,
                    _ => attempt.trace = Some("another".into()),
                }
            },
            |violation| matches!(violation, Violation::Altered { what: found, .. } if *found == what),
        );
    }
}

#[test]
fn an_invented_event_is_caught() {
    caught(
        |evidence, _| evidence.attempts.push(attempt_of(&published(0, 99), 999, 99_999, 200)),
        |violation| matches!(violation, Violation::Invented { .. }),
    );
}

/// Appends so many successes of events that had succeeded before.
fn repeat(evidence: &mut Evidence, random: &mut fastrand::Rng, times: usize) {
    for n in 0..times as u64 {
        let at = any(random, &successes(evidence));
        let start = 1_000_000 + n * 10;
        let again = evidence.attempts[at].clone();
        evidence.attempts.push(Attempt { request: start, start, end: Some(start + 5), ..again });
    }
}

#[test]
fn duplicates_are_excused_by_faults_and_by_nothing_else() {
    let excused = |faults: usize| faults * (BUDGET.in_flight + BUDGET.unflushed);
    caught(
        |evidence, random| repeat(evidence, random, 1),
        |violation| matches!(violation, Violation::TooManyDuplicates { found: 1, allowed: 0, faults: 0 }),
    );
    caught(
        |evidence, random| {
            evidence.faults = random.usize(1..4);
            repeat(evidence, random, excused(evidence.faults) + 1);
        },
        |violation| matches!(violation, Violation::TooManyDuplicates { .. }),
    );
    for seed in 0..SEEDS {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut evidence = Evidence { faults: 2, ..good(&mut random) };
        repeat(&mut evidence, &mut random, excused(2));
        assert_eq!(check(&evidence, BUDGET), [], "seed {seed}: excused duplicates are blamed");
    }
}

#[test]
fn an_event_that_was_sent_twice_may_come_twice() {
    let mut evidence = good(&mut fastrand::Rng::with_seed(1));
    evidence.published[0].sends = 2;
    let first = evidence.attempts.iter().find(|a| a.succeeded() && a.id == evidence.published[0].id);
    let again = first.cloned().unwrap();
    evidence.attempts.push(Attempt { request: 9_999, start: 1_000_000, end: Some(1_000_001), ..again });
    assert_eq!(check(&evidence, BUDGET), []);
}

#[test]
fn unknown_and_dead_lettered_events_are_not_lost() {
    let mut evidence = good(&mut fastrand::Rng::with_seed(2));
    let mut unknown = published(0, 77);
    unknown.accepted = false;
    evidence.published.push(unknown);
    evidence.published.push(published(0, 78));
    evidence.dead.push("0-78".into());
    assert_eq!(check(&evidence, BUDGET), []);
}

#[test]
fn a_refusal_without_reason_or_retry_after_is_caught() {
    let told = Refusal { status: 503, code: Some("broker_pending".into()), retry_after: true };
    let mut evidence = Evidence { refusals: vec![told.clone()], ..Evidence::default() };
    assert_eq!(check(&evidence, BUDGET), []);
    evidence.refusals.push(Refusal { code: None, ..told.clone() });
    evidence.refusals.push(Refusal { retry_after: false, ..told });
    let lacks: Vec<Violation> = check(&evidence, BUDGET);
    assert_eq!(
        lacks,
        [
            Violation::MuteRefusal { status: 503, lacks: "a problem with a code" },
            Violation::MuteRefusal { status: 503, lacks: "Retry-After" },
        ]
    );
}
