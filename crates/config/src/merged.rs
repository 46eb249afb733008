//! The configuration that is in force, redacted, and where each value comes from.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::interpolate;
use crate::node::{Kind, Node};
use crate::path::{Path, Step};
use crate::source::{Place, Source};
use crate::text::REDACTED;
use crate::tree::Config;

impl Config {
    /// The configuration as JSON, in which whatever came from the environment or a file, and every secret, is `***`.
    pub fn redacted(&self) -> Value {
        let mut value = serde_json::to_value(self).expect("the tree has only text keys");
        for path in &self.secrets {
            if let Some(leaf) = leaf(&mut value, path) {
                *leaf = REDACTED.into();
            }
        }
        value
    }
}

/// The value at a path. The serialised tree has the shape of the file, but for what may be written in two ways: there
/// the nearest ancestor that both have is hidden.
fn leaf<'v>(value: &'v mut Value, path: &Path) -> Option<&'v mut Value> {
    let mut value = value;
    for step in path.steps() {
        value = match (step, value) {
            (Step::Key(key), Value::Object(map)) => map.get_mut(key)?,
            (Step::Index(index), Value::Array(items)) => items.get_mut(*index)?,
            (_, value) => return Some(value),
        };
    }
    Some(value)
}

/// Every value in force, each with what sets it; defaults included. It prints as YAML with comments.
#[derive(Clone, Debug, PartialEq)]
pub struct Merged {
    pub lines: Vec<Line>,
}

/// One line of [`Merged`].
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// YAML, indented.
    pub text: String,
    pub set_by: SetBy,
}

/// Where a line's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetBy {
    File(Place),
    /// A file refers to it: `${env:NAME}`, `${env:NAME:-…}` or `${file:PATH}`, each as far as it is no secret.
    Reference(Place, Vec<String>),
    /// A variable of the environment that no file has to name.
    Environment(&'static str),
    Default,
    /// The line only holds others.
    Below,
}

impl Merged {
    pub(crate) fn new(
        config: &Config,
        root: &Node,
        sources: &[Source],
        from_environment: &BTreeMap<Path, &'static str>,
    ) -> Self {
        let mut printer =
            Printer { root, sources, from_environment, path: Path::default(), lines: Vec::new() };
        if let Value::Object(map) = config.redacted() {
            for (key, value) in map {
                printer.entry(&key, &value);
            }
        }
        Self { lines: printer.lines }
    }
}

struct Printer<'a> {
    root: &'a Node,
    sources: &'a [Source],
    from_environment: &'a BTreeMap<Path, &'static str>,
    path: Path,
    lines: Vec<Line>,
}

impl Printer<'_> {
    fn entry(&mut self, key: &str, value: &Value) {
        let indent = "  ".repeat(self.path.steps().len());
        self.path.push(Step::Key(key.to_owned()));
        let key = scalar(key);
        match value {
            Value::Null => {}
            // A map of nothing but what may be left out, and is, prints as an empty one.
            Value::Object(map) if map.values().any(|value| !value.is_null()) => {
                self.lines.push(Line { text: format!("{indent}{key}:"), set_by: SetBy::Below });
                for (key, value) in map {
                    self.entry(key, value);
                }
            }
            value => {
                let text = format!("{indent}{key}: {}", flow(value));
                self.lines.push(Line { text, set_by: self.set_by() });
            }
        }
        self.path.pop();
    }

    fn set_by(&self) -> SetBy {
        if let Some(variable) = self.from_environment.get(&self.path) {
            return SetBy::Environment(variable);
        }
        let Some(node) = self.root.find(&self.path) else { return SetBy::Default };
        let (place, references) = (node.at.place(self.sources), references(node));
        if references.is_empty() { SetBy::File(place) } else { SetBy::Reference(place, references) }
    }
}

/// The references of a leaf, or of a list of leaves.
fn references(node: &Node) -> Vec<String> {
    match &node.kind {
        Kind::Scalar(scalar) => scalar.written.as_deref().map(interpolate::references).unwrap_or_default(),
        Kind::List(items) => items.iter().flat_map(references).collect(),
        Kind::Null | Kind::Map(_) => Vec::new(),
    }
}

/// A leaf, or a list of leaves.
fn flow(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(_) => "{}".to_owned(),
        Value::String(text) => scalar(text),
        other => other.to_string(),
    }
}

/// Text as YAML, quoted where it would otherwise mean something else.
fn scalar(text: &str) -> String {
    let word = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c))
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "true" | "false" | "null" | "yes" | "no" | "on" | "off"
        );
    let unit = text.starts_with(|c: char| c.is_ascii_digit())
        && text.ends_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '/');
    if word || unit { text.to_owned() } else { Value::from(text).to_string() }
}

impl fmt::Display for Merged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const COLUMN_MAX: usize = 60;
        let widths = self.lines.iter().map(|line| line.text.chars().count());
        let column = widths.filter(|width| *width <= COLUMN_MAX).max().unwrap_or(0);
        for line in &self.lines {
            match &line.set_by {
                SetBy::Below => writeln!(f, "{}", line.text)?,
                SetBy::Default => writeln!(f, "{:<column$}  # default", line.text)?,
                SetBy::Environment(variable) => {
                    writeln!(f, "{:<column$}  # the environment's {variable}", line.text)?;
                }
                SetBy::File(place) => writeln!(f, "{:<column$}  # {place}", line.text)?,
                SetBy::Reference(place, references) => {
                    writeln!(f, "{:<column$}  # {place}, {}", line.text, references.join(", "))?;
                }
            }
        }
        Ok(())
    }
}
