//! A scanner of JSON texts (RFC 8259): it checks the grammar and finds where values begin and end, and builds
//! nothing.

use crate::rules::word::{below, equal};

/// Deepest nesting of arrays and objects that is taken.
pub const DEPTH_MAX: usize = 512;

/// The text stops being JSON: [`Scanner::broken`] tells where. It is empty, so that the results of the many small
/// steps stay in registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stop;

/// A string between its quotes, as it stands in the text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quoted<'a> {
    pub(crate) inner: &'a str,
    /// Whether it holds escapes. All of them are well formed; surrogates may be alone.
    pub(crate) escaped: bool,
}

/// Whether the bytes are one JSON text.
pub(crate) fn is_json(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let mut scanner = Scanner::new(text);
    scanner.value().and_then(|_| scanner.end()).is_ok()
}

#[derive(Debug)]
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    /// What was missing where the scan stopped.
    expected: &'static str,
}

const STRING: &str = "a string in double quotes";
const AFTER_NAME: &str = "a colon after the member's name";

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0, expected: "" }
    }

    /// The next byte that is not white space; it is not consumed.
    #[inline]
    pub(crate) fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = bytes.get(self.at) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    /// Consumes the byte if it comes next, after white space.
    #[inline]
    pub(crate) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    #[inline]
    pub(crate) fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), Stop> {
        if self.eat(byte) { Ok(()) } else { Err(self.stop(expected)) }
    }

    #[cold]
    pub(crate) fn stop(&mut self, expected: &'static str) -> Stop {
        self.expected = expected;
        Stop
    }

    /// At which byte the scan stopped, and what was expected there.
    pub(crate) fn broken(&self) -> (usize, &'static str) {
        (self.at, self.expected)
    }

    /// Nothing but white space may follow.
    pub(crate) fn end(&mut self) -> Result<(), Stop> {
        if self.peek().is_none() { Ok(()) } else { Err(self.stop("the end of the text")) }
    }

    /// A member's name and the colon after it.
    pub(crate) fn name(&mut self) -> Result<Quoted<'a>, Stop> {
        let name = self.string()?;
        self.expect(b':', AFTER_NAME)?;
        Ok(name)
    }

    pub(crate) fn string(&mut self) -> Result<Quoted<'a>, Stop> {
        self.expect(b'"', STRING)?;
        let start = self.at;
        let escaped = self.rest_of_string()?;
        Ok(Quoted { inner: &self.text[start..self.at - 1], escaped })
    }

    /// Consumes a string whose opening quote has been consumed. Returns whether it holds escapes.
    #[inline]
    fn rest_of_string(&mut self) -> Result<bool, Stop> {
        let bytes = self.text.as_bytes();
        let mut escaped = false;
        loop {
            self.at += plain_run(&bytes[self.at..]);
            match bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return Err(self.stop("no unescaped control character in a string")),
                None => return Err(self.stop("the string's closing quote")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Stop> {
        let length = match self.text.as_bytes()[self.at..] {
            [_, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => 2,
            [_, b'u', a, b, c, d, ..] if [a, b, c, d].iter().all(u8::is_ascii_hexdigit) => 6,
            _ => return Err(self.stop("a valid escape in the string")),
        };
        self.at += length;
        Ok(())
    }

    /// Any one value; returns its text. Needs no stack, however deep the value is.
    pub(crate) fn value(&mut self) -> Result<&'a str, Stop> {
        self.peek();
        let start = self.at;
        let mut open = Nesting::default();
        loop {
            if !self.begin_value(&mut open)? {
                continue;
            }
            // A value has ended, and with it perhaps what it stands in.
            loop {
                let Some(object) = open.innermost() else { return Ok(&self.text[start..self.at]) };
                if self.eat(b',') {
                    if object {
                        self.skip_name()?;
                    }
                    break;
                }
                self.expect(if object { b'}' } else { b']' }, "a comma or the end of the array or object")?;
                open.pop();
            }
        }
    }

    #[inline]
    fn skip_name(&mut self) -> Result<(), Stop> {
        self.expect(b'"', STRING)?;
        self.rest_of_string()?;
        self.expect(b':', AFTER_NAME)
    }

    /// Consumes a scalar, an empty array or object, or the opening of one that is not empty, of which `open` takes
    /// note. Returns whether a value has ended.
    #[inline]
    fn begin_value(&mut self, open: &mut Nesting) -> Result<bool, Stop> {
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                self.rest_of_string().map(|_| true)
            }
            Some(b'-' | b'0'..=b'9') => self.number().map(|_| true),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            Some(opening @ (b'{' | b'[')) => {
                let object = opening == b'{';
                self.at += 1;
                if self.eat(if object { b'}' } else { b']' }) {
                    return Ok(true);
                }
                if !open.push(object) {
                    return Err(self.stop("nesting of at most 512 arrays and objects"));
                }
                if object {
                    self.skip_name()?;
                }
                Ok(false)
            }
            _ => Err(self.stop("a value")),
        }
    }

    fn literal(&mut self, literal: &'static str) -> Result<bool, Stop> {
        if !self.text.as_bytes()[self.at..].starts_with(literal.as_bytes()) {
            return Err(self.stop("a value"));
        }
        self.at += literal.len();
        Ok(true)
    }

    /// number = [ "-" ] ( "0" / digit1-9 *DIGIT ) [ "." 1*DIGIT ] [ ( "e" / "E" ) [ "+" / "-" ] 1*DIGIT ]
    fn number(&mut self) -> Result<(), Stop> {
        let bytes = self.text.as_bytes();
        self.at += usize::from(bytes[self.at] == b'-');
        if bytes.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = bytes.get(self.at) {
            self.at += 1;
            self.at += usize::from(matches!(bytes.get(self.at), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Stop> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        while bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(self.stop("a digit")) }
    }
}

/// Which arrays and objects are open: a bit each, so that hostile depth costs nothing.
#[derive(Default)]
struct Nesting {
    depth: usize,
    objects: [u64; DEPTH_MAX / 64],
}

impl Nesting {
    /// Returns whether there was room.
    fn push(&mut self, object: bool) -> bool {
        if self.depth == DEPTH_MAX {
            return false;
        }
        let (word, bit) = (self.depth / 64, self.depth % 64);
        self.objects[word] = self.objects[word] & !(1 << bit) | u64::from(object) << bit;
        self.depth += 1;
        true
    }

    fn pop(&mut self) {
        self.depth -= 1;
    }

    /// Whether the innermost one is an object; `None` where none is open.
    fn innermost(&self) -> Option<bool> {
        let last = self.depth.checked_sub(1)?;
        Some(self.objects[last / 64] >> (last % 64) & 1 == 1)
    }
}

/// How many bytes stand before the first quote, backslash or control character. Strings are most of what there is to
/// scan: long ones go by blocks that the compiler tests with vector instructions, what is left eight bytes at a time.
#[inline]
pub(super) fn plain_run(bytes: &[u8]) -> usize {
    let (blocks, _) = bytes.as_chunks::<32>();
    // Without a branch a byte, and a greatest of bytes: that is what makes it a few vector instructions.
    let is_plain = |block: &&[u8; 32]| block.iter().fold(0, |most, b| is_special(*b).max(most)) == 0;
    let plain = blocks.iter().take_while(is_plain).count() * 32;
    let (words, rest) = bytes[plain..].as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quote = equal(word, b'"');
        let backslash = equal(word, b'\\');
        let found = below(word, 0x20) | quote | backslash;
        if found != 0 {
            return plain + at * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    plain + words.len() * 8 + rest.iter().take_while(|b| is_special(**b) == 0).count()
}

/// 1 or 0.
fn is_special(byte: u8) -> u8 {
    u8::from((byte == b'"') | (byte == b'\\') | (byte < 0x20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_json_value_is_taken() {
        for good in [
            "null",
            "true",
            "false",
            "0",
            "-0",
            "-12.5e+3",
            "1E9",
            "\"\"",
            "\"\\u00e9\\n\\/ é\"",
            "[]",
            "{}",
            " [ 1 , [ ] , {} ] ",
            "{\"a\":{\"b\":[1,2,{\"c\":null}]},\"a\":2}",
            "\"\\ud800\"",
            "\t\r\n1\n",
        ] {
            assert!(is_json(good.as_bytes()), "{good}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for bad in [
            "",
            " ",
            "nul",
            "nulls",
            "True",
            "01",
            "1.",
            ".5",
            "1e",
            "+1",
            "-",
            "0x1",
            "NaN",
            "\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\\u12\"",
            "\"a\nb\"",
            "'a'",
            "[",
            "[1",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[}",
            "{",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\":1]",
            "{1:1}",
            "1 2",
            "\u{feff}1",
            "[1]]",
            "{\"a\":1}}",
            "\"\u{1f}\"",
            "// c\n1",
        ] {
            assert!(!is_json(bad.as_bytes()), "{bad:?}");
        }
        assert!(!is_json(b"\"\xff\""), "a JSON text is UTF-8");
    }

    #[test]
    fn hostile_nesting_is_refused_and_needs_no_stack() {
        for opening in ["[", "{\"a\":"] {
            assert!(!is_json(opening.repeat(1_000_000).as_bytes()));
        }
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(is_json(nested(DEPTH_MAX).as_bytes()));
        assert!(!is_json(nested(DEPTH_MAX + 2).as_bytes()));
    }

    #[test]
    fn a_plain_run_ends_at_the_first_special_byte_wherever_it_stands() {
        for special in [b'"', b'\\', 0x00, 0x1f] {
            for at in 0..80 {
                let mut bytes = vec![0xc3; 80];
                bytes[at] = special;
                assert_eq!(plain_run(&bytes), at, "{special:#x}");
            }
        }
        assert_eq!(plain_run(&(0x20..=0xff).filter(|b| !matches!(b, b'"' | b'\\')).collect::<Vec<_>>()), 222);
    }
}
