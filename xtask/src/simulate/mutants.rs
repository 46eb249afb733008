//! Mutants: the product with one promise broken. A simulation that does not notice proves nothing.
//!
//! Nothing of it is in the product. Where the source has changed so that a mutant no longer applies, a test of this module
//! says so: find the place where the rule is kept now, and break it there.

use std::path::Path;
use std::process::Command;

use super::{endpoint, engine, publish};
use crate::workshop::Edit;

#[derive(Clone, Copy, Debug)]
pub(super) struct Mutant {
    pub(super) name: &'static str,
    /// One sentence: what it does wrong.
    pub(super) what: &'static str,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Source(Edit),
    /// The simulation's shell does it: what the engine is told, or what is made of its words, is wrong.
    Shell,
}

/// A mutant of a source file.
pub(super) const fn source(
    name: &'static str,
    what: &'static str,
    file: &'static str,
    find: &'static str,
    replace: &'static str,
) -> Mutant {
    Mutant { name, what, kind: Kind::Source(Edit { file, find, replace }) }
}

const fn shell(name: &'static str, what: &'static str) -> Mutant {
    Mutant { name, what, kind: Kind::Shell }
}

const SHELL: &[Mutant] = &[
    shell("shell-settles-early", "A delivery is settled when its attempt begins."),
    shell("shell-drops-one", "Now and then a delivery is done that was never sent."),
    shell("shell-ignores-recalls", "The engine is not told of recalls."),
    shell("shell-swaps-two", "Two events of a key come to the engine in the wrong order."),
];

pub(super) fn all() -> impl Iterator<Item = &'static Mutant> {
    engine::MUTANTS.iter().chain(endpoint::MUTANTS).chain(publish::MUTANTS).chain(SHELL)
}

impl Mutant {
    /// What it changes of the source, if that is what it is.
    pub(super) fn edit(&self) -> Option<&Edit> {
        match &self.kind {
            Kind::Source(edit) => Some(edit),
            Kind::Shell => None,
        }
    }

    /// Runs it until a seed breaks.
    pub(super) fn command(&self, binary: &Path, first: u64, seeds: u64) -> Command {
        let mut command = Command::new(binary);
        command.args(["--seed", &first.to_string(), "--seeds", &seeds.to_string(), "--until-broken"]);
        command.args([if matches!(self.kind, Kind::Shell) { "--mutant" } else { "--called" }, self.name]);
        command
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_mutant_still_applies_and_has_a_name_of_its_own() {
        let root = crate::root();
        let mut names = BTreeSet::new();
        for mutant in all() {
            assert!(names.insert(mutant.name), "{} is there twice", mutant.name);
            let fault = mutant.edit().and_then(|edit| edit.fault(&root));
            assert!(fault.is_none(), "{} {}", mutant.name, fault.unwrap_or_default());
        }
        let of_the_engine = engine::MUTANTS.len() + endpoint::MUTANTS.len();
        assert!(of_the_engine >= 20 && publish::MUTANTS.len() >= 5, "{of_the_engine} of the engine");
    }
}
