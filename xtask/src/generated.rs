//! Files that are generated from the code and committed, so that readers and editors find them without building.

use std::path::Path;

use anyhow::{Context, Result};

use crate::run::{cargo, output, say};

/// A committed file and the arguments of the binary that print it.
const FILES: &[(&str, &[&str])] = &[("config/postrider.schema.json", &["schema"])];

/// Writes the files, or with `check` compares them. Whether they are as they should be.
pub(crate) fn run(root: &Path, check: bool) -> Result<bool> {
    let mut same = true;
    for (file, arguments) in FILES {
        let mut command = cargo(root);
        command.args(["run", "--quiet", "--locked", "--package", "postrider", "--"]).args(*arguments);
        let fresh = output(&mut command)?;
        let path = root.join(file);
        if std::fs::read(&path).is_ok_and(|committed| committed == fresh) {
            say(&format!("{file}: as the code has it"));
        } else if check {
            say(&format!(
                "{file}: differs from what the code generates; run `cargo xtask schema` and commit it"
            ));
            same = false;
        } else {
            std::fs::write(&path, fresh).with_context(|| format!("{file} cannot be written"))?;
            say(&format!("{file}: written"));
        }
    }
    Ok(same)
}
