//! A judge of JSON Schema: the few keywords that the generated schema uses, and a refusal of every other, so that nothing
//! is passed over in silence.

use std::cell::RefCell;
use std::collections::HashMap;

use regex_automata::meta::Regex;
use serde_json::Value;

/// What a schema says against a value.
pub(crate) fn complaints(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    Judge { root: schema }.judge(schema, value, "", &mut found);
    found
}

struct Judge<'a> {
    root: &'a Value,
}

impl Judge<'_> {
    fn judge(&self, schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
        let schema = match schema {
            Value::Bool(true) => return,
            Value::Object(schema) => schema,
            other => panic!("{path}: no schema: {other}"),
        };
        for (keyword, rule) in schema {
            let good = match keyword.as_str() {
                "$schema" | "title" | "description" | "default" | "examples" | "definitions" | "format" => {
                    true
                }
                "patternProperties" | "additionalProperties" | "properties" => true,
                "$ref" => {
                    let pointer = rule.as_str().and_then(|r| r.strip_prefix('#')).expect("a local reference");
                    let target = self.root.pointer(pointer).expect("the reference leads somewhere");
                    self.judge(target, value, path, found);
                    true
                }
                "const" => value == rule,
                "type" => list(rule).iter().any(|kind| is(value, kind)),
                "required" => {
                    list(rule).iter().all(|key| value.get(key.as_str().unwrap_or_default()).is_some())
                }
                "pattern" => value.as_str().is_none_or(|text| matches(rule, text)),
                "minimum" => value.as_f64().is_none_or(|number| Some(number) >= rule.as_f64()),
                "maximum" => value.as_f64().is_none_or(|number| Some(number) <= rule.as_f64()),
                "anyOf" => self.accepting(rule, value) >= 1,
                "oneOf" => self.accepting(rule, value) == 1,
                "allOf" => self.accepting(rule, value) == list(rule).len(),
                "items" => {
                    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.judge(rule, item, &format!("{path}[{index}]"), found);
                    }
                    true
                }
                other => panic!("{path}: the judge does not know `{other}`"),
            };
            if !good {
                found.push(format!("{path}: {keyword} {rule} refuses {value}"));
            }
        }
        self.keys(schema, value, path, found);
    }

    fn keys(
        &self,
        schema: &serde_json::Map<String, Value>,
        value: &Value,
        path: &str,
        found: &mut Vec<String>,
    ) {
        for (key, value) in value.as_object().into_iter().flatten() {
            let path = format!("{path}.{key}");
            if let Some(property) = schema.get("properties").and_then(|properties| properties.get(key)) {
                self.judge(property, value, &path, found);
                continue;
            }
            let patterns = schema.get("patternProperties").and_then(Value::as_object);
            let pattern = patterns
                .into_iter()
                .flatten()
                .find(|(pattern, _)| matches(&Value::from(pattern.as_str()), key));
            match (pattern, schema.get("additionalProperties")) {
                (Some((_, rule)), _) => self.judge(rule, value, &path, found),
                (None, Some(Value::Bool(false))) => found.push(format!("{path}: no such key")),
                (None, Some(rule)) => self.judge(rule, value, &path, found),
                (None, None) => {}
            }
        }
    }

    fn accepting(&self, schemas: &Value, value: &Value) -> usize {
        let accepts = |schema: &&Value| {
            let mut found = Vec::new();
            self.judge(schema, value, "", &mut found);
            found.is_empty()
        };
        list(schemas).iter().filter(accepts).count()
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice)
}

fn is(value: &Value, kind: &Value) -> bool {
    match kind.as_str().expect("a type is a word") {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        other => panic!("no type: {other}"),
    }
}

fn matches(pattern: &Value, text: &str) -> bool {
    thread_local! {
        static COMPILED: RefCell<HashMap<String, Regex>> = RefCell::default();
    }
    let pattern = pattern.as_str().expect("a pattern is text");
    COMPILED.with_borrow_mut(|compiled| {
        let regex = compiled
            .entry(pattern.to_owned())
            .or_insert_with(|| Regex::new(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}")));
        regex.is_match(text)
    })
}
