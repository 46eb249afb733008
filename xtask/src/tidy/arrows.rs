//! The arrows between our crates. They point inward: binary → listeners → contract → event.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;
use serde_json::Value;

use super::Violation;
use super::files::Source;
use crate::run::{cargo, output};

/// What each crate may depend on, of ours. ARCHITECTURE.md shows the same table, and is held to it.
const ARROWS: &[(&str, &[&str])] = &[
    ("event", &[]),
    ("broker", &["event"]),
    ("log", &[]),
    ("embedded", &["broker", "event", "log"]),
    ("kafka", &["broker", "event"]),
    ("pubsub", &["broker", "event"]),
    ("engine", &[]),
    ("telemetry", &[]),
    ("publish", &["broker", "event", "telemetry"]),
    ("delivery", &["broker", "engine", "event", "publish", "telemetry"]),
    ("config", &[]),
    ("api", &["broker", "delivery", "event", "publish", "telemetry"]),
    ("postrider", ALL),
    ("tests", &["brokers", "simulation", "torture"]),
    ("simulation", &["broker", "engine", "event", "publish", "telemetry"]),
    ("brokers", &[]),
    ("torture", &["log"]),
    ("benches", &["brokers", "log"]),
    ("xtask", &["brokers"]),
];
const ALL: &[&str] = &[
    "api",
    "broker",
    "config",
    "delivery",
    "embedded",
    "engine",
    "event",
    "kafka",
    "log",
    "publish",
    "pubsub",
    "telemetry",
];
/// Starts real brokers for whoever tests against them.
const FOR_TESTS: &str = "brokers";

/// One dependency of one crate of ours on another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Arrow {
    from: String,
    to: String,
    /// Only its tests depend on it.
    dev: bool,
}

pub(super) fn check(root: &Path, sources: &[Source]) -> Result<Vec<Violation>> {
    // Without `--locked`: a stale lock file is cargo's to complain about, and no arrow.
    let metadata = output(cargo(root).args(["metadata", "--format-version", "1", "--no-deps", "--offline"]))?;
    let metadata: Value = serde_json::from_slice(&metadata)?;
    let mut found = forbidden(&crates(&metadata), &arrows(&metadata), sources);
    if let Some(map) = sources.iter().find(|source| source.path == "ARCHITECTURE.md") {
        found.extend(drawn_otherwise(map));
    }
    Ok(found)
}

/// A crate is called by its directory.
fn directory_of(path: &Value) -> Option<String> {
    Some(Path::new(path.as_str()?).file_name()?.to_str()?.to_owned())
}

fn packages(metadata: &Value) -> impl Iterator<Item = (String, &Value)> {
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    packages.iter().filter_map(|package| {
        let manifest = package["manifest_path"].as_str()?;
        let directory = Path::new(manifest).parent()?.file_name()?.to_str()?;
        Some((directory.to_owned(), package))
    })
}

fn crates(metadata: &Value) -> BTreeSet<String> {
    packages(metadata).map(|(name, _)| name).collect()
}

fn arrows(metadata: &Value) -> BTreeSet<Arrow> {
    let mut arrows = BTreeSet::new();
    for (from, package) in packages(metadata) {
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            // Only what lies in this workspace has a path.
            if let Some(to) = directory_of(&dependency["path"]) {
                arrows.insert(Arrow { from: from.clone(), to, dev: dependency["kind"] == "dev" });
            }
        }
    }
    arrows
}

fn allowed(from: &str) -> Option<&'static [&'static str]> {
    ARROWS.iter().find(|(name, _)| *name == from).map(|(_, to)| *to)
}

fn forbidden(crates: &BTreeSet<String>, arrows: &BTreeSet<Arrow>, sources: &[Source]) -> Vec<Violation> {
    let mut found = Vec::new();
    for name in crates.iter().filter(|name| allowed(name).is_none()) {
        let reason = "this crate is not in the table of arrows: add it to ARCHITECTURE.md and to xtask/src/tidy/arrows.rs";
        found.push(Violation::new(&manifest(name), 1, reason));
    }
    for Arrow { from, to, dev } in arrows {
        let Some(allowed) = allowed(from) else { continue };
        // Tests may look at any library; only the binary and what stands outside of the house is out of reach.
        let may = allowed.contains(&to.as_str()) || *dev && (to == FOR_TESTS || ALL.contains(&to.as_str()));
        if !may {
            let of = if allowed.is_empty() {
                "on none of ours".into()
            } else {
                format!("on {} only", allowed.join(", "))
            };
            let reason = format!("`{from}` must not depend on `{to}`: it may depend {of}");
            found.push(Violation::new(&manifest(from), line_naming(sources, from, to), reason));
        }
    }
    found
}

fn manifest(name: &str) -> String {
    match name {
        "tests" | "xtask" | "benches" => format!("{name}/Cargo.toml"),
        "brokers" | "simulation" | "torture" => format!("tests/{name}/Cargo.toml"),
        _ => format!("crates/{name}/Cargo.toml"),
    }
}

fn line_naming(sources: &[Source], from: &str, to: &str) -> usize {
    let path = manifest(from);
    let text = sources
        .iter()
        .find(|source| source.path == path)
        .map(|source| source.text.as_str())
        .unwrap_or_default();
    let names = |line: &str| line.strip_prefix(to).is_some_and(|rest| rest.starts_with(['.', ' ', '=']));
    text.lines().position(names).map_or(1, |at| at + 1)
}

/// Where the table of ARCHITECTURE.md differs from ours. Its rows read: | `crate` | what it is | `dependency` … |.
fn drawn_otherwise(map: &Source) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut drawn: BTreeMap<&str, usize> = BTreeMap::new();
    for (number, line) in (1..).zip(map.text.lines()) {
        let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        let [name, _, dependencies] = cells.as_slice() else { continue };
        let Some(name) = name.strip_prefix('`').and_then(|name| name.strip_suffix('`')) else { continue };
        let Some(expected) = allowed(name) else { continue };
        drawn.insert(name, number);
        let shown: BTreeSet<&str> = match *dependencies {
            "all" => ALL.iter().copied().collect(),
            cell => cell.split('`').skip(1).step_by(2).collect(),
        };
        if shown != expected.iter().copied().collect() {
            let expected = if expected.is_empty() { "none".into() } else { expected.join(", ") };
            let reason = format!(
                "the dependencies of `{name}` are drawn otherwise than xtask/src/tidy/arrows.rs allows: {expected}"
            );
            found.push(Violation::new(&map.path, number, reason));
        }
    }
    for (name, _) in ARROWS.iter().filter(|(name, _)| !drawn.contains_key(name)) {
        found.push(Violation::new(&map.path, 1, format!("the code map has no row for `{name}`")));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn metadata(from: &str, to: &str, kind: Option<&str>) -> Value {
        json!({ "packages": [{
            "manifest_path": format!("/somewhere/crates/{from}/Cargo.toml"),
            "dependencies": [
                { "name": format!("postrider-{to}"), "path": format!("/somewhere/crates/{to}"), "kind": kind },
                { "name": "bytes", "kind": null },
            ],
        }] })
    }

    fn reasons(from: &str, to: &str, kind: Option<&str>) -> Vec<String> {
        let metadata = metadata(from, to, kind);
        let manifest = Source::new(
            &format!("crates/{from}/Cargo.toml"),
            &format!("[dependencies]\n{to}.workspace = true\n"),
        );
        forbidden(&crates(&metadata), &arrows(&metadata), &[manifest])
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn arrows_that_point_outward_are_found_with_their_line() {
        assert_eq!(
            reasons("broker", "publish", None),
            [
                "crates/broker/Cargo.toml:2: `broker` must not depend on `publish`: it may depend on event only"
            ]
        );
        assert_eq!(
            reasons("event", "broker", None),
            ["crates/event/Cargo.toml:2: `event` must not depend on `broker`: it may depend on none of ours"]
        );
        assert_eq!(reasons("delivery", "engine", None), Vec::<String>::new());
    }

    #[test]
    fn tests_may_look_at_any_library_but_not_at_the_binary() {
        assert_eq!(reasons("api", "embedded", Some("dev")), Vec::<String>::new());
        assert_eq!(reasons("api", "postrider", Some("dev")).len(), 1);
    }

    #[test]
    fn a_crate_that_nobody_drew_is_found() {
        assert_eq!(reasons("misc", "event", None).len(), 1);
    }

    #[test]
    fn a_map_that_differs_is_found() {
        let rows = |engine: &str| {
            let of = |to: &[&str]| to.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" ");
            let row = |(name, to): &(&str, &[&str])| match *name {
                "engine" => format!("| `engine` | decides | {engine} |"),
                "postrider" => "| `postrider` | the binary | all |".into(),
                name => format!("| `{name}` | something | {} |", of(to)),
            };
            Source::new("ARCHITECTURE.md", &ARROWS.iter().map(row).collect::<Vec<_>>().join("\n"))
        };
        assert_eq!(drawn_otherwise(&rows("–")), []);
        assert_eq!(drawn_otherwise(&rows("`broker`")).len(), 1);
        assert_eq!(drawn_otherwise(&Source::new("ARCHITECTURE.md", "")).len(), ARROWS.len());
    }
}
