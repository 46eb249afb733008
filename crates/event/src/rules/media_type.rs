//! Media types: RFC 2046 with the grammar of RFC 2045, section 5.1.

use super::position;

/// Whether `text` is `type "/" subtype *(";" parameter)`. White space around it is none of it, and no header carries it.
pub(crate) fn is_valid(text: &str) -> bool {
    if trim(text) != text {
        return false;
    }
    let end = position(text, b';').unwrap_or(text.len());
    let Some((kind, subtype)) = halves(trim(&text[..end])) else { return false };
    is_token(kind) && is_token(subtype) && parameters(&text[end..]).all(|p| p.is_some())
}

/// Whether the type declares JSON: its subtype is `json` or ends with `+json`. Case and parameters do not matter.
pub(crate) fn is_json(text: &str) -> bool {
    // JSON event format 1.0.2, 3.1.1:
    //# a `datacontenttype` declares JSON-formatted content if its media type, when stripped of
    //# parameters, has the form `*/json` or `*/*+json`.
    let Some((_, subtype)) = halves(essence(text)) else { return false };
    let tail = |suffix: &str| {
        subtype
            .len()
            .checked_sub(suffix.len())
            .and_then(|at| subtype.get(at..))
            .is_some_and(|t| t.eq_ignore_ascii_case(suffix))
    };
    subtype.eq_ignore_ascii_case("json") || tail("+json")
}

/// Whether the type is `text/*`.
pub(crate) fn is_text(text: &str) -> bool {
    halves(essence(text)).is_some_and(|(kind, _)| kind.eq_ignore_ascii_case("text"))
}

/// Whether the type says that its text is in another encoding than UTF-8.
pub(crate) fn has_foreign_charset(text: &str) -> bool {
    let start = position(text, b';').unwrap_or(text.len());
    parameters(&text[start..]).flatten().any(|(name, value)| {
        let value = value.trim_matches('"');
        name.eq_ignore_ascii_case("charset")
            && !["utf-8", "utf8", "us-ascii"].iter().any(|known| value.eq_ignore_ascii_case(known))
    })
}

/// The type without its parameters.
pub(crate) fn essence(text: &str) -> &str {
    trim(&text[..position(text, b';').unwrap_or(text.len())])
}

/// Type and subtype.
fn halves(essence: &str) -> Option<(&str, &str)> {
    position(essence, b'/').map(|at| (&essence[..at], &essence[at + 1..]))
}

/// The parameters of `*(";" attribute "=" value)`; `None` once where the grammar ends.
fn parameters(text: &str) -> impl Iterator<Item = Option<(&str, &str)>> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest.take().filter(|text| !text.is_empty())?;
        let parsed = parameter(text);
        rest = parsed.map(|(_, tail)| tail);
        Some(parsed.map(|(parameter, _)| parameter))
    })
}

/// One `";" attribute "=" value`, and what follows it.
fn parameter(text: &str) -> Option<((&str, &str), &str)> {
    let (name, rest) = text.strip_prefix(';')?.trim_start_matches([' ', '\t']).split_once('=')?;
    let length = if rest.starts_with('"') {
        quoted_length(rest)?
    } else {
        rest.find([';', ' ', '\t']).unwrap_or(rest.len())
    };
    let (value, rest) = rest.split_at(length);
    let rest = rest.trim_start_matches([' ', '\t']);
    let whole = is_token(name)
        && (value.starts_with('"') || is_token(value))
        && (rest.is_empty() || rest.starts_with(';'));
    whole.then_some(((name, value), rest))
}

/// The length of the quoted string that `text` begins with, its quotes included.
fn quoted_length(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, b) in text.bytes().enumerate().skip(1) {
        match b {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            b' '..=b'~' => {}
            _ => return None,
        }
    }
    None
}

/// token = 1*<any (US-ASCII) CHAR except SPACE, CTLs, or tspecials>
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| TOKEN[usize::from(b)])
}

/// Which bytes a token may hold. Looked up, for every event has a media type.
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = b'!';
    while b <= b'~' {
        table[b as usize] = true;
        b += 1;
    }
    let mut specials: &[u8] = br#"()<>@,;:\"/[]?="#;
    while let [special, rest @ ..] = specials {
        table[*special as usize] = false;
        specials = rest;
    }
    table
};

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_told_from_other_text() {
        for good in [
            "text/plain",
            "application/json; charset=utf-8",
            "application/json;charset=utf-8",
            "application/json ; charset=\"utf-8\" ; q=1",
            "application/vnd.example.v1+json",
            "multipart/mixed; boundary=\"a;\\\"b=c\"",
            "X/Y",
        ] {
            assert!(is_valid(good), "{good}");
        }
        for bad in [
            "",
            "text",
            "/",
            "text/",
            "/plain",
            "text/plain/more",
            "te xt/plain",
            "text/plain;",
            " text/plain",
            "text/plain; a=b\t",
            "text/plain; charset",
            "text/plain; charset=",
            "text/plain; =utf-8",
            "text/plain; a=\"open",
            "text/plain; a=b c",
            "text/plain, text/html",
            "text/plaiñ",
            "text/plain; a=\"ñ\"",
        ] {
            assert!(!is_valid(bad), "{bad}");
        }
    }

    #[test]
    fn json_types_are_known_in_any_case_and_with_parameters() {
        for json in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "text/json",
            "application/problem+JSON",
            "a/b.c+json ;x=y",
        ] {
            assert!(is_json(json), "{json}");
        }
        for other in [
            "application/jsonl",
            "application/x-json",
            "application/json-seq",
            "text/plain; a=\"/json\"",
            "json",
            "a/é",
        ] {
            assert!(!is_json(other), "{other}");
        }
    }

    #[test]
    fn a_charset_other_than_utf_8_is_noticed() {
        assert!(has_foreign_charset("text/plain; charset=iso-8859-1"));
        assert!(has_foreign_charset("text/plain; a=b; CHARSET=\"UTF-16\""));
        assert!(!has_foreign_charset("text/plain; charset=\"UTF-8\""));
        assert!(!has_foreign_charset("text/plain"));
    }
}
