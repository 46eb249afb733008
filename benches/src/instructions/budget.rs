//! The budget: a figure a case, and what they were counted with.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// What a figure may rise by before it fails, and fall by before it is told, in percent. Runs differ by less than one.
const TOLERANCE_PERCENT: u64 = 10;

/// Compilers and architectures have figures of their own, so it says nothing about another's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Budget {
    /// Without the patch level: 1.95.
    rustc: String,
    architecture: String,
    instructions_per_event: BTreeMap<String, u64>,
}

impl Budget {
    /// Of this machine; no figures yet.
    pub(super) fn new(rustc: &str) -> Self {
        Self {
            rustc: rustc.to_owned(),
            architecture: std::env::consts::ARCH.to_owned(),
            instructions_per_event: BTreeMap::new(),
        }
    }

    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = fs::read(path).with_context(|| path.display().to_string())?;
        serde_json::from_slice(&text).with_context(|| format!("{} is no budget", path.display()))
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let text = format!("{}\n", serde_json::to_string_pretty(self)?);
        fs::write(path, text).with_context(|| path.display().to_string())
    }

    /// Whether what was counted with the other is to be compared with this.
    pub(super) fn binds(&self, other: &Self) -> bool {
        (&self.rustc, &self.architecture) == (&other.rustc, &other.architecture)
    }

    /// What it was counted with.
    pub(super) fn of(&self) -> String {
        format!("rustc {} on {}", self.rustc, self.architecture)
    }

    pub(super) fn figure(&self, name: &str) -> Option<u64> {
        self.instructions_per_event.get(name).copied()
    }

    pub(super) fn set(&mut self, name: &str, figure: u64) {
        self.instructions_per_event.insert(name.to_owned(), figure);
    }
}

/// How a figure stands to its budget.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verdict {
    /// There is none: to be set.
    New,
    Within {
        budget: u64,
        change_percent: f64,
    },
    Under {
        budget: u64,
        change_percent: f64,
    },
    Over {
        budget: u64,
        change_percent: f64,
    },
}

impl Verdict {
    pub(super) fn of(counted: u64, budget: Option<u64>) -> Self {
        let Some(budget) = budget else { return Self::New };
        let change_percent = (counted as f64 / budget as f64 - 1.0) * 100.0;
        if counted * 100 > budget * (100 + TOLERANCE_PERCENT) {
            Self::Over { budget, change_percent }
        } else if counted * 100 < budget * (100 - TOLERANCE_PERCENT) {
            Self::Under { budget, change_percent }
        } else {
            Self::Within { budget, change_percent }
        }
    }

    /// Whether it fails. What has no budget does: nobody would notice its rise.
    pub(super) fn is_over(self) -> bool {
        matches!(self, Self::Over { .. } | Self::New)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New => f.write_str("NO BUDGET"),
            Self::Within { budget, change_percent } => write!(f, "budget {budget}, {change_percent:+.1} %"),
            Self::Under { budget, change_percent } => {
                write!(f, "budget {budget}, {change_percent:+.1} %: tighten it with --update")
            }
            Self::Over { budget, change_percent } => {
                write!(f, "OVER the budget of {budget}: {change_percent:+.1} %")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_a_tenth_more_is_over_and_more_than_a_tenth_less_is_told() {
        for (counted, shown, over) in [
            (1000, "budget 1000, +0.0 %", false),
            (1100, "budget 1000, +10.0 %", false),
            (1101, "OVER the budget of 1000: +10.1 %", true),
            (900, "budget 1000, -10.0 %", false),
            (899, "budget 1000, -10.1 %: tighten it with --update", false),
        ] {
            let verdict = Verdict::of(counted, Some(1000));
            assert_eq!((verdict.to_string().as_str(), verdict.is_over()), (shown, over), "{counted}");
        }
        assert!(Verdict::of(1, None).is_over(), "what has no budget has to get one");
    }

    #[test]
    fn a_budget_is_read_as_it_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("instructions.json");
        let mut budget = Budget::new("1.95");
        Budget::read(&path).unwrap_err();
        budget.set("publish", 56_000);
        budget.write(&path).unwrap();
        let read = Budget::read(&path).unwrap();
        assert_eq!(read, budget);
        assert!(read.binds(&Budget::new("1.95")) && !read.binds(&Budget::new("1.96")));
    }
}
