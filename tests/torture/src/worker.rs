//! The process that is killed: it opens a store, works on it, and tells what was acknowledged.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use clap::ValueEnum;
use log::{AppendError, Appended, Batch, Log, Note, SettleLog, Store};

use crate::layout::{self, SUBSCRIPTIONS};
use crate::records::{self, Id};
use crate::told::Told;

/// What a worker does once its store is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// Everything at once from many threads, until it is killed.
    Mix,
    /// Group commits on two logs.
    Append,
    /// So much that segments are sealed, settled and removed.
    Rotate,
    /// So many notes that a settle log is written anew.
    Compact,
    /// Nothing: opening is what is watched.
    Recover,
}

/// Which process this is, and what it is to do.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub run: u32,
    pub seed: u64,
    pub workload: Workload,
    /// Wait for a line on standard input before what is watched begins.
    pub gated: bool,
}

/// A store with its logs and settle logs.
pub(crate) struct House {
    pub(crate) store: Store,
    pub(crate) run: u32,
    logs: Vec<Arc<Log>>,
    settles: Vec<Vec<Arc<SettleLog>>>,
}

/// Runs a worker to its end. An error means that the store did what it must not.
pub fn run(directory: &Path, plan: Plan) -> Result<()> {
    // A thread of its own: whoever watches it counts its system calls without those of a program's start.
    let work = || {
        if plan.gated {
            allow_watching();
        }
        let recover = plan.workload == Workload::Recover;
        if recover && plan.gated {
            Told::Waiting.tell();
            wait_at_the_gate()?;
        }
        let house = House::open(directory, plan.run)?;
        if !recover && plan.gated {
            wait_at_the_gate()?;
        }
        match plan.workload {
            Workload::Mix => crate::mix::run(&house, plan.seed)?,
            Workload::Append => house.append_some(plan.seed)?,
            Workload::Rotate => house.rotate(plan.seed)?,
            Workload::Compact => house.compact()?,
            Workload::Recover => {}
        }
        house.store.close();
        Told::Done.tell();
        Ok(())
    };
    let done = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("worker".into()).spawn_scoped(scope, work)?;
        thread.join().map_err(|_| anyhow!("the worker ended unexpectedly"))?
    });
    // A disk that fails is no reason to panic, in no thread: whoever judges is to see it.
    if done.as_ref().is_err_and(|error| format!("{error:#}").contains("unexpectedly")) {
        std::process::abort();
    }
    done
}

/// Whoever watches need not be our ancestor. Where that is not restricted there is nothing to allow.
fn allow_watching() {
    #[cfg(target_os = "linux")]
    let _no_matter = rustix::process::set_ptracer(rustix::process::PTracer::Any);
}

fn wait_at_the_gate() -> Result<()> {
    std::io::stdin().read_line(&mut String::new()).context("nobody opens the gate")?;
    Ok(())
}

impl House {
    fn open(directory: &Path, run: u32) -> Result<Self> {
        Told::Opening.tell();
        let (store, damage) = Store::open(directory, layout::options())?;
        if let Some(damage) = damage.first() {
            bail!("damage, though nothing was damaged: {damage}");
        }
        let mut logs = Vec::new();
        let mut settles = Vec::new();
        for (topic, &subscriptions) in (0..).zip(&SUBSCRIPTIONS) {
            let log = store.ensure_log(&layout::log_name(topic))?;
            let ensure =
                |s| store.ensure_settle_log(&layout::settle_name(topic, s), &log, b"meta", log.first());
            settles.push((0..subscriptions).map(ensure).collect::<Result<Vec<_>, _>>()?);
            logs.push(log);
        }
        Told::Ready.tell();
        Ok(Self { store, run, logs, settles })
    }

    pub(crate) fn log(&self, topic: u8) -> &Arc<Log> {
        &self.logs[usize::from(topic)]
    }

    pub(crate) fn settles(&self, topic: u8, subscription: u8) -> &Arc<SettleLog> {
        &self.settles[usize::from(topic)][usize::from(subscription)]
    }

    /// Hands a batch to the log. Its acknowledgement is told from where the log gives it.
    pub(crate) fn submit(&self, topic: u8, writer: u8, count: u32, bodies: &[usize], answers: &Answers) {
        let run = self.run;
        let mut batch = Batch::default();
        for (n, &body) in (0..).zip(bodies) {
            let record = records::encode(Id { topic, writer, run, count: count + n }, body);
            batch.push(|out| out.extend_from_slice(&record));
        }
        let records = batch.records();
        let answer = answers.send.clone();
        self.store.append(self.log(topic), batch, None, move |outcome| {
            if let Ok(Appended { first, .. }) = outcome {
                Told::Appended { topic, writer, run, count, records, first }.tell();
            }
            // Whoever does not wait any more does not want to know.
            drop(answer.send(outcome));
        });
    }

    pub(crate) fn settle(&self, topic: u8, subscription: u8, from: u64, to: u64) -> Result<()> {
        Told::Settling { topic, subscription, from, to }.tell();
        let settles = self.settles(topic, subscription);
        let settled = settles.settle(from, to, settles.version());
        settled.map(drop).map_err(|moved| anyhow!("nobody moved the cursor, and it is {moved:?}"))
    }

    pub(crate) fn note(&self, topic: u8, subscription: u8, from: u64, to: u64, attempts: u32) -> Result<()> {
        Told::Noting { topic, subscription, from, to, attempts }.tell();
        let settles = self.settles(topic, subscription);
        let note = Note { attempts, first_ms: 1 };
        let noted = (from..to).try_for_each(|sequence| settles.note(sequence, note, settles.version()));
        noted.map_err(|moved| anyhow!("nobody moved the cursor, and it is {moved:?}"))
    }

    pub(crate) fn flush(&self, topic: u8, subscription: u8) -> Result<()> {
        let (send, receive) = channel();
        self.settles(topic, subscription).flush(move |outcome| drop(send.send(outcome)));
        receive.recv().context("a flush was not answered")??;
        Told::Flushed { topic, subscription }.tell();
        Ok(())
    }

    /// Two logs at once, batches of one to three.
    fn append_some(&self, seed: u64) -> Result<()> {
        let mut random = fastrand::Rng::with_seed(seed);
        let answers = Answers::new();
        let mut counts = [0; 2];
        for _ in 0..4 {
            for topic in 0..2 {
                let bodies: Vec<usize> = (0..random.usize(1..4)).map(|_| random.usize(0..300)).collect();
                let count = &mut counts[usize::from(topic)];
                self.submit(topic, 0, *count, &bodies, &answers);
                *count += bodies.len() as u32;
            }
            answers.wait()?;
            answers.wait()?;
        }
        Ok(())
    }

    fn rotate(&self, seed: u64) -> Result<()> {
        let mut random = fastrand::Rng::with_seed(seed);
        let answers = Answers::new();
        for count in 0..14 {
            self.submit(0, 0, count, &[random.usize(35_000..40_000)], &answers);
            answers.wait()?;
        }
        // Out of order: ranges first, then the floor rises over all of it and retention follows.
        let end = self.log(0).end();
        for subscription in 0..2 {
            let floor = self.settles(0, subscription).floor();
            for sequence in (floor..end).rev().step_by(2) {
                self.settle(0, subscription, sequence, sequence + 1)?;
            }
            self.flush(0, subscription)?;
            self.settle(0, subscription, floor, end)?;
            self.flush(0, subscription)?;
        }
        // What a round leaves to retention is done before the next is answered.
        self.flush(0, 0)?;
        self.flush(0, 1)
    }

    fn compact(&self) -> Result<()> {
        let answers = Answers::new();
        self.submit(1, 0, 0, &[8; 900], &answers);
        let first = answers.wait()?.first;
        let mut attempts = self.attempts();
        for _ in 0..9 {
            attempts += 1;
            self.note(1, 0, first, first + 900, attempts)?;
            self.flush(1, 0)?;
        }
        self.settle(1, 0, first, first + 900)?;
        self.flush(1, 0)
    }

    /// Attempts to note from now on rise from here, over runs too.
    pub(crate) fn attempts(&self) -> u32 {
        self.run * 1_000_000
    }
}

/// What comes back to one thread that appends.
pub(crate) struct Answers {
    send: Sender<Result<Appended, AppendError>>,
    receive: Receiver<Result<Appended, AppendError>>,
}

impl Answers {
    pub(crate) fn new() -> Self {
        let (send, receive) = channel();
        Self { send, receive }
    }

    /// The next answer. Nothing here gives the log a reason to refuse.
    pub(crate) fn wait(&self) -> Result<Appended> {
        let answer = self.receive.recv_timeout(Duration::from_secs(30));
        Ok(answer.context("an append was not answered")??)
    }
}
