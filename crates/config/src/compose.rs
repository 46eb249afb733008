//! One YAML file as a tree of nodes: anchors and merge keys resolved, `x-…` keys left out, duplicates reported.
//!
//! The parser's events are composed here, and not by a deserializer, because a deserializer stops at its first error,
//! while an operator wants to hear of all of them at once.

use std::collections::HashMap;

use granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, Span, StrInput};

use crate::error::{Code, Draft};
use crate::node::{Entry, Kind, Node, Scalar, excerpt};
use crate::path::{Path, Step};
use crate::source::At;

/// Deepest nesting taken; the configuration itself needs seven levels.
const DEPTH_MAX: usize = 64;

/// Most nodes taken, repeated ones included: a few aliases of aliases would otherwise fill the memory.
const NODES_MAX: usize = 100_000;

/// Composes a file. An empty file is an empty map; `None` where the text is no YAML, which is then among the errors.
pub(crate) fn compose(file: usize, text: &str, errors: &mut Vec<Draft>) -> Option<Node> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    options.emit_unresolved_aliases = true;
    let parser = Parser::new_from_str_with_options(text, options);
    let mut composer =
        Composer { parser, file, errors, anchors: HashMap::new(), nodes: 0, path: Path::default() };
    composer.file().ok()
}

struct Composer<'a> {
    parser: Parser<'a, StrInput<'a>>,
    file: usize,
    errors: &'a mut Vec<Draft>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    path: Path,
}

/// Nothing more can be read from the file; the reason is among the errors.
struct Unreadable;

impl<'a> Composer<'a> {
    fn file(&mut self) -> Result<Node, Unreadable> {
        let start = At { file: self.file, line: 1, column: 1, width: 0 };
        let mut root = None;
        while let Some((event, span)) = self.next()? {
            match event {
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                Event::StreamEnd => break,
                _ if root.is_some() => {
                    let at = self.at(span);
                    self.error(
                        Code::Syntax,
                        at,
                        "a second document",
                        Some("Give each document a file of its own."),
                    );
                    return Err(Unreadable);
                }
                event => root = Some(self.node(event, span, 0)?),
            }
        }
        Ok(match root {
            Some(Node { kind: Kind::Null, .. }) | None => Node { at: start, kind: Kind::Map(Vec::new()) },
            Some(root) => root,
        })
    }

    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Unreadable> {
        match self.parser.next_event() {
            None => Ok(None),
            Some(Ok(next)) => Ok(Some(next)),
            Some(Err(error)) => {
                self.syntax(&error);
                Err(Unreadable)
            }
        }
    }

    /// The node that begins with this event.
    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Unreadable> {
        let at = self.at(span);
        if depth > DEPTH_MAX {
            self.error(Code::Syntax, at, "nested too deeply", None);
            return Err(Unreadable);
        }
        if event.tag().is_some() {
            let at = span.tag_span().map_or(at, |span| self.at(span));
            self.error(Code::Syntax, at, "YAML tags mean nothing here", Some("Remove the tag."));
        }
        let anchor = event.anchor_id();
        let kind = match event {
            Event::Scalar(text, style, _, _) => scalar(text.into_owned(), style),
            Event::SequenceStart(..) => Kind::List(self.list(depth)?),
            Event::MappingStart(..) => Kind::Map(self.map(depth)?),
            Event::Alias(id) => return self.alias(id, at, depth),
            Event::UnresolvedAlias(name) => {
                let message = format!("no anchor `&{}` stands above", excerpt(&name));
                self.error(Code::Syntax, at, message, None);
                Kind::Null
            }
            _ => Kind::Null,
        };
        self.spend(1, at)?;
        let node = Node { at, kind };
        if let Some(id) = anchor {
            self.anchors.insert(id, node.clone());
        }
        Ok(node)
    }

    fn alias(&mut self, id: usize, at: At, depth: usize) -> Result<Node, Unreadable> {
        let Some(node) = self.anchors.get(&id).cloned() else {
            self.error(Code::Syntax, at, "an alias inside of what it stands for", None);
            return Ok(Node { at, kind: Kind::Null });
        };
        self.spend(node.count(), at)?;
        if depth + node.height() > DEPTH_MAX {
            self.error(Code::Syntax, at, "nested too deeply, with what the alias stands for", None);
            return Err(Unreadable);
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, Unreadable> {
        let mut items = Vec::new();
        while let Some((event, span)) = self.next()? {
            if matches!(event, Event::SequenceEnd) {
                break;
            }
            self.path.push(Step::Index(items.len()));
            items.push(self.node(event, span, depth + 1)?);
            self.path.pop();
        }
        Ok(items)
    }

    fn map(&mut self, depth: usize) -> Result<Vec<Entry>, Unreadable> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen: HashMap<String, usize> = HashMap::new();
        let mut merges = Vec::new();
        while let Some((event, span)) = self.next()? {
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let key_at = self.at(span);
            let merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<");
            let key = match self.node(event, span, depth + 1)?.kind {
                Kind::Scalar(Scalar { text, .. }) => text,
                Kind::Null | Kind::List(_) | Kind::Map(_) => {
                    self.error(Code::Syntax, key_at, "a key must be text", Some("Quote it."));
                    String::new()
                }
            };
            let Some((event, span)) = self.next()? else { break };
            self.path.push(Step::Key(key.clone()));
            let mut node = self.node(event, span, depth + 1)?;
            if let Some(first) = seen.insert(key.clone(), key_at.line) {
                let message = format!("`{}` is set twice; first on line {first}", excerpt(&key));
                self.error(Code::DuplicateKey, key_at, message, Some("Keep one of the two."));
            } else if merge {
                merges.push((node, key_at));
            } else if !key.starts_with("x-") {
                if node.kind == Kind::Null {
                    // Where nothing is written, the parser's position is that of whatever follows.
                    node.at = key_at;
                }
                entries.push(Entry { key, key_at, node });
            }
            self.path.pop();
        }
        for (node, at) in merges {
            self.merge(&mut entries, node, at);
        }
        Ok(entries)
    }

    /// YAML's merge key: what is written beside it wins, then the first map of its list.
    fn merge(&mut self, entries: &mut Vec<Entry>, node: Node, at: At) {
        match node.kind {
            Kind::Map(merged) => {
                for entry in merged {
                    if !entries.iter().any(|present| present.key == entry.key) {
                        entries.push(entry);
                    }
                }
            }
            Kind::List(items) if items.iter().all(|item| matches!(item.kind, Kind::Map(_))) => {
                for item in items {
                    self.merge(entries, item, at);
                }
            }
            _ => self.error(
                Code::WrongType,
                at,
                format!("`<<` takes a map or a list of maps, not {}", node.noun()),
                Some("Point it at an anchor: `<<: *name`."),
            ),
        }
    }

    fn spend(&mut self, nodes: usize, at: At) -> Result<(), Unreadable> {
        self.nodes += nodes;
        if self.nodes > NODES_MAX {
            self.error(Code::Syntax, at, "more than 100,000 values, aliases counted", None);
            return Err(Unreadable);
        }
        Ok(())
    }

    fn at(&self, span: Span) -> At {
        let one_line = span.start.line() == span.end.line();
        let width = if one_line { span.end.col().saturating_sub(span.start.col()) } else { 1 };
        At { file: self.file, line: span.start.line(), column: span.start.col() + 1, width }
    }

    fn syntax(&mut self, error: &ScanError) {
        let mark = error.marker();
        let at = At { file: self.file, line: mark.line(), column: mark.col() + 1, width: 1 };
        let message = format!("this is no YAML: {}", error.kind());
        self.error(Code::Syntax, at, message, None);
    }

    fn error(&mut self, code: Code, at: At, message: impl Into<String>, hint: Option<&str>) {
        self.errors.push(Draft {
            code,
            at: Some(at),
            path: self.path.clone(),
            message: message.into(),
            hint: hint.map(str::to_owned),
        });
    }
}

fn scalar(text: String, style: ScalarStyle) -> Kind {
    let plain = style == ScalarStyle::Plain;
    if plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL") {
        return Kind::Null;
    }
    Kind::Scalar(Scalar { text, plain, written: None })
}
