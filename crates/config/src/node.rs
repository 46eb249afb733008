//! YAML as a tree in which every value knows where it is written.

use crate::path::{Path, Step};
use crate::source::At;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) at: At,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Null,
    Scalar(Scalar),
    List(Vec<Node>),
    /// In the order of the file; keys are unique.
    Map(Vec<Entry>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    /// Not quoted: YAML reads it as a number or a truth value where it looks like one.
    pub(crate) plain: bool,
    /// What the file says, where the text came from outside it: such a value is a secret and never shown.
    pub(crate) written: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_at: At,
    pub(crate) node: Node,
}

impl Node {
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.kind {
            Kind::Map(entries) => entries,
            _ => &[],
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// What kind of value this is, in words for an error message.
    pub(crate) fn noun(&self) -> &'static str {
        match &self.kind {
            Kind::Null => "nothing",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
            Kind::Scalar(scalar) if scalar.is_number() => "a number",
            Kind::Scalar(scalar) if scalar.is_truth() => "a truth value",
            Kind::Scalar(_) => "text",
        }
    }

    /// True where the value came from the environment or a file.
    pub(crate) fn is_secret(&self) -> bool {
        matches!(&self.kind, Kind::Scalar(scalar) if scalar.is_secret())
    }

    /// Nodes in this tree, itself included.
    pub(crate) fn count(&self) -> usize {
        1 + match &self.kind {
            Kind::Null | Kind::Scalar(_) => 0,
            Kind::List(items) => items.iter().map(Self::count).sum(),
            Kind::Map(entries) => entries.iter().map(|entry| entry.node.count()).sum(),
        }
    }

    /// Levels of this tree, itself included.
    pub(crate) fn height(&self) -> usize {
        1 + match &self.kind {
            Kind::Null | Kind::Scalar(_) => 0,
            Kind::List(items) => items.iter().map(Self::height).max().unwrap_or(0),
            Kind::Map(entries) => entries.iter().map(|entry| entry.node.height()).max().unwrap_or(0),
        }
    }

    /// The node at a path, if the files say anything there.
    pub(crate) fn find(&self, path: &Path) -> Option<&Self> {
        path.steps().iter().try_fold(self, |node, step| match (step, &node.kind) {
            (Step::Key(key), Kind::Map(_)) => node.get(key).map(|entry| &entry.node),
            (Step::Index(index), Kind::List(items)) => items.get(*index),
            _ => None,
        })
    }

    /// The place that decides the value at a path: the value itself or, for a default, the key of its nearest ancestor
    /// that is written down.
    pub(crate) fn locate(&self, path: &Path) -> At {
        match self.find(path) {
            Some(Self { at, kind: Kind::Scalar(_) }) => *at,
            _ => self.locate_key(path),
        }
    }

    /// The key at a path, or that of its nearest ancestor that is written down.
    pub(crate) fn locate_key(&self, path: &Path) -> At {
        let mut node = self;
        let mut at = self.at;
        for step in path.steps() {
            let below = match (step, &node.kind) {
                (Step::Key(key), Kind::Map(_)) => node.get(key).map(|entry| (entry.key_at, &entry.node)),
                (Step::Index(index), Kind::List(items)) => items.get(*index).map(|item| (item.at, item)),
                _ => None,
            };
            let Some(below) = below else { break };
            (at, node) = below;
        }
        at
    }
}

impl Scalar {
    /// The text as it may be shown: never what came from the environment or a file, and not all of it if it is long.
    pub(crate) fn shown(&self) -> String {
        excerpt(self.written.as_deref().unwrap_or(&self.text))
    }

    pub(crate) fn is_secret(&self) -> bool {
        self.written.is_some()
    }

    /// True where the text is to be taken as text although it may look like a number: quoted, or from outside.
    pub(crate) fn is_text(&self) -> bool {
        !self.plain || self.is_secret() || !(self.is_number() || self.is_truth())
    }

    /// True where the text may be read as a number or a truth value: not quoted, or from outside.
    pub(crate) fn is_bare(&self) -> bool {
        self.plain || self.is_secret()
    }

    /// YAML 1.2's core schema, without its octal and hexadecimal forms, infinities and NaN, which no key here takes.
    fn is_number(&self) -> bool {
        let digits = self.text.strip_prefix(['-', '+']).unwrap_or(&self.text);
        self.plain
            && digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
            && digits.bytes().any(|byte| byte.is_ascii_digit())
            && self.text.parse::<f64>().is_ok()
    }

    fn is_truth(&self) -> bool {
        self.plain && matches!(self.text.as_str(), "true" | "True" | "TRUE" | "false" | "False" | "FALSE")
    }
}

/// Longest text quoted in a message, in characters.
const EXCERPT_MAX: usize = 80;

/// A text for a message: one line, not too long.
pub(crate) fn excerpt(text: &str) -> String {
    let plain = |c: char| if c.is_control() { '\u{FFFD}' } else { c };
    let mut shown: String = text.chars().take(EXCERPT_MAX).map(plain).collect();
    if text.chars().nth(EXCERPT_MAX).is_some() {
        shown.push('…');
    }
    shown
}
