//! Whether brokers come from Docker or from packages.

use anyhow::{Result, bail};

/// Chooses: `docker` or `packages`. By default the first that can be had.
const CHOICE: &str = "POSTRIDER_BROKERS";

/// What somebody has chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    Docker,
    Packages,
    Best,
}

pub(crate) fn choice() -> Result<Choice> {
    match std::env::var(CHOICE).as_deref() {
        Ok("docker") => Ok(Choice::Docker),
        Ok("packages") => Ok(Choice::Packages),
        Ok(other) if !other.is_empty() => bail!("{CHOICE} is `docker` or `packages`, not `{other}`"),
        _ => Ok(Choice::Best),
    }
}
