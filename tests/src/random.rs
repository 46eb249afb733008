/// Another seed at each run, printed; a failure is repeated by setting `POSTRIDER_SEED` to it.
#[expect(clippy::print_stdout, reason = "a failing test shows its seed")]
pub fn random() -> fastrand::Rng {
    let given = std::env::var("POSTRIDER_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| fastrand::u64(..));
    println!("POSTRIDER_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}
