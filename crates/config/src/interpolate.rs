//! `${env:NAME}`, `${env:NAME:-default}`, `${file:PATH}` and `$$`, in texts only, after parsing and merging: a value from
//! outside can therefore never change the structure of the configuration.

use std::fs::File;
use std::io::Read;

use crate::error::{Code, Draft};
use crate::node::{Kind, Node, Scalar, excerpt};
use crate::path::{Path, Step};
use crate::source::At;

/// Largest file taken in for `${file:…}`.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// The process's environment, or a test's.
pub(crate) type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Replaces references throughout the tree. What cannot be resolved is reported and stays as it is written.
pub(crate) fn interpolate(node: &mut Node, env: Env<'_>, errors: &mut Vec<Draft>) {
    walk(node, &mut Path::default(), env, errors);
}

fn walk(node: &mut Node, path: &mut Path, env: Env<'_>, errors: &mut Vec<Draft>) {
    let at = node.at;
    match &mut node.kind {
        Kind::Null => {}
        Kind::Scalar(scalar) => leaf(scalar, at, path, env, errors),
        Kind::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                path.push(Step::Index(index));
                walk(item, path, env, errors);
                path.pop();
            }
        }
        Kind::Map(entries) => {
            for entry in entries {
                path.push(Step::Key(entry.key.clone()));
                walk(&mut entry.node, path, env, errors);
                path.pop();
            }
        }
    }
}

fn leaf(scalar: &mut Scalar, at: At, path: &Path, env: Env<'_>, errors: &mut Vec<Draft>) {
    if !scalar.text.contains('$') {
        return;
    }
    match resolve(&scalar.text, env) {
        Ok(Resolved { text, outside }) => {
            let written = std::mem::replace(&mut scalar.text, text);
            scalar.written = outside.then_some(written);
        }
        Err(Wrong { message, hint }) => {
            errors.push(Draft {
                code: Code::Interpolation,
                at: Some(at),
                path: path.clone(),
                message,
                hint: Some(hint),
            });
            // Nothing is known of the value: it counts as one from outside, so that nobody judges what is written.
            scalar.written = Some(scalar.text.clone());
        }
    }
}

struct Resolved {
    text: String,
    /// A part of it came from outside the files.
    outside: bool,
}

struct Wrong {
    message: String,
    hint: String,
}

fn resolve(text: &str, env: Env<'_>) -> Result<Resolved, Wrong> {
    let mut resolved = Resolved { text: String::with_capacity(text.len()), outside: false };
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        resolved.text.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            resolved.text.push('$');
            rest = after;
        } else if let Some(after) = after.strip_prefix('{') {
            let (reference, after) = after.split_once('}').ok_or_else(|| Wrong {
                message: "`${` without its `}`".to_owned(),
                hint: "Write `$$` for a dollar sign.".to_owned(),
            })?;
            resolved.text.push_str(&value(reference, env)?);
            resolved.outside = true;
            rest = after;
        } else {
            resolved.text.push('$');
            rest = after;
        }
    }
    resolved.text.push_str(rest);
    Ok(resolved)
}

/// The references in what is written, as they may be shown: a default may be as secret as the value.
pub(crate) fn references(written: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = written;
    while let Some((_, after)) = rest.split_once('$') {
        rest = after.strip_prefix('$').unwrap_or(after);
        let Some((reference, after)) = after.strip_prefix('{').and_then(|after| after.split_once('}')) else {
            continue;
        };
        let shown =
            reference.split_once(":-").map_or_else(|| reference.to_owned(), |(name, _)| format!("{name}:-…"));
        found.push(format!("${{{}}}", excerpt(&shown)));
        rest = after;
    }
    found
}

fn value(reference: &str, env: Env<'_>) -> Result<String, Wrong> {
    match reference.split_once(':') {
        Some(("env", name)) => variable(name, env),
        Some(("file", path)) if !path.is_empty() => file(path),
        _ => Err(Wrong {
            message: format!("`${{{}}}` is no reference", excerpt(reference)),
            hint:
                "Write `${env:NAME}`, `${env:NAME:-default}` or `${file:PATH}`, and `$$` for a dollar sign."
                    .to_owned(),
        }),
    }
}

/// As in a shell, the default of `:-` stands in for an empty variable, too.
fn variable(reference: &str, env: Env<'_>) -> Result<String, Wrong> {
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || !name.bytes().all(plain) {
        return Err(Wrong {
            message: format!("`{}` is no name of an environment variable", excerpt(name)),
            hint: "Write `${env:NAME}` or `${env:NAME:-default}`.".to_owned(),
        });
    }
    match (env(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(Wrong {
            message: format!("the environment variable `{name}` is not set"),
            hint: format!("Set it, or give a default: `${{env:{name}:-default}}`."),
        }),
    }
}

/// One newline at the end is an editor's, not the secret's.
fn file(path: &str) -> Result<String, Wrong> {
    let wrong = |reason: String| Wrong {
        message: format!("the file `{}` cannot be read: {reason}", excerpt(path)),
        hint: "The path is taken from the working directory.".to_owned(),
    };
    let mut text = String::new();
    let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
    let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
    read.map_err(|error| wrong(error.to_string()))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(wrong("it is larger than 64 KiB".to_owned()));
    }
    let line = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    Ok(line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::resolve;

    fn env(name: &str) -> Option<String> {
        match name {
            "HOST" => Some("kafka".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    fn text(written: &str) -> (String, bool) {
        let resolved = resolve(written, &env).unwrap_or_else(|wrong| panic!("{}", wrong.message));
        (resolved.text, resolved.outside)
    }

    #[test]
    fn references_are_replaced_and_dollars_escaped() {
        assert_eq!(text("${env:HOST}:9093"), ("kafka:9093".to_owned(), true));
        assert_eq!(text("${env:NONE:-dev}."), ("dev.".to_owned(), true));
        assert_eq!(text("${env:EMPTY:-dev}"), ("dev".to_owned(), true), "an empty variable counts as unset");
        assert_eq!(text("${env:EMPTY}"), (String::new(), true));
        assert_eq!(text("$$5 and $6, $"), ("$5 and $6, $".to_owned(), false));
        assert_eq!(text("$${env:HOST}"), ("${env:HOST}".to_owned(), false));
    }

    #[test]
    fn references_are_told_without_their_defaults() {
        let of = super::references;
        assert_eq!(of("${env:HOST}:${env:PORT:-9093}"), ["${env:HOST}", "${env:PORT:-…}"]);
        assert_eq!(of("${file:/run/secrets/kafka}"), ["${file:/run/secrets/kafka}"]);
        assert_eq!(of("$${env:HOST}, $5 and $"), Vec::<String>::new());
    }

    #[test]
    fn what_cannot_be_resolved_is_an_error() {
        for written in
            ["${env:NONE}", "${HOST}", "${env:}", "${env:A B}", "${file:}", "${file:/no/such}", "${env:HOST"]
        {
            assert!(resolve(written, &env).is_err(), "{written} resolved");
        }
    }

    #[test]
    fn a_file_loses_one_newline() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, b"secret\n\n").unwrap();
        assert_eq!(text(&format!("${{file:{}}}", file.path().display())), ("secret\n".to_owned(), true));
    }
}
