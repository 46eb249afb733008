//! The JSON Schema: what an editor completes and checks while the operator types. The loader is stricter, because it
//! also sees references between values.

use std::fmt::Display;
use std::ops::RangeInclusive;

use schemars::generate::SchemaSettings;
use schemars::{Schema, json_schema};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::text::Text;
use crate::tree::Config;

/// Text that stands for something outside the file, which the schema cannot judge.
pub(crate) const REFERENCE: &str = r"\$\{(?:env|file):";

/// The schema of a configuration file, as JSON with a newline at the end. Draft 7, which editors know best.
pub fn schema() -> String {
    let mut schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<Config>();
    schema.insert("title".to_owned(), json!("Postrider's configuration"));
    let mut text = serde_json::to_string_pretty(&schema).expect("a JSON value serialises");
    text.push('\n');
    text
}

/// The schema of a `table!` in the making.
#[derive(Debug)]
pub(crate) struct Table {
    description: String,
    properties: Map<String, Value>,
    required: Vec<Value>,
}

/// One key of a table.
#[derive(Debug)]
pub(crate) struct Field {
    name: &'static str,
    schema: Schema,
    required: bool,
}

impl Table {
    pub(crate) fn new(docs: &[&str]) -> Self {
        Self { description: paragraph(docs), properties: Map::new(), required: Vec::new() }
    }

    pub(crate) fn add(&mut self, field: Field) {
        if field.required {
            self.required.push(field.name.into());
        }
        self.properties.insert(field.name.to_owned(), field.schema.to_value());
    }

    pub(crate) fn finish(self) -> Schema {
        let mut schema = json_schema!({
            "type": "object",
            "description": self.description,
            "properties": self.properties,
            "patternProperties": { "^x-": true },
            "additionalProperties": false,
        });
        if !self.required.is_empty() {
            schema.insert("required".to_owned(), self.required.into());
        }
        schema
    }
}

impl Field {
    pub(crate) fn new(name: &'static str, docs: &[&str], mut schema: Schema) -> Self {
        let object = schema.ensure_object();
        object.insert("description".to_owned(), paragraph(docs).into());
        if object.contains_key("additionalProperties") {
            let patterns = object.entry("patternProperties").or_insert_with(|| json!({}));
            if let Value::Object(patterns) = patterns {
                // The one map whose keys are numbers is that of answers, by their status.
                if let Some(answer) = patterns.remove(r"^\d+$") {
                    patterns.insert("^[2-5][0-9]{2}$".to_owned(), answer);
                }
                patterns.insert("^x-".to_owned(), true.into());
            }
        }
        if let Some(types) = object.get("type").and_then(number_or_reference) {
            object.insert("type".to_owned(), types);
            object.insert("pattern".to_owned(), REFERENCE.into());
            object.remove("format");
        }
        Self { name, schema, required: true }
    }

    pub(crate) fn required(self) -> Self {
        self
    }

    /// The default is told where it is a plain value; that of a table is told key by key.
    pub(crate) fn optional<T: Serialize>(mut self, default: &T) -> Self {
        self.required = false;
        match serde_json::to_value(default) {
            Ok(Value::Null | Value::Object(_)) | Err(_) => {}
            Ok(default) => {
                self.schema.insert("default".to_owned(), default);
            }
        }
        self
    }

    pub(crate) fn bounded<T: Serialize + Display>(mut self, range: &RangeInclusive<T>) -> Self {
        let (low, high) = (range.start(), range.end());
        match (serde_json::to_value(low), serde_json::to_value(high)) {
            (Ok(low @ Value::Number(_)), Ok(high)) => {
                self.schema.insert("minimum".to_owned(), low);
                self.schema.insert("maximum".to_owned(), high);
            }
            _ => {
                let described = self.schema.get("description").and_then(Value::as_str).unwrap_or_default();
                let described = format!("{described} From {low} to {high}.");
                self.schema.insert("description".to_owned(), described.into());
            }
        }
        self
    }
}

/// The types of a number that may also come from outside. `None` for the types of anything else.
fn number_or_reference(types: &Value) -> Option<Value> {
    let mut types = types.as_array().cloned().unwrap_or_else(|| vec![types.clone()]);
    let number = types.iter().any(|kind| kind == "integer" || kind == "number");
    types.insert(1, "string".into());
    number.then(|| types.into())
}

/// The schema of a value that is written as text.
pub(crate) fn text<T: Text>() -> Schema {
    json_schema!({
        "type": "string",
        "description": T::HINT,
        "pattern": format!("^(?:{})$|{REFERENCE}", T::PATTERN),
        "examples": T::EXAMPLES,
    })
}

/// The schema of a choice between words.
pub(crate) fn words(docs: &[&str], words: &[(&str, &[&str])]) -> Schema {
    let mut any: Vec<Value> = words.iter().map(|(word, docs)| constant(word, docs)).collect();
    any.push(json!({ "type": "string", "pattern": REFERENCE }));
    json_schema!({ "description": paragraph(docs), "anyOf": any })
}

pub(crate) fn constant(word: &str, docs: &[&str]) -> Value {
    json!({ "const": word, "description": paragraph(docs) })
}

/// The lines of a doc comment as one paragraph.
pub(crate) fn paragraph(docs: &[&str]) -> String {
    docs.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ").trim().to_owned()
}
