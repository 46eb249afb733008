//! A temporary directory that is removed with its owner, also when that is killed.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::bound;

/// The file in a scratch directory that its owner keeps locked. The kernel drops the lock with the owner.
const OWNED: &str = "owned.lock";

/// Reads which processes are to be killed with the owner until the owner is gone, then kills them and removes the
/// directory. A process that is dying may still write to it, hence the attempts.
const WATCH: &str = r#"
trap '' HUP INT TERM
watched=
while read -r word pid; do
  case $word in
    watch) watched="$watched $pid" ;;
    forget)
      kept=
      for one in $watched; do [ "$one" = "$pid" ] || kept="$kept $one"; done
      watched=$kept ;;
  esac
done
for pid in $watched; do kill -KILL "$pid" 2>/dev/null; done
for attempt in 1 2 3 4 5 6 7 8 9 10; do
  rm -rf -- "$1" 2>/dev/null && exit
  sleep 0.3
done
"#;

#[derive(Debug)]
pub(crate) struct Scratch {
    directory: TempDir,
    watcher: Mutex<Child>,
    /// Held, never read.
    _owned: File,
}

impl Scratch {
    /// A new directory whose name begins with `prefix`. Those with the same prefix whose owners are gone are removed.
    pub(crate) fn new(prefix: &str) -> Result<Self> {
        remove_stale(&std::env::temp_dir(), prefix);
        let directory = TempDir::with_prefix(prefix).with_context(|| {
            format!(
                "no directory can be made in {}: set TMPDIR to a place that can be written",
                std::env::temp_dir().display()
            )
        })?;
        let owned = own(directory.path())?;
        let watcher = watch(directory.path()).context("`sh` cannot be started to clean up after us")?;
        Ok(Self { directory, watcher: Mutex::new(watcher), _owned: owned })
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Has a process killed with us, where the kernel does not do it.
    pub(crate) fn watch(&self, pid: u32) {
        self.tell("watch", pid);
    }

    /// To be called before a watched process is waited for: until then its id is nobody else's.
    pub(crate) fn forget(&self, pid: u32) {
        self.tell("forget", pid);
    }

    fn tell(&self, word: &str, pid: u32) {
        if bound::is_possible() {
            return;
        }
        let mut watcher = self.watcher.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stdin) = watcher.stdin.as_mut() {
            // A watcher that somebody killed is missed only if we are killed as well.
            drop(writeln!(stdin, "{word} {pid}"));
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let watcher = self.watcher.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Its input ends, and with it the watcher, which removes the directory.
        drop(watcher.stdin.take());
        drop(watcher.wait());
    }
}

/// The file is locked before it has its name: an unlocked one of that name means a dead owner.
fn own(directory: &Path) -> std::io::Result<File> {
    let nameless = directory.join("owned.new");
    let owned = File::create(&nameless)?;
    owned.lock()?;
    fs::rename(nameless, directory.join(OWNED))?;
    Ok(owned)
}

fn watch(directory: &Path) -> std::io::Result<Child> {
    let mut watcher = Command::new("sh");
    watcher.args(["-c", WATCH, "sh"]).arg(directory).current_dir("/");
    watcher.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    // Out of reach of a Ctrl-C, and of whoever kills the group of its owner.
    watcher.process_group(0).spawn()
}

/// Removes what owners left behind who were killed together with their watchers.
fn remove_stale(parent: &Path, prefix: &str) {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
    for directory in ours.map(|entry| entry.path()).filter(|path| is_stale(path)) {
        drop(fs::remove_dir_all(directory));
    }
}

fn is_stale(directory: &Path) -> bool {
    let lock: PathBuf = directory.join(OWNED);
    match File::open(&lock).map(|file| file.try_lock()) {
        Ok(Ok(())) => true,
        Ok(Err(TryLockError::WouldBlock | TryLockError::Error(_))) => false,
        // It has only just been made, or is being removed.
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_goes_with_its_value_and_is_kept_from_others_until_then() {
        let prefix = format!("postrider-scratch-{}-", std::process::id());
        let first = Scratch::new(&prefix).unwrap();
        let second = Scratch::new(&prefix).unwrap();
        assert!(first.path().is_dir(), "the second one takes the first for stale");
        let path = first.path().to_owned();
        drop(first);
        assert!(!path.exists());
        assert!(second.path().is_dir());
    }

    #[test]
    fn owners_that_begin_at_once_do_not_take_each_other_for_dead() {
        let prefix = format!("postrider-at-once-{}-", std::process::id());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let scratch = Scratch::new(&prefix).unwrap();
                        fs::write(scratch.path().join("data"), "").expect("nobody removes what is ours");
                    }
                });
            }
        });
    }

    #[test]
    fn what_a_dead_owner_left_is_removed() {
        let prefix = format!("postrider-stale-{}-", std::process::id());
        let left = std::env::temp_dir().join(format!("{prefix}left"));
        fs::create_dir(&left).unwrap();
        fs::write(left.join(OWNED), "").unwrap();
        let _new = Scratch::new(&prefix).unwrap();
        assert!(!left.exists());
    }
}
