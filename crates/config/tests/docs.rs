//! `docs/configuration.md` holds every key as the schema has it, and `docs/errors/` a page for every code.

use std::path::{Path, PathBuf};

use postrider_config as config;
use serde_json::Value;

const BEGIN: &str = "<!-- The tables are made from the schema; a test compares them. -->\n";
const END: &str = "<!-- End of the tables. -->\n";

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

#[test]
fn the_reference_is_the_schemas() {
    let path = docs().join("configuration.md");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let (before, rest) = text.split_once(BEGIN).expect("the tables' begin is marked");
    let (written, after) = rest.split_once(END).expect("the tables' end is marked");
    let schema: Value = serde_json::from_str(&config::schema()).expect("the schema is JSON");
    let mut reference =
        Reference { schema: &schema, text: String::new(), waiting: Vec::new(), told: Vec::new() };
    let tables = reference.render();
    if written != tables {
        let fresh = Path::new(env!("CARGO_TARGET_TMPDIR")).join("configuration.md");
        std::fs::write(&fresh, format!("{before}{BEGIN}{tables}{END}{after}")).unwrap();
        panic!("{} is stale; a fresh one is {}", path.display(), fresh.display());
    }
}

#[test]
fn every_code_has_a_page() {
    for code in config::Code::ALL {
        let page = docs().join(format!("errors/{code}.md"));
        let text =
            std::fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
        assert!(text.starts_with(&format!("# {code}: ")), "{} has another title", page.display());
    }
}

struct Reference<'a> {
    schema: &'a Value,
    text: String,
    /// Tables still to be told: their path, and what they are.
    waiting: Vec<(String, &'a Value)>,
    /// Tables by their reference, and the path that tells them.
    told: Vec<(String, String)>,
}

impl<'a> Reference<'a> {
    fn render(&mut self) -> String {
        self.waiting.push((String::new(), self.schema));
        while let Some((path, table)) = (!self.waiting.is_empty()).then(|| self.waiting.remove(0)) {
            self.table(&path, table);
        }
        std::mem::take(&mut self.text)
    }

    fn table(&mut self, path: &str, table: &'a Value) {
        let title = if path.is_empty() { "The file".to_owned() } else { format!("`{path}`") };
        let about = table["description"].as_str().unwrap_or_default();
        self.text +=
            &format!("\n### {title}\n\n{about}\n\n| Key | Value | Default | Meaning |\n|---|---|---|---|\n");
        let required = table["required"].as_array().cloned().unwrap_or_default();
        let mut below = Vec::new();
        for (key, field) in table["properties"].as_object().expect("a table has keys") {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let (value, words) = self.value(field, &path, &mut below);
            let default = match field.get("default") {
                Some(Value::String(text)) if text.is_empty() => "none".to_owned(),
                Some(Value::Array(items)) if items.is_empty() => "none".to_owned(),
                Some(Value::String(text)) => format!("`{text}`"),
                Some(other) => format!("`{other}`"),
                None if required.contains(&Value::from(key.as_str())) => "required".to_owned(),
                None => String::new(),
            };
            let meaning = field["description"].as_str().unwrap_or(about);
            let row = format!("| `{key}` | {value} | {default} | {meaning}{words} |\n");
            self.text.push_str(&row);
        }
        // Depth first, so that what belongs together stands together.
        below.append(&mut self.waiting);
        self.waiting = below;
    }

    /// What a key takes, and what its words mean.
    fn value(
        &mut self,
        field: &'a Value,
        path: &str,
        below: &mut Vec<(String, &'a Value)>,
    ) -> (String, String) {
        let reference = [&field["$ref"], &field["allOf"][0]["$ref"], &field["anyOf"][0]["$ref"]];
        if let Some(reference) = reference.into_iter().find_map(Value::as_str) {
            let target = self.schema.pointer(&reference[1..]).expect("the reference leads somewhere");
            let name = reference.rsplit('/').next().unwrap_or_default();
            return self.named(name, target, path, below);
        }
        let bounds = match (&field["minimum"], &field["maximum"]) {
            (low, high) if low.is_number() && high.is_number() => format!(", {low} to {high}"),
            _ => String::new(),
        };
        let kind = match &field["type"] {
            Value::Array(kinds) => kinds[0].as_str(),
            kind => kind.as_str(),
        };
        let value = match kind {
            Some("integer") => format!("whole number{bounds}"),
            Some("number") => format!("number{bounds}"),
            Some("boolean") => "`true` or `false`".to_owned(),
            Some("string") => "text".to_owned(),
            Some("array") => format!("list of {}", self.value(&field["items"], path, below).0),
            Some("object") => self.map(field, path, below),
            other => panic!("{path}: {other:?}"),
        };
        (value, String::new())
    }

    fn map(&mut self, field: &'a Value, path: &str, below: &mut Vec<(String, &'a Value)>) -> String {
        let statuses = &field["patternProperties"]["^[2-5][0-9]{2}$"];
        let (key, value) =
            if statuses.is_null() { ("NAME", &field["additionalProperties"]) } else { ("STATUS", statuses) };
        let (value, words) = self.value(value, &format!("{path}.{key}"), below);
        format!("map of {key} to {value}{words}")
    }

    fn named(
        &mut self,
        name: &str,
        target: &'a Value,
        path: &str,
        below: &mut Vec<(String, &'a Value)>,
    ) -> (String, String) {
        if target["properties"].is_object() {
            if let Some((_, told)) = self.told.iter().find(|(told, _)| told == name) {
                return (format!("map, as `{told}`"), String::new());
            }
            self.told.push((name.to_owned(), path.to_owned()));
            below.push((path.to_owned(), target));
            return ("map, below".to_owned(), String::new());
        }
        if let Some(any) = target["anyOf"].as_array() {
            let mut words = Vec::new();
            let mut meanings = String::new();
            for word in any {
                if let Some(constant) = word["const"].as_str() {
                    words.push(format!("`{constant}`"));
                    meanings +=
                        &format!(" `{constant}`: {}", word["description"].as_str().unwrap_or_default());
                }
                for (key, field) in word["properties"].as_object().into_iter().flatten() {
                    words.push(format!("`{key}: {{…}}`"));
                    self.value(field, &format!("{path}.{key}"), below);
                }
            }
            return (words.join(", "), meanings);
        }
        let value = match name {
            "Version" => "1",
            "Address" => "address",
            "Url" => "http URL",
            "To" => "path or http URL",
            "Origin" => "origin",
            "Start" => "`earliest`, `latest` or a time",
            "Key" => "attribute",
            "Secret" => "secret",
            "Duration" => "duration",
            "Size" => "size",
            "Rate" => "rate",
            other => panic!("{path}: {other} has no name for people"),
        };
        (value.to_owned(), String::new())
    }
}
