//! Engine and publish path over the model broker, in virtual time, from one seed.
//!
//! ```text
//! Publishers ─▶ Publisher (publish) ─▶ Model (broker) ─▶ Shell (engine) ─▶ webhook
//!     │                  ▲ dead letters ◀──────────────────── │ ▲ rules       │
//!     └── log A ────────────────▶ checker ◀──────────────────────────── log D ┘
//! ```
//!
//! Everything that is decided by chance comes from the seed: the policy, what publishers send, when the process crashes,
//! the broker misbehaves and the webhook falls ill. The same seed gives the same trace, byte for byte. After the time to
//! heal nothing fails any more: then all must come to rest in bounded time, and the same checker that judges the
//! black-box tests judges what was seen. Engine and publisher are the product's own; every step of the one is held against
//! the rules in `rules.rs` (E1 to E9), every call of the other against those in `path.rs` (P1 to P4).

mod acts;
mod answers;
mod attempts;
mod budget;
pub mod campaign;
pub mod checker;
mod events;
pub mod evidence;
mod judge;
mod lives;
mod outbox;
mod path;
mod plan;
mod publish;
mod publishers;
mod redrive;
mod rules;
mod run;
mod seen;
mod shell;
mod trace;
mod webhook;

use std::str::FromStr;
use std::time::Duration;

pub use judge::explain;

/// How a run is to be.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Events to publish.
    pub events: u32,
    /// Crashes of the process, at least; each seed has a revocation and other misfortunes besides.
    pub crashes: u32,
    /// Write down all that happens.
    pub trace: bool,
    /// Corrupts what passes between engine and world, to show that the checker can fail.
    pub mutant: Option<Mutant>,
}

impl Default for Options {
    fn default() -> Self {
        Self { events: 500, crashes: 2, trace: false, mutant: None }
    }
}

/// A shell that breaks a promise. Mutants of the engine and of the publish path are made of their source:
/// `cargo xtask simulate --list`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Settles a delivery when its attempt begins.
    SettleEarly,
    /// Now and then settles a delivery that was never sent.
    DropOne,
    /// Does not tell the engine of recalls.
    IgnoreRecalls,
    /// Now and then hands two events of a key to the engine in the wrong order.
    SwapTwo,
}

impl FromStr for Mutant {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Ok(match name {
            "shell-settles-early" => Self::SettleEarly,
            "shell-drops-one" => Self::DropOne,
            "shell-ignores-recalls" => Self::IgnoreRecalls,
            "shell-swaps-two" => Self::SwapTwo,
            other => return Err(format!("{other} is no mutant of the shell")),
        })
    }
}

/// What a run showed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    pub seed: u64,
    /// Events published.
    pub events: u32,
    /// POSTs begun.
    pub attempts: u64,
    /// Processes that died.
    pub crashes: u32,
    /// Processes that drained and were replaced.
    pub restarts: u32,
    /// Leases that the broker took back or superseded.
    pub revocations: u32,
    /// Leases that the broker asked for before it took them.
    pub recalls: u32,
    /// All misfortunes together: crashes, revocations, outages, answers that got lost, pauses, sick phases.
    pub faults: u32,
    /// Successes beyond the first of an event, and how many of them faults excuse.
    pub duplicates: u32,
    pub excused: u32,
    pub dead_letters: u32,
    /// Times that dead letters were delivered again.
    pub redrives: u32,
    /// Steps of the engine.
    pub steps: u64,
    pub virtual_time: Duration,
    /// Broken promises; empty where all hold.
    pub violations: Vec<String>,
    /// What the trace calls those whom the violations concern.
    pub suspects: Vec<String>,
    /// All that happened, where [`Options::trace`] asks for it.
    pub trace: String,
}

/// Runs one seed to its end.
pub fn run(seed: u64, options: &Options) -> Report {
    run::Simulation::new(seed, options).run()
}
