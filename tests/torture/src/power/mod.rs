//! Power loss. A worker is traced, so that each of its writes and syncs is known; then, for every moment of its run, what
//! a power loss may have left of the directory is made anew, recovered and judged by what had been told until then.
//!
//! The real program is what is traced: a sync that it forgets is missing here too, which no kill can show.

mod disk;
mod history;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::judge::{Problems, Promised};
use crate::strace;
use crate::worker::{Plan, Workload};
use disk::Disk;
pub use history::Mutant;
use history::{Step, history};

/// Below the directory that is watched: the store makes its own directory, and that name has to be durable as well.
const STORE: &str = "store";

/// A traced run, to cut the power of.
#[derive(Debug)]
pub struct Run {
    before: Disk,
    promised: Promised,
    steps: Vec<Step>,
    /// Of a mutant: the first step that the program itself did not do so. Up to there nothing is to be found.
    strays_at: usize,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// States that were recovered and judged.
    pub states: u64,
    /// Among them those that a power loss in a recovery had left.
    pub nested: u64,
    pub problems: Problems,
    /// What the first problem was found in.
    pub kept: Option<PathBuf>,
}

impl Run {
    /// Traces a workload on a new store.
    pub fn trace(program: &Path, workload: Workload, seed: u64) -> Result<Self> {
        let root = TempDir::with_prefix("postrider-torture-")?;
        Self::on(program, root.path(), Promised::default(), workload, 1, seed)
    }

    /// Traces a workload on what is there.
    fn on(
        program: &Path,
        root: &Path,
        promised: Promised,
        workload: Workload,
        run: u32,
        seed: u64,
    ) -> Result<Self> {
        let before = Disk::of(root)?;
        let trace = tempfile::NamedTempFile::new()?;
        let plan = Plan { run, seed, workload, gated: false };
        let (calls, _) = strace::traced(program, &root.join(STORE), plan, trace.path())?;
        let steps = history(&calls, root)?;
        Ok(Self { before, promised, steps, strays_at: 0 })
    }

    /// Moments at which the power may go.
    pub fn moments(&self) -> usize {
        self.steps.iter().filter(|step| step.matters()).count()
    }

    /// The same run of a program that forgets something.
    pub fn mutated(&self, mutant: Mutant) -> Self {
        let steps = mutant.of(&self.steps);
        let strays_at = self.steps.iter().zip(&steps).take_while(|(step, other)| step == other).count();
        Self { before: self.before.clone(), promised: self.promised.clone(), steps, strays_at }
    }

    /// Cuts the power at every moment, `each` times, and judges what is left. Stops at the first state that has a problem.
    pub fn lose_power(&self, each: usize, random: &mut fastrand::Rng, tally: &mut Tally) -> Result<()> {
        self.at_every_moment(&mut |left, promised| {
            for _ in 0..each {
                let state = State::of(left, random)?;
                tally.states += 1;
                tally.problems = promised.clone().judge(&state.store());
                if !tally.problems.is_empty() {
                    tally.kept = Some(state.0.keep());
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }

    /// Cuts the power at some moments, then the power of the recovery of what was left, at every moment of that.
    pub fn lose_power_again(
        &self,
        program: &Path,
        moments: usize,
        random: &mut fastrand::Rng,
        tally: &mut Tally,
    ) -> Result<()> {
        let share = self.moments().div_ceil(moments.max(1));
        let mut at = random.usize(..share);
        self.at_every_moment(&mut |left, promised| {
            at += 1;
            if !at.is_multiple_of(share) {
                return Ok(true);
            }
            let state = State::of(left, random)?;
            let before = tally.states;
            let recovery = Self::on(program, state.0.path(), promised.clone(), Workload::Recover, 2, 0)?;
            recovery.lose_power(2, random, tally)?;
            tally.nested += tally.states - before;
            Ok(tally.problems.is_empty())
        })
    }

    /// Hands out the disk, and what was promised, after every step, while that returns true.
    fn at_every_moment(&self, moment: &mut dyn FnMut(&Disk, &Promised) -> Result<bool>) -> Result<()> {
        let (mut disk, mut promised) = (self.before.clone(), self.promised.clone());
        let mut syncs = HashMap::new();
        for (at, step) in self.steps.iter().enumerate() {
            step.apply(&mut disk, &mut syncs);
            if let Step::Told(told) = step {
                promised.hear(told);
            }
            if at >= self.strays_at && step.matters() && !moment(&disk, &promised)? {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// What a power loss left, on a disk in memory where there is one: nothing about it is to survive.
struct State(TempDir);

impl State {
    fn of(left: &Disk, random: &mut fastrand::Rng) -> Result<Self> {
        let new = || TempDir::with_prefix_in("postrider-torture-", "/dev/shm");
        let directory = new().or_else(|_| TempDir::with_prefix("postrider-torture-"));
        let directory = directory.context("no directory for what a power loss leaves")?;
        left.lose_power(random, directory.path())?;
        Ok(Self(directory))
    }

    fn store(&self) -> PathBuf {
        self.0.path().join(STORE)
    }
}
