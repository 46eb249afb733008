//! SIGKILL at every single system call, or an error instead of it. A worker is watched once, so that its calls are known; then it runs again for each
//! of them, on the same directory, and is killed right before that call, or the call fails. What it leaves is recovered and judged; and now
//! and then that recovery is killed at one of its own calls first.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::judge::{Problems, Promised};
pub use crate::strace::Blow;
use crate::strace::{self, Attached};
use crate::trace;
use crate::worker::{self, Workload};
use crate::workers::{self, Ended, Worker};

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// System calls at which a worker was killed.
    pub kills: u64,
    /// … and that failed.
    pub failures: u64,
    /// Kills of the recoveries that followed.
    pub nested: u64,
    pub events: u64,
    pub problems: Problems,
    pub kept: Option<PathBuf>,
}

/// The `nth` call of this name within a thread, counted from 1.
type Step = (String, usize);

/// A workload, what it begins on, and the calls that it makes.
struct Scene<'a> {
    program: &'a Path,
    /// Below it the directories are made.
    place: &'a Path,
    base: TempDir,
    promised: Promised,
    workload: Workload,
    steps: Vec<Step>,
}

/// What is done at which calls.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub workload: Workload,
    pub blow: Blow,
    /// Every so many calls, from a random one on.
    pub stride: usize,
    /// Of so many recoveries one is killed too.
    pub nested: u32,
}

/// Strikes a workload at its calls, one a run. Stops at the first problem.
pub fn run(
    program: &Path,
    place: &Path,
    plan: Plan,
    random: &mut fastrand::Rng,
    tally: &mut Tally,
) -> Result<()> {
    let scene = Scene::set(program, place, plan.workload)?;
    let recovery = Scene::set(program, place, Workload::Recover)?;
    // Besides files, a worker writes what it tells, and that is not to fail.
    let steps = scene.steps.iter().filter(|(name, _)| plan.blow == Blow::Kill || name != "write");
    let first = random.usize(..plan.stride);
    for step in steps.skip(first).step_by(plan.stride) {
        let stage = scene.stage()?;
        let mut promised = scene.promised.clone();
        let ended = scene.struck_at(&stage, (plan.workload, 2), step, plan.blow)?;
        match plan.blow {
            Blow::Kill => tally.kills += u64::from(take_in(&ended, &mut promised)?),
            Blow::Eio | Blow::Enospc => {
                survived(&ended, &mut promised).with_context(|| format!("{plan:?} at {step:?}"))?;
                tally.failures += 1;
            }
        }
        if random.u32(..plan.nested) == 0 {
            let again = &recovery.steps[random.usize(..recovery.steps.len())];
            let ended = scene.struck_at(&stage, (Workload::Recover, 3), again, Blow::Kill)?;
            let killed = u64::from(take_in(&ended, &mut promised)?);
            (tally.kills, tally.nested) = (tally.kills + killed, tally.nested + killed);
        }
        tally.events += promised.acknowledged;
        tally.problems = promised.judge(stage.path());
        if !tally.problems.is_empty() {
            tally.problems.push(format!("{plan:?} at {step:?}"));
            tally.kept = Some(stage.keep());
            break;
        }
    }
    Ok(())
}

/// Hears what a worker told; whether it was killed. It may also have come to its end: calls of two threads are not counted
/// alike at each run.
fn take_in(ended: &Ended, promised: &mut Promised) -> Result<bool> {
    ended.told.iter().for_each(|told| promised.hear(told));
    let killed = ended.status.signal() == Some(Signal::KILL.as_raw());
    if !killed && !ended.status.success() {
        bail!("a worker ended by itself with {}", ended.status);
    }
    Ok(killed)
}

/// Hears what a worker told whose disk failed. It may give up, and must not panic.
fn survived(ended: &Ended, promised: &mut Promised) -> Result<()> {
    ended.told.iter().for_each(|told| promised.hear(told));
    if !matches!(ended.status.code(), Some(0 | 1)) {
        bail!("a worker ended with {}", ended.status);
    }
    Ok(())
}

impl<'a> Scene<'a> {
    /// Makes what the workload begins on, and watches it once.
    fn set(program: &'a Path, place: &'a Path, workload: Workload) -> Result<Self> {
        let base = directory(place)?;
        let mut promised = Promised::default();
        let plan = worker::Plan { run: 1, seed: 1, workload: Workload::Append, gated: false };
        let ended = Worker::start(workers::command(program, base.path(), plan))?.end()?;
        if take_in(&ended, &mut promised)? {
            bail!("a worker was killed by somebody else");
        }
        if workload == Workload::Recover {
            tear(base.path()).context("the tails cannot be torn")?;
        }
        let mut scene = Self { program, place, base, promised, workload, steps: Vec::new() };
        scene.steps = scene.watch()?;
        Ok(scene)
    }

    /// The directory that the workload begins on, once more.
    fn stage(&self) -> Result<TempDir> {
        let stage = directory(self.place)?;
        copy(self.base.path(), stage.path())?;
        Ok(stage)
    }

    /// The calls of an undisturbed run.
    fn watch(&self) -> Result<Vec<Step>> {
        let stage = self.stage()?;
        let seen = tempfile::NamedTempFile::new()?;
        let ended = self.attached(&stage, self.workload, 2, Attached::Watch(seen.path()))?;
        take_in(&ended, &mut self.promised.clone())?;
        let mut calls: BTreeMap<(u32, String), usize> = BTreeMap::new();
        for call in trace::read(seen.path())? {
            *calls.entry((call.thread, call.name)).or_default() += 1;
        }
        let mut most: BTreeMap<String, usize> = BTreeMap::new();
        for ((_, name), count) in calls {
            let most = most.entry(name).or_default();
            *most = count.max(*most);
        }
        let steps: Vec<Step> = most
            .into_iter()
            .flat_map(|(name, count)| (1..=count).map(move |nth| (name.clone(), nth)))
            .collect();
        if steps.is_empty() {
            bail!("strace saw nothing of {:?}", self.workload);
        }
        Ok(steps)
    }

    fn struck_at(
        &self,
        stage: &TempDir,
        (workload, run): (Workload, u32),
        (name, nth): &Step,
        blow: Blow,
    ) -> Result<Ended> {
        self.attached(stage, workload, run, Attached::Strike { name, nth: *nth, blow })
    }

    /// Runs a worker with strace attached from where the workload proper begins.
    fn attached(&self, stage: &TempDir, workload: Workload, run: u32, how: Attached<'_>) -> Result<Ended> {
        let plan = worker::Plan { run, seed: 2, workload, gated: true };
        strace::attached(workers::command(self.program, stage.path(), plan), workload, how)
    }
}

fn directory(place: &Path) -> Result<TempDir> {
    TempDir::with_prefix_in("postrider-torture-", place).context("no directory to work in")
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir(&target)?;
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Leaves what a crash does: torn tails behind a segment and a settle log, a segment without its header, a new settle log
/// that was not put into its place. Recovery has to do all that it can do.
fn tear(store: &Path) -> Result<()> {
    let append = |path: &Path, bytes: &[u8]| -> Result<()> {
        let mut file = fs::File::options().append(true).open(path)?;
        std::io::Write::write_all(&mut file, bytes)?;
        Ok(())
    };
    for log in ["topic.0", "topic.1"] {
        let directory = store.join("logs").join(log);
        let mut segments: Vec<PathBuf> =
            fs::read_dir(directory)?.map(|e| Ok(e?.path())).collect::<Result<_>>()?;
        segments.retain(|path| path.extension().is_some_and(|e| e == "segment"));
        let last = segments.iter().max().context("a log has a segment")?;
        append(last, &[0x55; 700])?;
    }
    fs::write(store.join("logs/topic.2/00000000000000000001.segment"), b"prseg")?;
    append(&store.join("subscriptions/topic.0.1.settle"), &[0x55; 20])?;
    fs::write(store.join("subscriptions/topic.0.1.new"), b"prsettle")?;
    Ok(())
}
