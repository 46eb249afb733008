//! Values that are written as text.

use std::fmt;

use crate::decode::{Context, Decode, listed};
use crate::error::Code;
use crate::node::Node;
use crate::suggest;

/// A value with a textual form of its own: a duration, a size, an address.
pub(crate) trait Text: Sized + fmt::Display {
    /// What it is, with its article: "a duration".
    const NOUN: &'static str;
    /// How it is written, in one sentence.
    const HINT: &'static str;
    /// Regular expression of what is accepted at least, unanchored alternatives allowed; for the schema.
    const PATTERN: &'static str;
    const EXAMPLES: &'static [&'static str];

    /// Says what is wrong without quoting the value, which may be a secret.
    fn parse(text: &str) -> Result<Self, String>;

    fn placeholder() -> Self;
}

/// Decodes a [`Text`].
pub(crate) fn decode<T: Text>(node: &Node, cx: &mut Context) -> T {
    let Some(scalar) = cx.scalar(node, T::NOUN, Some(T::HINT.to_owned())) else { return T::placeholder() };
    match T::parse(&scalar.text) {
        Ok(value) if scalar.is_text() => value,
        Ok(_) => {
            cx.wrong_type(node, T::NOUN, Some(format!("Quote it: \"{}\".", scalar.shown())));
            T::placeholder()
        }
        Err(reason) => {
            let message = format!("`{}` is not {}: {reason}", scalar.shown(), T::NOUN);
            cx.error(Code::BadValue, node.at, message, Some(T::HINT.to_owned()));
            T::placeholder()
        }
    }
}

/// Makes a [`Text`] a value of the configuration: decoded, serialised as its text, described in the schema.
macro_rules! text_value {
    ($name:ident) => {
        impl $crate::decode::Decode for $name {
            fn decode(node: &$crate::node::Node, cx: &mut $crate::decode::Context) -> Self {
                $crate::text::decode(node, cx)
            }

            fn placeholder() -> Self {
                <Self as $crate::text::Text>::placeholder()
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $crate::schema::text::<$name>()
            }
        }
    };
}
pub(crate) use text_value;

/// Decodes one of a few words.
pub(crate) fn word<T: Copy + fmt::Display>(node: &Node, cx: &mut Context, all: &[T]) -> Option<T> {
    let words: Vec<String> = all.iter().map(T::to_string).collect();
    let expected = format!("one of {}", listed(&words));
    let scalar = cx.scalar(node, &expected, None)?;
    if let Some(index) = words.iter().position(|word| *word == scalar.text) {
        return all.get(index).copied();
    }
    let message = format!("this must be {expected}, and is `{}`", scalar.shown());
    let meant = if scalar.is_secret() {
        None
    } else {
        suggest::nearest(&scalar.text, words.iter().map(String::as_str))
    };
    cx.error(Code::BadValue, node.at, message, meant.map(|meant| format!("Did you mean `{meant}`?")));
    None
}

/// A value that is never shown: not by `Debug`, not by `Display`, not when serialised.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret itself, for the client that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// What is shown in a secret's place.
pub(crate) const REDACTED: &str = "***";

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl serde::Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

/// Numbers and truth values are taken by their text: `linger.ms: 5` is what people write.
impl Decode for Secret {
    fn decode(node: &Node, cx: &mut Context) -> Self {
        cx.scalar(node, "text, a number or a truth value", None)
            .map_or_else(Self::placeholder, |scalar| Self(scalar.text.clone()))
    }

    fn placeholder() -> Self {
        Self(String::new())
    }
}

impl schemars::JsonSchema for Secret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["string", "number", "boolean"],
            "description": "A value that is never shown again. Write secrets as `${env:NAME}` or `${file:PATH}`.",
        })
    }
}
