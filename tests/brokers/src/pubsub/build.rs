//! The Go program of `tests/brokers/pubsub`, built once for each version of its source, in the cache that all checkouts
//! share.
//!
//! ```text
//! ~/.cache/postrider/brokers/pubsub.lock                  held while somebody builds
//! ~/.cache/postrider/brokers/pubsub-0123456789abcdef/
//!   pubsub                named by a hash of the source; those of other versions go a month after they were built
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::cache;

const SOURCE: &[(&str, &str)] = &[
    ("go.mod", include_str!("../../pubsub/go.mod")),
    ("go.sum", include_str!("../../pubsub/go.sum")),
    ("codes.go", include_str!("../../pubsub/codes.go")),
    ("connections.go", include_str!("../../pubsub/connections.go")),
    ("faults.go", include_str!("../../pubsub/faults.go")),
    ("hub.go", include_str!("../../pubsub/hub.go")),
    ("main.go", include_str!("../../pubsub/main.go")),
    ("proxy.go", include_str!("../../pubsub/proxy.go")),
    ("proxyrest.go", include_str!("../../pubsub/proxyrest.go")),
    ("rest.go", include_str!("../../pubsub/rest.go")),
    ("service.go", include_str!("../../pubsub/service.go")),
    ("split.go", include_str!("../../pubsub/split.go")),
    ("stream.go", include_str!("../../pubsub/stream.go")),
];
const PROGRAM: &str = "pubsub";
const PREFIX: &str = "pubsub-";
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const GO: &str = "install Go 1.21 or later (https://go.dev/dl), which fetches the version that it needs";

/// The `go` of PATH, else the one where Go's own installation puts it.
pub(super) fn go() -> Option<PathBuf> {
    let answers = |program: &Path| {
        let mut asked = Command::new(program);
        asked.arg("version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        asked.status().is_ok_and(|status| status.success())
    };
    [PathBuf::from("go"), PathBuf::from("/usr/local/go/bin/go")].into_iter().find(|program| answers(program))
}

/// The program, which is built first where it is not in the cache. Processes that need it at once wait for one another.
pub(super) fn program(progress: fn(&str)) -> Result<PathBuf> {
    let cache = cache::directory()?;
    let directory = cache.join(format!("{PREFIX}{:016x}", hash(SOURCE)));
    let program = directory.join(PROGRAM);
    if program.is_file() {
        return Ok(program);
    }
    let _held = cache::hold(&cache.join("pubsub.lock"), "the Pub/Sub server", progress)?;
    if program.is_file() {
        return Ok(program);
    }
    let Some(go) = go() else {
        bail!(
            "Pub/Sub's server (without a container engine) and its proxy are built with Go, and there is none: {GO}"
        );
    };
    progress(
        "building the Pub/Sub server with Go, once for this version of it (a minute or two the first time)",
    );
    let building = TempDir::with_prefix_in("building-", &cache)?;
    build(&go, building.path())?;
    remove_old(&cache);
    if directory.exists() {
        fs::remove_dir_all(&directory)?;
    }
    fs::create_dir(&directory)?;
    fs::rename(building.path().join(PROGRAM), &program)?;
    Ok(program)
}

fn build(go: &Path, directory: &Path) -> Result<()> {
    for (name, text) in SOURCE {
        fs::write(directory.join(name), text)?;
    }
    let mut build = Command::new(go);
    build.args(["build", "-trimpath", "-ldflags=-s -w", "-o", PROGRAM, "."]).current_dir(directory);
    build.env("CGO_ENABLED", "0").env("GOWORK", "off").env("GOFLAGS", "").stdin(Stdio::null());
    let ended = build.output().context("go cannot be started")?;
    if !ended.status.success() {
        bail!(
            "Go could not build the Pub/Sub server:\n{}",
            String::from_utf8_lossy(&ended.stderr).trim_end()
        );
    }
    Ok(())
}

/// FNV-1a, which gives the same hash on every machine and with every version of Rust.
fn hash(source: &[(&str, &str)]) -> u64 {
    let bytes = source.iter().flat_map(|(name, text)| [name.as_bytes(), b"\0", text.as_bytes(), b"\0"]);
    bytes
        .flatten()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// What runs still runs on.
fn remove_old(cache: &Path) {
    for entry in fs::read_dir(cache).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let built = entry.metadata().and_then(|metadata| metadata.modified());
        let is_old = built.is_ok_and(|built| built.elapsed().is_ok_and(|age| age > KEPT));
        if ours && is_old {
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_source_is_built() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("pubsub");
        let mut names: Vec<String> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| name != "README.md")
            .collect();
        let mut built: Vec<&str> = SOURCE.iter().map(|(name, _)| *name).collect();
        names.sort();
        built.sort_unstable();
        assert_eq!(names, built);
    }

    #[test]
    fn other_sources_have_other_hashes() {
        assert_ne!(hash(&[("a", "b")]), hash(&[("a", "c")]));
        assert_ne!(hash(&[("a", "b")]), hash(&[("ab", "")]));
    }
}
