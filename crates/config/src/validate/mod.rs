//! What no value shows by itself: references, conflicts, names on brokers. Pure, and everything at once.

mod brokers;
mod listeners;
mod subscriptions;
mod topics;

use std::fmt::Display;

use crate::decode::{Context, listed};
use crate::error::{Code, Draft, Warning};
use crate::names;
use crate::node::{Kind, Node, excerpt};
use crate::path::Path;
use crate::source::{At, Source};
use crate::suggest;
use crate::tree::Config;
use crate::units::Duration;

/// Adds what is wrong with the tree to the context's errors, and gives what is odd but legal.
pub(crate) fn validate(config: &Config, root: &Node, cx: &mut Context) -> Vec<Odd> {
    let known = cx.errors.len();
    let mut check = Check { config, root, cx, known, odd: Vec::new() };
    check.name(&Path::of(&["service"]), &config.service, names::name);
    check.name(&Path::of(&["names", "prefix"]), &config.names.prefix, names::prefix);
    brokers::check(&mut check);
    topics::check(&mut check);
    subscriptions::check(&mut check);
    listeners::check(&mut check);
    check.odd
}

/// A warning before it is located.
#[derive(Debug)]
pub(crate) struct Odd {
    pub(crate) path: Path,
    pub(crate) message: String,
}

impl Odd {
    pub(crate) fn located(self, root: &Node, sources: &[Source]) -> Warning {
        let place = root.find(&self.path).map(|_| root.locate(&self.path).place(sources));
        Warning { place, path: self.path, message: self.message }
    }
}

struct Check<'a> {
    config: &'a Config,
    root: &'a Node,
    cx: &'a mut Context,
    /// Errors that decoding found: what they are about is a placeholder here.
    known: usize,
    odd: Vec<Odd>,
}

impl Check<'_> {
    /// Reports an error, unless the value is a placeholder or was reported already.
    fn error(&mut self, code: Code, path: &Path, message: impl Into<String>, hint: impl Into<String>) {
        let at = self.root.locate(path);
        self.error_at(at, code, path, message, hint);
    }

    fn error_at(
        &mut self,
        at: At,
        code: Code,
        path: &Path,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let reported =
            self.cx.errors.iter().skip(self.known).any(|error| error.path == *path && error.code == code);
        if reported || self.is_placeholder(path) {
            return;
        }
        let hint = Some(hint.into()).filter(|hint| !hint.is_empty());
        self.cx.errors.push(Draft { code, at: Some(at), path: path.clone(), message: message.into(), hint });
    }

    fn warn(&mut self, path: &Path, message: impl Into<String>) {
        self.odd.push(Odd { path: path.clone(), message: message.into() });
    }

    /// True where the value could not be read, or what it stands in.
    fn is_placeholder(&self, path: &Path) -> bool {
        self.cx.is_broken(path, self.known)
    }

    /// True where anything was found wrong with the value, so far.
    fn has_error(&self, path: &Path) -> bool {
        self.cx.is_broken(path, usize::MAX)
    }

    /// The value at a path as it may be shown: not if it came from outside the files.
    fn shown(&self, path: &Path, value: impl Display) -> String {
        match self.root.find(path).map(|node| &node.kind) {
            Some(Kind::Scalar(scalar)) if scalar.is_secret() => scalar.shown(),
            _ => excerpt(&value.to_string()),
        }
    }

    fn is_written(&self, path: &Path) -> bool {
        self.root.find(path).is_some()
    }

    /// Reports two keys of a table of which the first is longer than the second, at the first that is written; not where
    /// one of them could not be read, as nothing is known then.
    fn not_longer(
        &mut self,
        table: &Path,
        [(short, least), (long, most)]: [(&str, Duration); 2],
        hint: &str,
    ) {
        let paths = [short, long].map(|key| table.key(key));
        if least <= most || paths.iter().any(|path| self.has_error(path)) {
            return;
        }
        if let Some(path) = paths.iter().find(|path| self.is_written(path)) {
            let message = format!("`{short}` must not be longer than `{long}`");
            self.error(Code::Conflict, path, message, hint);
        }
    }

    fn name(&mut self, path: &Path, name: &str, grammar: fn(&str) -> Result<(), String>) {
        if let Err(reason) = grammar(name) {
            let message = format!("`{}` is no name: {reason}", self.shown(path, name));
            self.error(Code::BadName, path, message, "");
        }
    }

    /// Reports a name that is none of those that `map` (a key of the root) configures. The name is the value at the
    /// path, or the last key of the path itself.
    fn reference<'n>(
        &mut self,
        path: &Path,
        what: &str,
        name: &str,
        map: &str,
        known: impl Iterator<Item = &'n String>,
    ) {
        let known: Vec<&str> = known.map(String::as_str).collect();
        if known.contains(&name) || self.is_placeholder(&Path::of(&[map])) {
            return;
        }
        let hint = match suggest::nearest(name, known.iter().copied()) {
            Some(meant) => format!("Did you mean `{meant}`?"),
            None if known.is_empty() => format!("There is none: add one below `{map}`."),
            None => format!("Known: {}.", listed(&known)),
        };
        let value =
            matches!(self.root.find(path).map(|node| &node.kind), Some(Kind::Scalar(s)) if s.text == name);
        let (at, name) = if value {
            (self.root.locate(path), self.shown(path, name))
        } else {
            (self.root.locate_key(path), excerpt(name))
        };
        self.error_at(at, Code::UnknownReference, path, format!("no {what} `{name}` is configured"), hint);
    }
}
