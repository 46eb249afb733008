//! From nodes to the typed tree. Decoding never stops: a value that cannot be had is reported and replaced by a
//! placeholder, so that one pass finds every error. A tree with placeholders never leaves this crate.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;

use crate::error::{Code, Draft};
use crate::node::{Entry, Kind, Node, Scalar, excerpt};
use crate::path::{Path, Step};
use crate::reserved;
use crate::source::At;
use crate::suggest;

/// A value of the configuration.
pub(crate) trait Decode: Sized {
    fn decode(node: &Node, cx: &mut Context) -> Self;

    /// Stands in for a value that could not be had.
    fn placeholder() -> Self;
}

/// Where decoding is, and what it found wrong so far.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) path: Path,
    /// The key that the present value belongs to: containers and what they lack are marked there.
    owner: At,
    pub(crate) errors: Vec<Draft>,
    /// Paths of keys that are misspelled elsewhere: that they are missing is told already.
    misspelled: Vec<Path>,
}

impl Context {
    pub(crate) fn new(root: At, errors: Vec<Draft>) -> Self {
        Self { path: Path::default(), owner: root, errors, misspelled: Vec::new() }
    }

    /// Reports an error about the present value, unless one is known: whatever follows from it is noise.
    pub(crate) fn error(&mut self, code: Code, at: At, message: impl Into<String>, hint: Option<String>) {
        self.error_below(None, code, at, message, hint);
    }

    pub(crate) fn error_below(
        &mut self,
        key: Option<&str>,
        code: Code,
        at: At,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        let path = key.map_or_else(|| self.path.clone(), |key| self.path.key(key));
        if self.errors.iter().any(|error| error.path == path) {
            return;
        }
        self.errors.push(Draft { code, at: Some(at), path, message: message.into(), hint });
    }

    /// True where the value at this path, or what it stands in, is misspelled or among the first so many errors.
    pub(crate) fn is_broken(&self, path: &Path, errors: usize) -> bool {
        let wrong = self.errors.iter().take(errors).map(|error| &error.path);
        wrong.chain(&self.misspelled).any(|broken| broken.covers(path))
    }

    pub(crate) fn wrong_type(&mut self, node: &Node, expected: &str, hint: Option<String>) {
        let at = match node.kind {
            Kind::Scalar(_) => node.at,
            _ => self.owner,
        };
        self.error(Code::WrongType, at, format!("this must be {expected}, and is {}", node.noun()), hint);
    }

    /// The entries of a map that has no keys but these.
    pub(crate) fn table<'n>(&mut self, node: &'n Node, keys: &[&'static str]) -> Option<&'n Node> {
        if !matches!(node.kind, Kind::Map(_)) {
            self.wrong_type(node, "a map", Some(format!("Its keys: {}.", listed(keys))));
            return None;
        }
        for entry in node.entries() {
            if !keys.contains(&entry.key.as_str()) {
                self.unknown_key(node, entry, keys);
            }
        }
        Some(node)
    }

    fn unknown_key(&mut self, node: &Node, entry: &Entry, keys: &[&'static str]) {
        let key = &entry.key;
        if let Some(reason) = reserved::reason(&self.path, key) {
            self.error_below(
                Some(key),
                Code::Reserved,
                entry.key_at,
                format!("`{key}` is reserved: {reason}"),
                None,
            );
            return;
        }
        let absent = keys.iter().copied().filter(|key| node.get(key).is_none());
        let hint = match suggest::nearest(key, absent) {
            Some(meant) => {
                self.misspelled.push(self.path.key(meant));
                format!("Did you mean `{meant}`?")
            }
            None => format!("Known here: {}. Keys that begin with `x-` are ignored.", listed(keys)),
        };
        self.error_below(
            Some(key),
            Code::UnknownKey,
            entry.key_at,
            format!("there is no key `{}` here", excerpt(key)),
            Some(hint),
        );
    }

    /// Decodes what stands under a key, if anything does. `null` is nothing.
    pub(crate) fn entry<T: Decode>(&mut self, entry: &Entry) -> T {
        let owner = std::mem::replace(&mut self.owner, entry.key_at);
        self.path.push(Step::Key(entry.key.clone()));
        let value = T::decode(&entry.node, self);
        self.path.pop();
        self.owner = owner;
        value
    }

    pub(crate) fn required<T: Decode>(&mut self, node: &Node, key: &'static str) -> T {
        if let Some(entry) = present(node, key) {
            return self.entry(entry);
        }
        if !self.misspelled.contains(&self.path.key(key)) {
            let at = node.get(key).map_or(self.owner, |entry| entry.key_at);
            let hint = Some("It has no default.".to_owned());
            self.error_below(Some(key), Code::MissingKey, at, format!("the key `{key}` is missing"), hint);
        }
        T::placeholder()
    }

    pub(crate) fn optional<T: Decode>(&mut self, node: &Node, key: &'static str, default: T) -> T {
        present(node, key).map_or(default, |entry| self.entry(entry))
    }

    pub(crate) fn bounded<T>(
        &mut self,
        node: &Node,
        key: &'static str,
        default: T,
        range: &RangeInclusive<T>,
    ) -> T
    where
        T: Decode + PartialOrd + Display,
    {
        let Some(entry) = present(node, key) else { return default };
        let value: T = self.entry(entry);
        if !range.contains(&value) && !self.is_broken(&self.path.key(key), usize::MAX) {
            let message = format!("`{key}` must be between {} and {}", range.start(), range.end());
            let hint = Some(format!("The default is {default}."));
            self.error_below(Some(key), Code::BadValue, entry.node.at, message, hint);
        }
        value
    }

    /// The scalar of a node, of whatever type.
    pub(crate) fn scalar<'n>(
        &mut self,
        node: &'n Node,
        expected: &str,
        hint: Option<String>,
    ) -> Option<&'n Scalar> {
        match &node.kind {
            Kind::Scalar(scalar) => Some(scalar),
            _ => {
                self.wrong_type(node, expected, hint);
                None
            }
        }
    }
}

fn present<'n>(node: &'n Node, key: &str) -> Option<&'n Entry> {
    node.get(key).filter(|entry| entry.node.kind != Kind::Null)
}

pub(crate) fn listed<S: Display>(words: &[S]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

impl Decode for String {
    fn decode(node: &Node, cx: &mut Context) -> Self {
        match cx.scalar(node, "text", None) {
            Some(scalar) if scalar.is_text() => scalar.text.clone(),
            Some(scalar) => {
                cx.wrong_type(node, "text", Some(format!("Quote it: \"{}\".", scalar.shown())));
                Self::placeholder()
            }
            None => Self::placeholder(),
        }
    }

    fn placeholder() -> Self {
        Self::new()
    }
}

/// A bare word that Rust reads as this: a number, or `true` and `false`.
fn bare<T: std::str::FromStr>(node: &Node, cx: &mut Context, expected: &str) -> Option<T> {
    let scalar = cx.scalar(node, expected, None)?;
    let value = if scalar.is_bare() { scalar.text.parse().ok() } else { None };
    if value.is_none() {
        let message = format!("this must be {expected}, and is `{}`", scalar.shown());
        let unquoted = !scalar.plain && scalar.text.parse::<T>().is_ok();
        cx.error(Code::WrongType, node.at, message, unquoted.then(|| "Remove the quotes.".to_owned()));
    }
    value
}

impl Decode for u32 {
    fn decode(node: &Node, cx: &mut Context) -> Self {
        bare(node, cx, "a whole number").unwrap_or_else(Self::placeholder)
    }

    fn placeholder() -> Self {
        1
    }
}

impl Decode for bool {
    fn decode(node: &Node, cx: &mut Context) -> Self {
        bare(node, cx, "`true` or `false`").unwrap_or_else(Self::placeholder)
    }

    fn placeholder() -> Self {
        false
    }
}

impl Decode for f64 {
    fn decode(node: &Node, cx: &mut Context) -> Self {
        match bare(node, cx, "a number") {
            Some(number) if Self::is_finite(number) => number,
            Some(_) => {
                cx.error(Code::BadValue, node.at, "this must be a finite number", None);
                Self::placeholder()
            }
            None => Self::placeholder(),
        }
    }

    fn placeholder() -> Self {
        0.0
    }
}

impl<T: Decode> Decode for Option<T> {
    fn decode(node: &Node, cx: &mut Context) -> Self {
        Some(T::decode(node, cx))
    }

    fn placeholder() -> Self {
        None
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(node: &Node, cx: &mut Context) -> Self {
        let Kind::List(items) = &node.kind else {
            let hint = match &node.kind {
                Kind::Scalar(scalar) => Some(format!("Write [{}].", scalar.shown())),
                _ => None,
            };
            cx.wrong_type(node, "a list", hint);
            return Self::new();
        };
        let item = |(index, item): (usize, &Node)| {
            cx.path.push(Step::Index(index));
            let value = T::decode(item, cx);
            cx.path.pop();
            value
        };
        items.iter().enumerate().map(item).collect()
    }

    fn placeholder() -> Self {
        Self::new()
    }
}

/// A map of names that the operator chooses.
impl<T: Decode> Decode for BTreeMap<String, T> {
    fn decode(node: &Node, cx: &mut Context) -> Self {
        if !matches!(node.kind, Kind::Map(_)) {
            cx.wrong_type(node, "a map", None);
            return Self::new();
        }
        let mut map = Self::new();
        for entry in node.entries() {
            let value = if entry.node.kind == Kind::Null {
                let hint = "Write {} for all defaults; `null` removes what an earlier file sets.".to_owned();
                let message = format!("`{}` is empty", excerpt(&entry.key));
                cx.error_below(Some(&entry.key), Code::MissingKey, entry.key_at, message, Some(hint));
                T::placeholder()
            } else {
                cx.entry(entry)
            };
            map.insert(entry.key.clone(), value);
        }
        map
    }

    fn placeholder() -> Self {
        Self::new()
    }
}
