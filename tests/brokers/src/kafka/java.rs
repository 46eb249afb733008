//! The Java machine of this computer.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// Kafka's servers need it since 4.0.
const VERSION_MIN: u32 = 17;

#[derive(Clone, Debug)]
pub(super) struct Java {
    pub(super) program: PathBuf,
    /// As it tells it: `17.0.15`.
    pub(super) version: String,
}

impl Java {
    /// That of `JAVA_HOME`, else that of `PATH`.
    pub(super) fn find() -> Result<Self> {
        let home = std::env::var_os("JAVA_HOME").map(|home| PathBuf::from(home).join("bin/java"));
        let program = home.filter(|java| java.is_file()).unwrap_or_else(|| "java".into());
        let mut command = Command::new(&program);
        command.arg("-version").stdin(Stdio::null());
        let told = command.output().with_context(|| {
            format!(
                "Apache Kafka needs Java {VERSION_MIN} or later, and there is none (nor a container engine): \
                 install a Java runtime (Debian and Ubuntu: apt-get install openjdk-17-jre-headless maven)"
            )
        })?;
        // It tells its version on standard error.
        let told = String::from_utf8_lossy(&told.stderr).into_owned();
        let Some(version) = told.split('"').nth(1) else {
            bail!("{} -version tells no version: {told}", program.display());
        };
        ensure!(
            major(version) >= VERSION_MIN,
            "Apache Kafka needs Java {VERSION_MIN} or later, and {} is {version}: install a later one, or set JAVA_HOME to it",
            program.display()
        );
        Ok(Self { program, version: version.to_owned() })
    }
}

/// `17.0.15` is 17, `21-ea` is 21, and `1.8.0_412`, as it was told then, is 1.
fn major(version: &str) -> u32 {
    version.split(|c: char| !c.is_ascii_digit()).next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::major;

    #[test]
    fn versions_are_read() {
        assert_eq!(["17.0.15", "21-ea", "25", "1.8.0_412", ""].map(major), [17, 21, 25, 1, 0]);
    }
}
