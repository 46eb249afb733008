//! The `String` type: which characters attribute values may hold.

use super::word::{self, HIGHS, below, equal};

/// Whether every character of `text` is allowed in an attribute value.
pub(crate) fn is_allowed(text: &str) -> bool {
    // Nearly every value is printable ASCII, which is told without looking at characters.
    is_printable_ascii(text.as_bytes()) || text.chars().all(is_allowed_char)
}

fn is_printable_ascii(bytes: &[u8]) -> bool {
    let strange = |word| below(word, 0x20) | equal(word, 0x7f) | word & HIGHS;
    match word::any(bytes, strange) {
        Some(any) => !any,
        None => bytes.iter().all(|b| (0x20..0x7f).contains(b)),
    }
}

fn is_allowed_char(c: char) -> bool {
    match u32::from(c) {
        // CloudEvents 1.0.2, Type System, String:
        //# The following characters are disallowed: the "control characters" in
        //# the ranges U+0000-U+001F and U+007F-U+009F (both ranges inclusive)
        0x00..=0x1f | 0x7f..=0x9f => false,
        //# code points identified as noncharacters by Unicode
        0xfdd0..=0xfdef => false,
        // The third disallowed kind, lone surrogates, is unrepresentable in a `char`; the JSON reader refuses their
        // escapes.
        code => code & 0xfffe != 0xfffe,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printable_text_of_any_script_is_allowed() {
        for good in
            ["", " ", "~", "plain", "\u{a0}", "Größe", "€ 😀", "\u{fdcf}\u{fdf0}", "\u{fffd}", "\u{1fffd}"]
        {
            assert!(is_allowed(good), "{good:?}");
        }
    }

    #[test]
    fn control_characters_and_noncharacters_are_not() {
        let mut bad: Vec<u32> = (0x00..=0x1f).chain(0x7f..=0x9f).chain(0xfdd0..=0xfdef).collect();
        bad.extend((0..=0x10).flat_map(|plane| [plane << 16 | 0xfffe, plane << 16 | 0xffff]));
        for code in bad {
            let c = char::from_u32(code).expect("none of these is a surrogate");
            assert!(!is_allowed(&format!("a{c}é")), "U+{code:04X}");
            for before in 0..20 {
                let padded = format!("{}{c}{}", "a".repeat(before), "b".repeat(19 - before));
                assert!(!is_allowed(&padded), "U+{code:04X} after {before}");
            }
            assert!(!is_allowed(&c.to_string()), "U+{code:04X}");
        }
    }
}
