//! The rules that attribute names and values keep, one file a grammar. All of them are pure checks over borrowed text.

pub(crate) mod media_type;
pub(crate) mod name;
pub(crate) mod text;
pub(crate) mod timestamp;
pub(crate) mod uri;
