//! The `URI` and `URI-reference` types: RFC 3986.

use std::net::Ipv6Addr;

use super::position;

/// Whether `text` is a `URI-reference` (RFC 3986, section 4.1).
pub(crate) fn is_reference(text: &str) -> bool {
    let (rest, fragment) = split(text, b'#');
    fragment.is_none_or(is_query) && is_hierarchy(rest, false)
}

/// Whether `text` is an `absolute-URI` (RFC 3986, section 4.3): it has a scheme and no fragment.
pub(crate) fn is_absolute(text: &str) -> bool {
    is_hierarchy(text, true)
}

/// `[ scheme ":" ] ( "//" authority path-abempty / path ) [ "?" query ]`
fn is_hierarchy(text: &str, absolute: bool) -> bool {
    let (text, query) = split(text, b'?');
    if !query.is_none_or(is_query) {
        return false;
    }
    // A colon before the first slash ends a scheme: a relative path's first segment must not hold one (section 4.2).
    let first_segment = &text[..position(text, b'/').unwrap_or(text.len())];
    let rest = match position(first_segment, b':') {
        Some(at) if is_scheme(&text[..at]) => &text[at + 1..],
        Some(_) => return false,
        None if absolute => return false,
        None => text,
    };
    match rest.strip_prefix("//") {
        Some(rest) => {
            let (authority, path) = rest.split_at(position(rest, b'/').unwrap_or(rest.len()));
            is_authority(authority) && is_path(path)
        }
        None => is_path(rest),
    }
}

fn split(text: &str, at: u8) -> (&str, Option<&str>) {
    position(text, at).map_or((text, None), |at| (&text[..at], Some(&text[at + 1..])))
}

/// scheme = ALPHA *( ALPHA / DIGIT / "+" / "-" / "." )
fn is_scheme(text: &str) -> bool {
    text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}

/// authority = [ userinfo "@" ] host [ ":" port ]
fn is_authority(text: &str) -> bool {
    let (userinfo, host) = text.rsplit_once('@').map_or(("", text), |(userinfo, host)| (userinfo, host));
    if !is_made_of(userinfo, b":") {
        return false;
    }
    if let Some(literal) = host.strip_prefix('[') {
        let Some((address, port)) = literal.split_once(']') else { return false };
        return is_ip_literal(address) && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    }
    let (name, port) = host.rsplit_once(':').unwrap_or((host, ""));
    is_made_of(name, b"") && is_port(port)
}

/// IPv6address / IPvFuture
fn is_ip_literal(text: &str) -> bool {
    match text.strip_prefix(['v', 'V']) {
        Some(future) => future.split_once('.').is_some_and(|(version, address)| {
            !version.is_empty()
                && version.bytes().all(|b| b.is_ascii_hexdigit())
                && !address.is_empty()
                && !address.contains('%')
                && is_made_of(address, b":")
        }),
        None => text.parse::<Ipv6Addr>().is_ok(),
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

/// Segments of pchar, between slashes.
fn is_path(text: &str) -> bool {
    is_made_of(text, b":@/")
}

/// query and fragment = *( pchar / "/" / "?" )
fn is_query(text: &str) -> bool {
    is_made_of(text, b":@/?")
}

/// *( unreserved / pct-encoded / sub-delims / extra )
fn is_made_of(text: &str, extra: &[u8]) -> bool {
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        let valid = match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => true,
            b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b','
            | b';' | b'=' => true,
            b'%' => {
                bytes.next().is_some_and(|b| b.is_ascii_hexdigit())
                    && bytes.next().is_some_and(|b| b.is_ascii_hexdigit())
            }
            other => extra.contains(&other),
        };
        if !valid {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABSOLUTE: [&str; 14] = [
        "https://example.com",
        "http://user:pass@example.com:8080/a/b%20c?x=1&y=/?#",
        "ftp://ftp.is.co.za/rfc/rfc1808.txt",
        "ldap://[2001:db8::7]/c=GB?objectClass?one",
        "http://[v1f.a:b]:80/",
        "mailto:John.Doe@example.com",
        "news:comp.infosystems.www.servers.unix",
        "tel:+1-816-555-1212",
        "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66",
        "urn:oasis:names:specification:docbook:dtd:xml:4.1.2",
        "file:///etc/hosts",
        "a:",
        "x-y+z.1:/p",
        "http://",
    ];

    #[test]
    fn absolute_uris_are_references_too() {
        for good in ABSOLUTE {
            let without_fragment = good.trim_end_matches('#');
            assert!(is_absolute(without_fragment), "{good}");
            assert!(is_reference(good), "{good}");
        }
    }

    #[test]
    fn relative_references_are_references_alone() {
        for relative in [
            "",
            "/",
            "/sensors/tn-1234567/alerts",
            "1-555-123-4567",
            "#part",
            "?q",
            "//host/path",
            "./a:b",
            "../x",
            "a/b:c",
            "/a//b",
            "name@host",
            "//[::1]:80",
        ] {
            assert!(is_reference(relative), "{relative}");
            assert!(!is_absolute(relative), "{relative}");
        }
        assert!(!is_absolute("https://example.com/schema#v1"), "an absolute URI has no fragment");
    }

    #[test]
    fn what_the_grammar_does_not_make_is_neither() {
        for bad in [
            " ",
            "a b",
            "/a b",
            "/%",
            "/%2",
            "/%zz",
            "/größe",
            "1a:b",
            ":a",
            "a:b#c#d",
            "/<x>",
            "/\"",
            "/a\\b",
            "/{id}",
            "/a|b",
            "/^",
            "/`",
            "http://[::1",
            "http://[1:2]",
            "http://[fe80::1%25eth0]",
            "http://[v.x]",
            "http://[::1]x",
            "http://host:port/",
            "http://a[b]/",
            "/[x]",
        ] {
            assert!(!is_reference(bad), "{bad}");
            assert!(!is_absolute(bad), "{bad}");
        }
    }
}
