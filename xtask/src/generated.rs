//! Files that are generated from the code and committed, so that readers and editors find them without building.

use std::path::Path;

use anyhow::{Context, Result};

use crate::run::{cargo, output, say};

const SCHEMA: &str = "config/postrider.schema.json";
const DESCRIPTION: &str = "docs/openapi.json";

/// Writes the files, or with `check` compares them. Whether they are as they should be.
pub(crate) fn run(root: &Path, check: bool) -> Result<bool> {
    let same = [schema(root, check)?, description(root, check)?];
    Ok(same == [true, true])
}

/// The binary prints the configuration's schema.
fn schema(root: &Path, check: bool) -> Result<bool> {
    let mut command = cargo(root);
    command.args(["run", "--quiet", "--locked", "--package", "postrider", "--", "schema"]);
    let fresh = output(&mut command)?;
    let path = root.join(SCHEMA);
    if std::fs::read(&path).is_ok_and(|committed| committed == fresh) {
        return Ok(unchanged(SCHEMA));
    }
    if check {
        return Ok(differs(SCHEMA));
    }
    std::fs::write(&path, fresh).with_context(|| format!("{SCHEMA} cannot be written"))?;
    Ok(written(SCHEMA))
}

/// No command prints the API's description: its own drift test compares it, and writes it where that is asked for. Built
/// with the features of the whole workspace, as the tests are, so that nothing is compiled for this alone.
fn description(root: &Path, check: bool) -> Result<bool> {
    let path = root.join(DESCRIPTION);
    let before = std::fs::read(&path).ok();
    let mut test = cargo(root);
    test.args(["test", "--quiet", "--locked", "--workspace", "--exclude", "postrider-tests"]);
    test.args(["--test", "openapi"]);
    // Built first: a compiler's error is no drift.
    let mut build = cargo(root);
    build.args(test.get_args()).arg("--no-run");
    output(&mut build)?;
    test.args(["--", "the_committed_description_is_the_codes"]);
    if check {
        let same = test.env_remove("UPDATE").output().context("cargo cannot be started")?.status.success();
        return Ok(if same { unchanged(DESCRIPTION) } else { differs(DESCRIPTION) });
    }
    output(test.env("UPDATE", "1"))?;
    Ok(if std::fs::read(&path).ok() == before { unchanged(DESCRIPTION) } else { written(DESCRIPTION) })
}

fn unchanged(file: &str) -> bool {
    say(&format!("{file}: as the code has it"));
    true
}

fn written(file: &str) -> bool {
    say(&format!("{file}: written"));
    true
}

fn differs(file: &str) -> bool {
    say(&format!("{file}: differs from what the code generates; run `cargo xtask schema` and commit it"));
    false
}
