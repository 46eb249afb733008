use std::fmt::{self, Write};

/// Bytes that came from outside, as a log line or a terminal may show them: control bytes escaped, so that they forge
/// no line and move no cursor, and cut after 256 bytes.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a>(pub &'a [u8]);

const BYTES_MAX: usize = 256;

impl<'a> Shown<'a> {
    pub fn text(text: &'a str) -> Self {
        Self(text.as_bytes())
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cut = self.0.len() > BYTES_MAX;
        for chunk in self.0[..self.0.len().min(BYTES_MAX)].utf8_chunks() {
            for c in chunk.valid().chars() {
                if c.is_control() || is_invisible_order(c) {
                    write!(f, "{}", c.escape_unicode())?;
                } else {
                    f.write_char(c)?;
                }
            }
            // What a cut left of a character says nothing; other bytes that are no UTF-8 do.
            if !cut || !chunk.invalid().is_empty() && chunk.invalid().len() < 2 {
                write!(f, "{}", chunk.invalid().escape_ascii())?;
            }
        }
        f.write_str(if cut { "…" } else { "" })
    }
}

/// Characters that turn the direction of text, or part lines outside of ASCII.
fn is_invisible_order(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_outside_forges_no_line() {
        let shown = Shown(b"a\nb\r\x1b[31m\x00\xff \xc3\xa9").to_string();
        assert_eq!(shown, "a\\u{a}b\\u{d}\\u{1b}[31m\\u{0}\\xff é");
        assert_eq!(Shown::text("\u{202e}\u{2028}").to_string(), "\\u{202e}\\u{2028}");
    }

    #[test]
    fn what_is_long_is_cut() {
        let shown = Shown(&[b'x'; 1_000]).to_string();
        assert_eq!(shown.len(), BYTES_MAX + "…".len());
    }
}
