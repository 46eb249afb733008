//! From files to a valid [`Config`], or to everything that is wrong with them.

use std::fs::File;
use std::io::Read;
use std::path::{Path as FilePath, PathBuf};

use crate::compose::compose;
use crate::decode::{Context, Decode};
use crate::environment;
use crate::error::{Code, Draft, Errors, Warning};
use crate::interpolate::{self, Env};
use crate::merge::overlay;
use crate::merged::Merged;
use crate::node::{Kind, Node};
use crate::path::{Path, Step};
use crate::source::{At, Source};
use crate::tree::Config;
use crate::validate;

/// Largest file taken.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A valid configuration, and what is worth telling about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub config: Config,
    /// Everything that is in force, with where it is written; it prints as YAML.
    pub merged: Merged,
    pub warnings: Vec<Warning>,
    root: Node,
    sources: Vec<Source>,
}

impl Loaded {
    /// What somebody else finds wrong with values that are well-formed, a path and a sentence each (a driver knows which
    /// properties its broker has), told as the configuration's own errors are: with their place. `None` for nothing.
    pub fn errors(&self, found: impl IntoIterator<Item = (Path, String)>) -> Option<Errors> {
        let draft = |(path, message)| Draft {
            code: Code::BadValue,
            at: Some(self.root.locate_key(&path)),
            path,
            message,
            hint: None,
        };
        let drafts: Vec<Draft> = found.into_iter().map(draft).collect();
        (!drafts.is_empty()).then(|| Errors::new(drafts, &self.sources))
    }

    /// Adds what somebody else finds odd but legal to the [`warnings`](Self::warnings), a path and a sentence each.
    pub fn warn(&mut self, found: impl IntoIterator<Item = (Path, String)>) {
        let located = |(path, message)| validate::Odd { path, message }.located(&self.root, &self.sources);
        self.warnings.extend(found.into_iter().map(located));
    }
}

/// Reads, merges and validates configuration files; later ones win. `env` looks environment variables up.
pub fn load(files: &[PathBuf], env: Env<'_>) -> Result<Loaded, Errors> {
    let mut sources = Vec::with_capacity(files.len());
    let mut errors = Vec::new();
    for file in files {
        match read(file) {
            Ok(text) => sources.push(Source { name: file.display().to_string(), text }),
            Err(reason) => errors.push(unreadable(format!("{}: {reason}", file.display()))),
        }
    }
    if files.is_empty() {
        errors.push(unreadable("no configuration file is named".to_owned()));
    }
    if errors.is_empty() { parse(&sources, env) } else { Err(Errors::new(errors, &sources)) }
}

/// Like [`load`], with files that were read already.
pub fn parse(sources: &[Source], env: Env<'_>) -> Result<Loaded, Errors> {
    let mut errors = Vec::new();
    let Some(mut root) = compose_all(sources, &mut errors) else { return Err(Errors::new(errors, sources)) };
    interpolate::interpolate(&mut root, env, &mut errors);

    let mut cx = Context::new(START, errors);
    let mut config = Config::decode(&root, &mut cx);
    let from_environment = environment::complete(&mut config, env);
    let warnings = validate::validate(&config, &root, &mut cx);
    if !cx.errors.is_empty() {
        return Err(Errors::new(cx.errors, sources));
    }
    secrets(&root, &mut Path::default(), &mut config);
    let warnings = warnings.into_iter().map(|warning| warning.located(&root, sources)).collect();
    let merged = Merged::new(&config, &root, sources, &from_environment);
    Ok(Loaded { config, merged, warnings, root, sources: sources.to_vec() })
}

const START: At = At { file: 0, line: 1, column: 1, width: 0 };

/// All files as one tree. `None` where one is no YAML: what else is wrong with it cannot be known then.
fn compose_all(sources: &[Source], errors: &mut Vec<Draft>) -> Option<Node> {
    let composed: Vec<Option<Node>> =
        sources.iter().enumerate().map(|(file, source)| compose(file, &source.text, errors)).collect();
    let composed: Option<Vec<Node>> = composed.into_iter().collect();
    composed?.into_iter().reduce(overlay)
}

/// Remembers which values came from the environment or a file.
fn secrets(node: &Node, path: &mut Path, config: &mut Config) {
    match &node.kind {
        Kind::Null => {}
        Kind::Scalar(scalar) => {
            if scalar.is_secret() {
                config.secrets.insert(path.clone());
            }
        }
        Kind::List(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push(Step::Index(index));
                secrets(item, path, config);
                path.pop();
            }
        }
        Kind::Map(entries) => {
            for entry in entries {
                path.push(Step::Key(entry.key.clone()));
                secrets(&entry.node, path, config);
                path.pop();
            }
        }
    }
}

fn read(file: &FilePath) -> Result<String, String> {
    let mut bytes = Vec::new();
    let opened = File::open(file).map_err(|error| error.to_string())?;
    opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err("it is larger than 1 MiB".to_owned());
    }
    String::from_utf8(bytes)
        .map_err(|error| format!("byte {} is not UTF-8", error.utf8_error().valid_up_to()))
}

fn unreadable(message: String) -> Draft {
    Draft { code: Code::Unreadable, at: None, path: Path::default(), message, hint: None }
}
