//! SIGKILL at random points of everything at once, and of the recoveries that follow.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rustix::process::Signal;

use crate::judge::{Problems, Promised};
use crate::say_aside;
use crate::told::Told;
use crate::worker::{Plan, Workload};
use crate::workers::{self, Worker};

/// How often progress is told.
const NEWS: Duration = Duration::from_secs(10);

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub cycles: u64,
    /// Records that were acknowledged.
    pub events: u64,
    pub kills: u64,
    /// Kills that hit a recovery.
    pub nested: u64,
    pub problems: Problems,
}

/// Kills workers on a directory, `cycles` times, and judges after each. Stops at the first problem.
pub fn run(program: &Path, directory: &Path, cycles: u64, seed: u64) -> Result<Tally> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut promised = Promised::default();
    let mut tally = Tally::default();
    let mut run = 0;
    let mut news = Instant::now();
    while tally.cycles < cycles && tally.problems.is_empty() {
        let mut next = |random: &mut fastrand::Rng| {
            run += 1;
            Plan { run, seed: random.u64(..), workload: Workload::Mix, gated: false }
        };
        // Moves the kill to any point; nothing is waited for.
        let at = Duration::from_micros(random.u64(0..60_000));
        killed(program, directory, next(&mut random), Told::Ready, at, &mut promised)?;
        tally.kills += 1;
        // A recovery that is killed, and that one's recovery, and so on.
        while random.u32(..3) == 0 {
            let at = Duration::from_micros(random.u64(0..6_000));
            killed(program, directory, next(&mut random), Told::Opening, at, &mut promised)?;
            (tally.kills, tally.nested) = (tally.kills + 1, tally.nested + 1);
        }
        tally.problems = promised.judge(directory);
        tally.cycles += 1;
        tally.events = promised.acknowledged;
        if news.elapsed() > NEWS {
            say_aside(&format!("{} of {cycles} cycles, {} events", tally.cycles, tally.events));
            news = Instant::now();
        }
    }
    Ok(tally)
}

/// Starts a worker and kills it so long after it has told that it is `under` way.
fn killed(
    program: &Path,
    directory: &Path,
    plan: Plan,
    under: Told,
    at: Duration,
    promised: &mut Promised,
) -> Result<()> {
    use std::os::unix::process::ExitStatusExt;
    let mut worker = Worker::start(workers::command(program, directory, plan))?;
    worker.until(under)?;
    std::thread::sleep(at);
    worker.kill();
    let ended = worker.end()?;
    ended.told.iter().for_each(|told| promised.hear(told));
    if ended.status.signal() != Some(Signal::KILL.as_raw()) {
        bail!("a worker ended by itself with {}; seed {}", ended.status, plan.seed);
    }
    Ok(())
}

/// Where to work: below `given`, or the system's temporary directory. A file system in memory survives every kill and
/// loses everything with the power: what it shows of a log is less than a disk's.
pub fn place(given: Option<&Path>) -> Result<PathBuf> {
    const TMPFS: u64 = 0x0102_1994;
    let place = given.map_or_else(std::env::temp_dir, Path::to_path_buf);
    std::fs::create_dir_all(&place)?;
    let kind = rustix::fs::statfs(&place)?.f_type;
    if kind as u64 == TMPFS {
        bail!("{} is in memory: name a directory on a disk", place.display());
    }
    Ok(place)
}
