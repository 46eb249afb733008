//! The rules that attribute names and values keep, one file a grammar. All of them are pure checks over borrowed
//! text.

pub(crate) mod media_type;
pub(crate) mod name;
pub(crate) mod text;
pub(crate) mod timestamp;
pub(crate) mod uri;
pub(crate) mod word;

/// Where an ASCII character first stands. For texts as short as attributes a plain loop beats the searchers of `str`.
#[inline]
fn position(text: &str, byte: u8) -> Option<usize> {
    text.bytes().position(|b| b == byte)
}
