//! What is wrong with a configuration, framed at the line that says it.

use std::fmt;

use crate::path::Path;
use crate::source::{At, Place, Source};

/// The kind of an error: a stable code with a page in `docs/errors/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    Unreadable,
    Syntax,
    UnknownKey,
    MissingKey,
    DuplicateKey,
    WrongType,
    BadValue,
    BadName,
    Reserved,
    Interpolation,
    UnknownReference,
    Conflict,
}

impl Code {
    pub const ALL: [Self; 12] = [
        Self::Unreadable,
        Self::Syntax,
        Self::UnknownKey,
        Self::MissingKey,
        Self::DuplicateKey,
        Self::WrongType,
        Self::BadValue,
        Self::BadName,
        Self::Reserved,
        Self::Interpolation,
        Self::UnknownReference,
        Self::Conflict,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "config_unreadable",
            Self::Syntax => "config_syntax",
            Self::UnknownKey => "config_unknown_key",
            Self::MissingKey => "config_missing_key",
            Self::DuplicateKey => "config_duplicate_key",
            Self::WrongType => "config_wrong_type",
            Self::BadValue => "config_bad_value",
            Self::BadName => "config_bad_name",
            Self::Reserved => "config_reserved",
            Self::Interpolation => "config_interpolation",
            Self::UnknownReference => "config_unknown_reference",
            Self::Conflict => "config_conflict",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One error, with everything that is known about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    pub code: Code,
    /// Where it is written. `None` where no file could be read.
    pub place: Option<Place>,
    pub path: Path,
    /// One sentence: what is wrong.
    pub message: String,
    /// One sentence: what to do.
    pub hint: Option<String>,
    frame: Option<Frame>,
}

/// Odd but legal: told, and then obeyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Where the value is written. `None` for a default.
    pub place: Option<Place>,
    pub path: Path,
    pub message: String,
}

/// Everything that is wrong with a configuration, in the order of the files. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors {
    pub list: Vec<Error>,
}

/// The line that an error is about, as shown.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Frame {
    text: String,
    /// Characters before the mark, and under it.
    indent: usize,
    width: usize,
}

/// An error before it is framed.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) code: Code,
    pub(crate) at: Option<At>,
    pub(crate) path: Path,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// Most errors printed; a file that is garbage throughout says so without flooding the terminal.
const PRINTED_MAX: usize = 100;

/// Widest excerpt of a line, in characters.
const EXCERPT_MAX: usize = 120;

impl Errors {
    pub(crate) fn new(mut drafts: Vec<Draft>, sources: &[Source]) -> Self {
        drafts.sort_by(|a, b| (a.at, &a.path, a.code).cmp(&(b.at, &b.path, b.code)));
        // What stands behind an anchor is met once for each of its aliases, and told once.
        drafts.dedup_by(|b, a| a.at == b.at && a.code == b.code && a.message == b.message);
        Self { list: drafts.into_iter().map(|draft| draft.framed(sources)).collect() }
    }
}

impl Draft {
    pub(crate) fn framed(self, sources: &[Source]) -> Error {
        Error {
            code: self.code,
            place: self.at.map(|at| at.place(sources)),
            path: self.path,
            message: self.message,
            hint: self.hint,
            frame: self.at.and_then(|at| Frame::new(at, sources)),
        }
    }
}

impl Frame {
    fn new(at: At, sources: &[Source]) -> Option<Self> {
        let line = sources.get(at.file)?.text.lines().nth(at.line.checked_sub(1)?)?;
        let before = at.column.saturating_sub(1);
        // A long line is cut so that the mark stays in sight.
        let skipped = before.saturating_sub(EXCERPT_MAX / 2);
        let text: String = line
            .chars()
            .skip(skipped)
            .take(EXCERPT_MAX)
            .map(|character| if character.is_control() { ' ' } else { character })
            .collect();
        let indent = (before - skipped).min(EXCERPT_MAX);
        let width = at.width.clamp(1, (EXCERPT_MAX - indent).max(1));
        Some(Self { text: text.trim_end().to_owned(), indent, width })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error[{}]: {}", self.code, self.message)?;
        let line = self.place.as_ref().map_or_else(String::new, |place| place.line.to_string());
        let gutter = " ".repeat(line.len());
        if let Some(place) = &self.place {
            write!(f, "\n{gutter}--> {place}")?;
        }
        if let Some(frame) = &self.frame {
            write!(f, "\n{gutter} |\n{line} | {}\n{gutter} | ", frame.text)?;
            write!(f, "{}{}", " ".repeat(frame.indent), "^".repeat(frame.width))?;
            if !self.path.steps().is_empty() {
                write!(f, " {}", self.path)?;
            }
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n{gutter} = {hint}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for error in self.list.iter().take(PRINTED_MAX) {
            write!(f, "{error}\n\n")?;
        }
        match self.list.len() {
            1 => f.write_str("1 error in the configuration"),
            count if count > PRINTED_MAX => {
                write!(f, "{count} errors in the configuration, {PRINTED_MAX} of them shown")
            }
            count => write!(f, "{count} errors in the configuration"),
        }
    }
}

impl std::error::Error for Error {}
impl std::error::Error for Errors {}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "{}: {}", self.path, self.message)
    }
}
