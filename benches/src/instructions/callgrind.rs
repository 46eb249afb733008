//! A sidecar under callgrind, and what it took from its start to its end.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::sidecar::{Setup, Sidecar};

/// How a program is run whose instructions are counted: so that as little as can be is a matter of chance. Memory from
/// the caches of malloc's threads, for how long malloc looks for a free chunk elsewhere depends on how the heap happens
/// to lie: 3 % of a publish. Whole events have to fit these caches.
const REPEATABLY: [&str; 5] = [
    "env",
    "GLIBC_TUNABLES=glibc.malloc.tcache_max=65536:glibc.malloc.tcache_count=60000",
    "valgrind",
    "--quiet",
    "--tool=callgrind",
];

/// Where sidecars run that are counted in.
#[derive(Debug)]
pub(super) struct Callgrind {
    pub(super) postrider: PathBuf,
    /// Where profiles are kept.
    kept: Option<PathBuf>,
    scratch: TempDir,
}

impl Callgrind {
    pub(super) fn new(postrider: &Path, kept: Option<&Path>) -> Result<Self> {
        if let Some(kept) = kept {
            fs::create_dir_all(kept).with_context(|| kept.display().to_string())?;
        }
        let scratch = TempDir::with_prefix("postrider-callgrind-")?;
        Ok(Self { postrider: postrider.to_owned(), kept: kept.map(Path::to_owned), scratch })
    }

    /// Starts a sidecar, does something with it, ends it, and returns how many instructions it took in all.
    pub(super) fn total(
        &self,
        name: &str,
        setup: &Setup,
        work: impl FnOnce(&Sidecar) -> Result<()>,
    ) -> Result<u64> {
        let profile = self.scratch.path().join(name);
        let mut to = OsString::from("--callgrind-out-file=");
        to.push(&profile);
        let mut words: Vec<OsString> = REPEATABLY.map(OsString::from).into();
        words.extend([to, self.postrider.clone().into()]);
        let sidecar = Sidecar::start_by(&words, setup)?;
        work(&sidecar).with_context(|| sidecar.output())?;
        sidecar.end()?;
        let text =
            fs::read_to_string(&profile).with_context(|| format!("{} is not there", profile.display()))?;
        summary(&text)
    }

    /// Keeps a profile, where that was asked for, with its functions by what they take themselves and with all that they call.
    pub(super) fn keep(&self, name: &str) -> Result<()> {
        let Some(kept) = &self.kept else { return Ok(()) };
        let profile = kept.join(format!("callgrind.out.{name}"));
        fs::copy(self.scratch.path().join(name), &profile)?;
        for (inclusive, suffix) in [("no", ""), ("yes", ".inclusive")] {
            let path = kept.join(format!("{name}{suffix}.txt"));
            let mut annotate = Command::new("callgrind_annotate");
            annotate
                .args(["--auto=no", "--threshold=99"])
                .arg(format!("--inclusive={inclusive}"))
                .arg(&profile);
            annotate.stdin(Stdio::null()).stdout(File::create(&path)?);
            let status = annotate.status().context("callgrind_annotate cannot be started")?;
            ensure!(status.success(), "callgrind_annotate ended with {status}");
        }
        Ok(())
    }
}

/// The instructions of all threads, from a profile.
fn summary(profile: &str) -> Result<u64> {
    let counts = profile.lines().filter_map(|line| line.strip_prefix("summary: ")).map(str::parse::<u64>);
    let counts: Vec<u64> = counts.collect::<Result<_, _>>().context("a profile's summary is no number")?;
    ensure!(!counts.is_empty(), "a profile has no summary");
    Ok(counts.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_tells_its_sum() {
        assert_eq!(summary("events: Ir\nsummary: 12\nfn=(1)\n3 4\ntotals: 12\n").unwrap(), 12);
        summary("events: Ir\n").unwrap_err();
    }
}
