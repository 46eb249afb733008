//! What the simulation itself has to keep: it repeats byte for byte, and its faults have effects. Thousands of seeds, and
//! the mutants that must be caught, are run by `cargo xtask simulate`.

use simulation::campaign::Campaign;
use simulation::{Options, run};

#[test]
fn the_same_seed_gives_the_same_trace_byte_for_byte() {
    let options = Options { trace: true, ..Options::default() };
    for seed in 0..8 {
        let (one, other) = (run(seed, &options), run(seed, &options));
        assert!(one == other, "seed {seed}");
        assert!(one.trace.len() > 10_000, "seed {seed}");
    }
}

#[test]
fn every_seed_has_its_faults_and_they_have_effects() {
    let options = Options::default();
    for seed in 0..20 {
        let report = run(seed, &options);
        assert_eq!((report.events, report.violations), (500, Vec::new()), "seed {seed}");
        assert!(report.crashes >= 2, "seed {seed} has {} crashes", report.crashes);
        assert!(report.revocations + report.recalls >= 1, "seed {seed} has no revocation");
    }
    let sum = Campaign { first: 100, seeds: 60, until_broken: false, options }.run(|_| {});
    assert!(sum.broken.is_empty(), "{:?}", sum.broken);
    for (what, count) in [
        ("revocations", sum.revocations),
        ("recalls", sum.recalls),
        ("restarts", sum.restarts),
        ("redrives", sum.redrives),
        ("dead letters", sum.dead_letters),
        ("duplicates", sum.duplicates),
    ] {
        assert!(count >= sum.seeds / 2, "{count} {what} in {} seeds", sum.seeds);
    }
}

#[test]
fn a_campaign_stops_at_a_broken_seed_where_it_is_told_to() {
    let options = Options { mutant: Some("shell-drops-one".parse().unwrap()), ..Options::default() };
    let sum = Campaign { first: 0, seeds: 1000, until_broken: true, options }.run(|_| {});
    let (seed, violation) = sum.broken.first_key_value().expect("it is caught");
    assert!(violation.starts_with("I1"), "seed {seed}: {violation}");
    assert!(sum.seeds < 100, "{} seeds were run", sum.seeds);
}
