//! Kafka's jars, from Maven, in a cache that all checkouts share.
//!
//! ```text
//! ~/.cache/postrider/brokers/kafka-4.3.1.lock        held while somebody writes below
//! ~/.cache/postrider/brokers/kafka-4.3.1/
//!   pom.xml                 what was fetched; where ours differs, all is fetched again
//!   lib/*.jar
//!   bootstrap.checkpoint    what a formatted node begins with: the features of this version
//!   classes-17.0.15.jsa     classes as that Java machine wants them, which halves the time of a start
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use super::java::Java;
use crate::{bound, cache};

/// The version that [`POM`] names.
pub(super) const VERSION: &str = "4.3.1";
const POM: &str = include_str!("../../kafka/pom.xml");
const MAVEN: &str = "install Maven (Debian and Ubuntu: apt-get install maven), or start a container engine";

#[derive(Clone, Debug)]
pub(super) struct Artifacts {
    pub(super) java: Java,
    directory: PathBuf,
    class_path: String,
}

impl Artifacts {
    /// Those of the cache, which is filled first where it is empty. Processes that need it at once wait for one another.
    pub(super) fn install(progress: fn(&str), prepare: impl FnOnce(&Self) -> Result<()>) -> Result<Self> {
        let java = Java::find()?;
        let cache = cache::directory()?;
        let _held = cache::hold(&cache.join(format!("kafka-{VERSION}.lock")), "Apache Kafka", progress)?;
        let directory = cache.join(format!("kafka-{VERSION}"));
        if fs::read_to_string(directory.join("pom.xml")).is_ok_and(|pom| pom == POM) {
            return Self::open(java, directory, prepare);
        }
        progress("fetching Apache Kafka with Maven, once for this machine (54 MB)");
        let fetched = TempDir::with_prefix_in("fetching-", &cache)?;
        fetch(fetched.path())?;
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        fs::rename(fetched.keep(), &directory)?;
        Self::open(java, directory, prepare)
    }

    fn open(java: Java, directory: PathBuf, prepare: impl FnOnce(&Self) -> Result<()>) -> Result<Self> {
        let class_path = class_path(&directory.join("lib"))?;
        let artifacts = Self { java, directory, class_path };
        if !artifacts.checkpoint().is_file() || !artifacts.classes().is_file() {
            prepare(&artifacts)?;
        }
        Ok(artifacts)
    }

    /// A Java machine with all of Kafka's classes, to which a class and its arguments are to be given.
    pub(super) fn java(&self) -> Command {
        let mut command = bound::command(&self.java.program);
        if self.has_classes() {
            command.arg(format!("-XX:SharedArchiveFile={}", self.classes().display()));
        }
        command.arg("-cp").arg(&self.class_path);
        command
    }

    /// What a freshly formatted node has beside its own id.
    pub(super) fn checkpoint(&self) -> PathBuf {
        self.directory.join("bootstrap.checkpoint")
    }

    fn has_classes(&self) -> bool {
        self.classes().metadata().is_ok_and(|file| file.len() > 0)
    }

    /// The archive of classes. It is empty where none could be made. A Java machine that cannot use it goes without.
    pub(super) fn classes(&self) -> PathBuf {
        self.directory.join(format!("classes-{}.jsa", self.java.version))
    }
}

/// In the order of their names: an archive of classes is good for one order only.
fn class_path(lib: &Path) -> Result<String> {
    let entries = fs::read_dir(lib).with_context(|| format!("{} cannot be read", lib.display()))?;
    let mut jars = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let path = path.to_str().context("the cache's path is not UTF-8")?;
        ensure!(
            !path.contains(':'),
            "a class path cannot hold {path}: set XDG_CACHE_HOME to a path without a colon"
        );
        jars.push(path.to_owned());
    }
    jars.sort();
    Ok(jars.join(":"))
}

/// All jars into `lib` below a directory, and at last the pom that says that they are there.
fn fetch(into: &Path) -> Result<()> {
    let pom = into.join("fetching.xml");
    fs::write(&pom, POM)?;
    let mut maven = Command::new("mvn");
    maven.args(["--batch-mode", "--quiet", "--file"]).arg(&pom);
    maven.args(["dependency:copy-dependencies", "-DincludeScope=runtime"]);
    maven.arg(format!("-DoutputDirectory={}", into.join("lib").display())).stdin(Stdio::null());
    let ended = match maven.output() {
        Ok(ended) => ended,
        Err(error) => {
            bail!("Apache Kafka is fetched with Maven, and mvn cannot be started ({error}): {MAVEN}")
        }
    };
    if !ended.status.success() {
        let said = String::from_utf8_lossy(&ended.stdout);
        bail!("Maven could not fetch Apache Kafka {VERSION}:\n{}", said.trim_end());
    }
    fs::rename(pom, into.join("pom.xml"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pom_names_our_version() {
        assert!(POM.contains(&format!("<kafka.version>{VERSION}</kafka.version>")));
    }
}
