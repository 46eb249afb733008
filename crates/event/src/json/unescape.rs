//! Strings as they are meant, from strings as they are written.

use std::borrow::Cow;

use super::scan::Quoted;

impl<'a> Quoted<'a> {
    /// The string that is meant. `None` where a surrogate stands alone: no Unicode character is meant then.
    pub(crate) fn unescape(self) -> Option<Cow<'a, str>> {
        if !self.escaped {
            return Some(Cow::Borrowed(self.inner));
        }
        let mut meant = String::with_capacity(self.inner.len());
        let mut rest = self.inner;
        while let Some((plain, escape)) = rest.split_once('\\') {
            meant.push_str(plain);
            let (c, length) = character(escape)?;
            meant.push(c);
            rest = &escape[length..];
        }
        meant.push_str(rest);
        Some(Cow::Owned(meant))
    }
}

/// The character that an escape means, and the escape's length without its backslash.
fn character(escape: &str) -> Option<(char, usize)> {
    let simple = match escape.bytes().next()? {
        b'u' => {
            let first = unit(escape.get(1..5)?)?;
            // CloudEvents 1.0.2, Type System, String, disallows
            //# code points identifying Surrogates, U+D800-U+DBFF and U+DC00-U+DFFF, both
            //# ranges inclusive, unless used properly in pairs.
            if let Some(c) = char::from_u32(first) {
                return Some((c, 5));
            }
            let second = unit(escape.get(5..11)?.strip_prefix("\\u")?)?;
            let pair = (0xd800..0xdc00).contains(&first) && (0xdc00..0xe000).contains(&second);
            let code = pair.then(|| 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00))?;
            return char::from_u32(code).map(|c| (c, 11));
        }
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        other => char::from(other),
    };
    Some((simple, 1))
}

fn unit(digits: &str) -> Option<u32> {
    u32::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(inner: &str) -> Option<Cow<'_, str>> {
        Quoted { inner, escaped: inner.contains('\\') }.unescape()
    }

    #[test]
    fn escapes_mean_their_characters() {
        assert_eq!(meant("plain é").as_deref(), Some("plain é"));
        assert_eq!(meant(r#"\"\\\/\b\f\n\r\t\u0041\u20ac!"#).as_deref(), Some("\"\\/\u{8}\u{c}\n\r\tA€!"));
        assert_eq!(meant(r"a\uD83D\uDE00b").as_deref(), Some("a😀b"));
        assert_eq!(meant(r"\uD800\uDEAD").as_deref(), Some("\u{102ad}"));
    }

    #[test]
    fn a_lone_surrogate_means_nothing() {
        for lone in [
            r"\uDEAD",
            r"\uD800",
            r"\uD800x",
            r"\uD800\n",
            r"\uD800\u0041",
            r"\uD800\uD800",
            r"\uDC00\uD800",
            r"\uD800€€€",
        ] {
            assert_eq!(meant(lone), None, "{lone}");
        }
    }
}
