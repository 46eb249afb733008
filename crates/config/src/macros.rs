//! A table of the configuration is declared once; the type, its defaults, its decoding, its serialised form and its
//! schema come from that one declaration, so that they cannot drift apart.

/// Declares a map with fixed keys.
///
/// `pub key: Type` is required, `pub key: Type = default` is optional, and `= default => low..=high` is optional and
/// bounded. `pub struct Name: Default` promises that every key has a default. A `hidden` field is no key.
macro_rules! table {
    (
        $(#[doc = $doc:literal])*
        pub struct $name:ident $(: $default_trait:ident)? {
            $(
                $(#[doc = $field_doc:literal])*
                pub $field:ident: $type:ty $(= $default:expr $(=> $range:expr)?)?,
            )*
            $(hidden $hidden:ident: $hidden_type:ty,)?
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize)]
        pub struct $name {
            $(
                $(#[doc = $field_doc])*
                pub $field: $type,
            )*
            $(
                #[serde(skip)]
                pub(crate) $hidden: $hidden_type,
            )?
        }

        impl $crate::decode::Decode for $name {
            fn decode(node: &$crate::node::Node, cx: &mut $crate::decode::Context) -> Self {
                let Some(map) = cx.table(node, &[$(stringify!($field)),*]) else {
                    return <Self as $crate::decode::Decode>::placeholder();
                };
                Self {
                    $($field: table!(@decode cx, map, $field $(, $default $(, $range)?)?),)*
                    $($hidden: <$hidden_type>::default(),)?
                }
            }

            fn placeholder() -> Self {
                Self {
                    $($field: table!(@placeholder $type $(, $default)?),)*
                    $($hidden: <$hidden_type>::default(),)?
                }
            }
        }

        $(impl $default_trait for $name {
            fn default() -> Self {
                <Self as $crate::decode::Decode>::placeholder()
            }
        })?

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let mut table = $crate::schema::Table::new(&[$($doc),*]);
                $({
                    let schema = generator.subschema_for::<$type>();
                    let field = $crate::schema::Field::new(stringify!($field), &[$($field_doc),*], schema);
                    table.add(table!(@schema field, $type $(, $default $(, $range)?)?));
                })*
                table.finish()
            }
        }
    };

    (@decode $cx:ident, $map:ident, $field:ident) => { $cx.required($map, stringify!($field)) };
    (@decode $cx:ident, $map:ident, $field:ident, $default:expr) => {
        $cx.optional($map, stringify!($field), $default)
    };
    (@decode $cx:ident, $map:ident, $field:ident, $default:expr, $range:expr) => {
        $cx.bounded($map, stringify!($field), $default, &$range)
    };

    (@placeholder $type:ty) => { <$type as $crate::decode::Decode>::placeholder() };
    (@placeholder $type:ty, $default:expr) => { $default };

    (@schema $new:ident, $type:ty) => { $new.required() };
    (@schema $new:ident, $type:ty, $default:expr) => { $new.optional::<$type>(&$default) };
    (@schema $new:ident, $type:ty, $default:expr, $range:expr) => {
        $new.optional::<$type>(&$default).bounded(&$range)
    };
}

/// Declares a choice between words; the first is what stands in where none could be read.
macro_rules! choice {
    (
        $(#[doc = $doc:literal])*
        pub enum $name:ident {
            $(
                $(#[doc = $variant_doc:literal])*
                $variant:ident = $word:literal,
            )*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $(
                $(#[doc = $variant_doc])*
                $variant,
            )*
        }

        impl $name {
            const ALL: &[Self] = &[$(Self::$variant),*];

            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl $crate::decode::Decode for $name {
            fn decode(node: &$crate::node::Node, cx: &mut $crate::decode::Context) -> Self {
                $crate::text::word(node, cx, Self::ALL).unwrap_or(Self::ALL[0])
            }

            fn placeholder() -> Self {
                Self::ALL[0]
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $crate::schema::words(&[$($doc),*], &[$(($word, &[$($variant_doc),*])),*])
            }
        }
    };
}
