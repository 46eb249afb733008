//! The configuration's files, and places in them.

use std::fmt;

/// A file's name and text, as read.
#[derive(Clone, Debug)]
pub struct Source {
    pub name: String,
    pub text: String,
}

/// A place in one of the files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct At {
    /// Index into the sources.
    pub(crate) file: usize,
    /// From 1.
    pub(crate) line: usize,
    /// In characters, from 1.
    pub(crate) column: usize,
    /// In characters, on that line; 0 where nothing is written there.
    pub(crate) width: usize,
}

/// A place that can be told to people: `config.yaml:12:5`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub file: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl At {
    pub(crate) fn place(self, sources: &[Source]) -> Place {
        let file = sources.get(self.file).map_or_else(String::new, |source| source.name.clone());
        Place { file, line: self.line, column: self.column }
    }
}
