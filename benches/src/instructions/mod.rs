//! Instructions per event, counted by callgrind, against a budget that is checked in: they repeat where times do not.
//!
//! - `cases`: what is counted.
//! - `callgrind`: a sidecar under callgrind, and what it took from its start to its end.
//! - `budget`: the file, and what is over it.

mod budget;
mod callgrind;
mod cases;

use std::path::PathBuf;

use anyhow::{Result, bail};

use self::budget::{Budget, Verdict};
use self::callgrind::Callgrind;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Write what was counted as the new budget
    #[arg(long)]
    update: bool,
    /// Keep callgrind's output in this directory, with what callgrind_annotate makes of it
    #[arg(long, value_name = "DIR")]
    profile_out: Option<PathBuf>,
    /// The file with the budget
    #[arg(long, value_name = "FILE", hide = true)]
    budget: PathBuf,
    /// The compiler that built the binary: 1.95
    #[arg(long, value_name = "VERSION", hide = true)]
    rustc: String,
    /// The binary to count in
    #[arg(long, env = "POSTRIDER_BIN", value_name = "PATH", hide = true, hide_env = true)]
    postrider: PathBuf,
}

/// Counts, and fails where more is taken than the budget allows.
pub(crate) fn run(args: &Args, say: impl Fn(&str) -> Result<()>) -> Result<()> {
    let callgrind = Callgrind::new(&args.postrider, args.profile_out.as_deref())?;
    let old = match Budget::read(&args.budget) {
        // What is to be written need not be there.
        Err(_) if args.update => Budget::new("none"),
        read => read?,
    };
    let mut new = Budget::new(&args.rustc);
    let binding = old.binds(&new);
    let mut over = 0;
    for case in cases::all() {
        let counted = case.count(&callgrind)?;
        let verdict = Verdict::of(counted, old.figure(case.name()));
        say(&format!(
            "{:<15} {counted:>7} instructions per event: {verdict}   ({})",
            case.name(),
            case.about()
        ))?;
        over += usize::from(verdict.is_over());
        new.set(case.name(), counted);
    }
    if let Some(directory) = &args.profile_out {
        say(&format!("profiles: {}", directory.display()))?;
    }
    if args.update {
        new.write(&args.budget)?;
        return say(&format!("{}: written", args.budget.display()));
    }
    if !binding {
        return say(&format!("nothing is judged: the budget is of {}, and this is {}", old.of(), new.of()));
    }
    if over > 0 {
        bail!(
            "{over} over budget. Where they go: cargo xtask instructions --profile-out DIR, then DIR/*.txt. \
             If that is what the change is worth: cargo xtask instructions --update, and commit {}",
            args.budget.display()
        );
    }
    Ok(())
}
