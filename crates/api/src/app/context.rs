use broker::{Key, TraceParent};
use event::Event;
use http::header::{HeaderMap, HeaderName};
use publish::Item;

use crate::problem::Problem;

/// What a request's headers say of all of its events.
#[derive(Clone, Debug, Default)]
pub(super) struct Context {
    key: Option<Key>,
    traceparent: Option<TraceParent>,
    tracestate: Option<Box<str>>,
    /// `prefer: return=minimal` (RFC 7240): an empty answer to a success.
    pub(super) minimal: bool,
    /// `prefer: handling=strict`: the worst status instead of 207.
    pub(super) strict: bool,
}

/// More of it is not carried on: the rule says that 512 bytes should be (W3C Trace Context §3.3.1.5).
const TRACESTATE_BYTES_MAX: usize = 2048;

/// Names that are parsed once and not for every request.
const KEY: HeaderName = HeaderName::from_static("postrider-key");
const PREFER: HeaderName = HeaderName::from_static("prefer");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

impl Context {
    pub(super) fn read(headers: &HeaderMap) -> Result<Self, Problem> {
        let traceparent = traceparent(headers);
        let mut context = Self {
            key: key(headers)?,
            traceparent,
            tracestate: traceparent.and_then(|_| tracestate(headers)),
            ..Self::default()
        };
        for value in headers.get_all(PREFER) {
            for preference in value.to_str().unwrap_or_default().split(',') {
                let preference = preference.split(';').next().unwrap_or_default().trim();
                context.minimal |= preference.eq_ignore_ascii_case("return=minimal");
                context.strict |= preference.eq_ignore_ascii_case("handling=strict");
            }
        }
        Ok(context)
    }

    /// One of the request's events, to be published.
    pub(super) fn item(&self, event: Event) -> Item {
        Item {
            event,
            key: self.key.clone(),
            traceparent: self.traceparent,
            tracestate: self.tracestate.clone(),
        }
    }
}

fn key(headers: &HeaderMap) -> Result<Option<Key>, Problem> {
    let mut values = headers.get_all(KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::new("bad_request", "the request has more than one postrider-key header"));
    }
    // The key of a delivery comes percent-encoded, and a service may send that header on.
    let text = event::http::text(value)
        .map_err(|rule| Problem::new("bad_request", format!("postrider-key {rule}")))?;
    if text.len() > Key::BYTES_MAX {
        let detail = format!("postrider-key has {} bytes; at most 1,024 are allowed", text.len());
        return Err(Problem::new("key_too_long", detail));
    }
    Ok(Key::new(text.into_owned()))
}

/// An invalid or repeated header is as good as none (W3C Trace Context §3.2.2).
fn traceparent(headers: &HeaderMap) -> Option<TraceParent> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    TraceParent::parse(value.as_bytes())
}

/// Several headers are one list, in their order (W3C Trace Context §3.3.1).
fn tracestate(headers: &HeaderMap) -> Option<Box<str>> {
    let mut all = String::new();
    for value in headers.get_all(TRACESTATE) {
        let value = value.to_str().ok()?.trim();
        if !all.is_empty() && !value.is_empty() {
            all.push(',');
        }
        all.push_str(value);
    }
    (!all.is_empty() && all.len() <= TRACESTATE_BYTES_MAX).then(|| all.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_trace_is_read_as_its_rules_say() {
        let read = |pairs: &[(&'static str, &str)]| Context::read(&headers(pairs)).unwrap();
        let context = read(&[("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", "b=2")]);
        assert_eq!(context.traceparent.map(|t| t.to_string()).as_deref(), Some(PARENT));
        assert_eq!(context.tracestate.as_deref(), Some("a=1,b=2"));
        let alone = read(&[("tracestate", "a=1")]);
        assert_eq!(alone.tracestate, None, "tracestate means nothing without traceparent");
        assert_eq!(read(&[("traceparent", "nonsense")]).traceparent, None);
        assert_eq!(read(&[("traceparent", PARENT), ("traceparent", PARENT)]).traceparent, None);
    }

    #[test]
    fn preferences_are_found_wherever_they_stand() {
        let read = |value: &str| Context::read(&headers(&[("prefer", value)])).unwrap();
        let both = read("respond-async, Return=Minimal; x=y, handling=strict");
        assert!(both.minimal && both.strict);
        let none = read("return=representation, handling=lenient");
        assert!(!none.minimal && !none.strict);
    }

    #[test]
    fn a_key_is_taken_within_its_bound() {
        let read = |value: &str| Context::read(&headers(&[("postrider-key", value)]));
        assert_eq!(read("k").unwrap().key, Key::new("k"));
        assert_eq!(read("").unwrap().key, None);
        assert!(read(&"k".repeat(1024)).is_ok());
        assert_eq!(read(&"k".repeat(1025)).unwrap_err().code(), "key_too_long");
        assert!(read(&"%C3%A9".repeat(512)).is_ok(), "what counts is the key, and not how it is written");
        assert_eq!(read(&"%C3%A9".repeat(513)).unwrap_err().code(), "key_too_long");
    }

    #[test]
    fn a_key_that_was_delivered_can_be_sent_on() {
        for key in ["größe 1", "100%", "\"quoted\"", "%41", " "] {
            let mut delivered = HeaderMap::new();
            delivered.insert(KEY, event::http::value(key.into()));
            assert_eq!(Context::read(&delivered).unwrap().key, Key::new(key), "{key}");
        }
        let raw = headers(&[("postrider-key", "größe 1")]);
        assert_eq!(
            Context::read(&raw).unwrap().key,
            Key::new("größe 1"),
            "one that is not encoded is itself"
        );
    }

    #[test]
    fn a_key_that_is_no_text_is_refused_with_the_rule() {
        let problem = |value: &[u8]| {
            let mut all = HeaderMap::new();
            all.insert(KEY, http::HeaderValue::from_bytes(value).unwrap());
            Context::read(&all).unwrap_err()
        };
        for (value, rule) in [(&b"100%"[..], "%25"), (b"%zz", "%25"), (b"\xff", "UTF-8"), (b"%FF", "UTF-8")] {
            let problem = problem(value);
            assert_eq!(problem.code(), "bad_request", "{value:?}");
            let detail = format!("{problem:?}");
            assert!(detail.contains("postrider-key must") && detail.contains(rule), "{detail}");
        }
    }
}
