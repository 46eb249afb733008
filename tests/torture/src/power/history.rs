//! What a traced worker did to its directory, step by step, and what it told meanwhile.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::disk::Disk;
use crate::told::Told;
use crate::trace::Call;

/// One step. Paths are relative to the directory that is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Create(PathBuf),
    MakeDirectory(PathBuf),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
    /// At this offset, or at the end.
    Write(PathBuf, Option<u64>, Vec<u8>),
    SetLength(PathBuf, u64),
    /// At least this length.
    Allocate(PathBuf, u64),
    /// A sync begins: what came before is covered by the [`Step::Synced`] of the same number.
    Sync(PathBuf, usize),
    Synced {
        path: PathBuf,
        number: usize,
        data_only: bool,
    },
    Told(Told),
}

/// All steps, in the order in which they took effect.
pub(super) fn history(calls: &[Call], root: &Path) -> Result<Vec<Step>> {
    let mut steps: Vec<(usize, Step)> = Vec::new();
    for (number, call) in calls.iter().enumerate() {
        let file = || Some(call.file()?.strip_prefix(root).ok()?.to_owned());
        let path = |at: usize| Some(call.paths().get(at)?.strip_prefix(root).ok()?.to_owned());
        let done = call.result();
        match call.name.as_str() {
            "write" if call.descriptor() == Some(1) => {
                let texts = call.texts();
                let line = texts.first().map(|text| String::from_utf8_lossy(text).into_owned());
                let told = line.and_then(|line| Told::parse(line.trim_end()));
                steps.extend(told.map(|told| (call.began, Step::Told(told))));
            }
            "openat" | "open" | "creat" => {
                let Some(path) = path(0).filter(|_| done.is_some()) else { continue };
                if call.has("O_CREAT") || call.name == "creat" {
                    steps.push((call.began, Step::Create(path.clone())));
                }
                if call.has("O_TRUNC") || call.name == "creat" {
                    steps.push((call.began, Step::SetLength(path, 0)));
                }
            }
            // A call that never came back may have taken effect: its program was killed within.
            "write" | "pwrite64" => {
                let Some(path) = file() else { continue };
                let offset = (call.name == "pwrite64").then(|| call.number_from_end(0)).flatten();
                let bytes = call.texts().into_iter().next().unwrap_or_default();
                steps.push((call.began, Step::Write(path, offset, bytes)));
            }
            "ftruncate" | "fallocate" => {
                let (Some(path), Some(length)) = (file(), call.number_from_end(0)) else { continue };
                let step = if call.name == "ftruncate" { Step::SetLength } else { Step::Allocate };
                steps.push((call.began, step(path, length)));
            }
            "fsync" | "fdatasync" => {
                let (Some(path), Some(ended)) = (file(), call.ended.filter(|_| done.is_some())) else {
                    continue;
                };
                let data_only = call.name == "fdatasync";
                steps.push((call.began, Step::Sync(path.clone(), number)));
                steps.push((ended, Step::Synced { path, number, data_only }));
            }
            "rename" | "renameat" | "renameat2" => {
                let (Some(from), Some(to)) = (path(0), path(1)) else { continue };
                steps.extend(done.map(|_| (call.began, Step::Rename(from, to))));
            }
            "unlink" | "unlinkat" | "rmdir" | "mkdir" | "mkdirat" => {
                let Some(path) = path(0).filter(|_| done.is_some()) else { continue };
                let step = if call.name.starts_with("mkdir") { Step::MakeDirectory } else { Step::Remove };
                steps.push((call.began, step(path)));
            }
            other if file().is_some() || path(0).is_some() => {
                bail!("nobody knows here what `{other}` leaves of a file: tell Disk of it");
            }
            _ => {}
        }
    }
    // Stable: the begin and the end of a sync that nothing came between stand on one line, in this order.
    steps.sort_by_key(|(line, _)| *line);
    Ok(steps.into_iter().map(|(_, step)| step).collect())
}

impl Step {
    /// Whether a power loss right after it may leave something else than one before it.
    pub(super) fn matters(&self) -> bool {
        !matches!(self, Self::Sync(..))
    }

    /// Does it to the disk. `syncs` remembers what those that have begun cover.
    pub(super) fn apply(&self, disk: &mut Disk, syncs: &mut std::collections::HashMap<usize, usize>) {
        match self {
            Self::Create(path) => disk.create(path),
            Self::MakeDirectory(path) => disk.make_directory(path),
            Self::Remove(path) => disk.remove(path),
            Self::Rename(from, to) => disk.rename(from, to),
            Self::Write(path, offset, bytes) => disk.write(path, *offset, bytes.clone()),
            Self::SetLength(path, length) => disk.set_length(path, *length),
            Self::Allocate(path, length) => {
                let length = disk.length(path).max(*length);
                disk.set_length(path, length);
            }
            Self::Sync(path, number) => {
                syncs.insert(*number, disk.covered(path));
            }
            Self::Synced { path, number, data_only } => {
                let covered = syncs.remove(number).unwrap_or_default();
                disk.synced(path, covered, *data_only);
            }
            Self::Told(_) => {}
        }
    }
}

/// What a program that forgot something would have done: each of these must be noticed by the judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Segments are not synced.
    NoSyncOfSegments,
    /// A segment is used before its directory was synced.
    NoSyncOfLogDirectories,
    /// Settle logs are not synced.
    NoSyncOfSettles,
    /// A settle log is renamed into its place before it was synced.
    NoSyncBeforeRename,
    /// Nor is the rename synced.
    NoSyncOfSubscriptions,
    /// Appends are acknowledged when they are written.
    AcknowledgedBeforeTheSync,
    /// Segments are removed before it is durable that they are settled.
    RemovedBeforeTheSettle,
}

impl Mutant {
    pub const ALL: [Self; 7] = [
        Self::NoSyncOfSegments,
        Self::NoSyncOfLogDirectories,
        Self::NoSyncOfSettles,
        Self::NoSyncBeforeRename,
        Self::NoSyncOfSubscriptions,
        Self::AcknowledgedBeforeTheSync,
        Self::RemovedBeforeTheSettle,
    ];

    /// The history of such a program.
    pub(super) fn of(self, history: &[Step]) -> Vec<Step> {
        let is = |path: &Path, extension: &str| path.extension().is_some_and(|e| e == extension);
        let forgets = |path: &Path| match self {
            Self::NoSyncOfSegments => is(path, "segment"),
            Self::NoSyncOfLogDirectories => path.parent().is_some_and(|parent| parent.ends_with("logs")),
            Self::NoSyncOfSettles => is(path, "settle"),
            Self::NoSyncBeforeRename => is(path, "new") && !path.ends_with("FORMAT.new"),
            Self::NoSyncOfSubscriptions => path.ends_with("subscriptions"),
            Self::AcknowledgedBeforeTheSync | Self::RemovedBeforeTheSettle => false,
        };
        let mut steps = Vec::new();
        for step in history {
            match step {
                Step::Synced { path, .. } if forgets(path) => {}
                Step::Told(Told::Appended { .. }) if self == Self::AcknowledgedBeforeTheSync => {
                    hurry(&mut steps, step, |path| is(path, "segment"));
                }
                Step::Remove(path) if self == Self::RemovedBeforeTheSettle && is(path, "segment") => {
                    hurry(&mut steps, step, |path| is(path, "settle"));
                }
                other => steps.push(other.clone()),
            }
        }
        steps
    }
}

/// Does a step before the last sync of such a file instead of after it.
fn hurry(steps: &mut Vec<Step>, step: &Step, of: impl Fn(&Path) -> bool) {
    let synced = steps.iter().rposition(|step| matches!(step, Step::Synced { path, .. } if of(path)));
    let at = synced.unwrap_or(steps.len());
    steps.insert(at, step.clone());
}
