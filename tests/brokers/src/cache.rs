//! `~/.cache/postrider/brokers`: what is downloaded and built once for a machine, and shared by all checkouts.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The directory, which is there.
pub(crate) fn directory() -> Result<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    let base = base.context("neither XDG_CACHE_HOME nor HOME says where to keep what is downloaded")?;
    let cache = base.join("postrider/brokers");
    fs::create_dir_all(&cache).with_context(|| format!("{} cannot be made", cache.display()))?;
    Ok(cache)
}

/// Locks a file until the value is dropped. Who fetches `what` meanwhile is waited for.
pub(crate) fn hold(path: &Path, what: &str, progress: fn(&str)) -> Result<File> {
    let lock = File::options().create(true).append(true).open(path);
    let lock = lock.with_context(|| format!("{} cannot be written", path.display()))?;
    if lock.try_lock().is_err() {
        progress(&format!("waiting for another process that is fetching {what}"));
        lock.lock()?;
    }
    Ok(lock)
}
