use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;

use super::scan::{Quoted, Scanner, Stop};
use crate::draft::{self, Draft, Raw};
use crate::model::Core;
use crate::rules::media_type;
use crate::{Data, Event, Malformed};

/// Reads one event in structured mode. Data stays a slice of `body`, unless it has to be unescaped or base64-decoded.
pub fn from_bytes(body: Bytes) -> Result<Event, Malformed> {
    let mut scanner = Scanner::new(text_of(&body)?);
    let event = read_event(&mut scanner, &body)?;
    json(scanner.end(), &scanner)?;
    Ok(event)
}

/// Reads a JSON batch. The error tells the index of the first malformed entry (`None`: the body is no JSON array).
///
/// Every event's data is a slice of `body`, which so stays in memory until the last of them is dropped.
pub fn batch_from_bytes(body: Bytes) -> Result<Vec<Event>, (Option<usize>, Malformed)> {
    let whole = |malformed| (None, malformed);
    let mut scanner = Scanner::new(text_of(&body).map_err(whole)?);
    // JSON event format 1.0.2, 4.1: the outermost element is an array. 4.3: an empty one is valid.
    json(scanner.expect(b'[', "a JSON array of events"), &scanner).map_err(whole)?;
    let mut events = Vec::new();
    if !scanner.eat(b']') {
        loop {
            // HTTP binding 1.0.2, 3.3.2:
            //# All batched CloudEvents MUST have the same `specversion` attribute.
            // Every event has to say "1.0", so none can differ.
            let event = read_event(&mut scanner, &body);
            events.push(event.map_err(|malformed| (Some(events.len()), malformed))?);
            if !scanner.eat(b',') {
                break;
            }
        }
        json(scanner.expect(b']', "a comma or the end of the array"), &scanner).map_err(whole)?;
    }
    json(scanner.end(), &scanner).map_err(whole)?;
    Ok(events)
}

fn text_of(body: &Bytes) -> Result<&str, Malformed> {
    std::str::from_utf8(body).map_err(|e| {
        Malformed::event(format!(
            "must be JSON in UTF-8 (RFC 8259): byte {} does not belong to it",
            e.valid_up_to()
        ))
    })
}

/// Says where the text stops being JSON.
fn json<T>(scanned: Result<T, Stop>, scanner: &Scanner<'_>) -> Result<T, Malformed> {
    scanned.map_err(|Stop| not_json(scanner))
}

#[cold]
fn not_json(scanner: &Scanner<'_>) -> Malformed {
    let (at, expected) = scanner.broken();
    Malformed::event(format!("must be valid JSON (RFC 8259): expected {expected} at byte {at}"))
}

/// Reads the object that comes next.
fn read_event(scanner: &mut Scanner<'_>, body: &Bytes) -> Result<Event, Malformed> {
    let mut draft = Draft::default();
    let mut payload = Payload::default();
    if scanner.peek() != Some(b'{') {
        return Err(Malformed::event("must be a JSON object (JSON event format 1.0.2, section 3)"));
    }
    scanner.eat(b'{');
    if !scanner.eat(b'}') {
        loop {
            let name = json(scanner.name(), scanner)?.unescape();
            read_member(scanner, name.unwrap_or(Cow::Borrowed("\u{fffd}")), &mut draft, &mut payload)?;
            if !scanner.eat(b',') {
                break;
            }
        }
        json(scanner.expect(b'}', "a comma or the end of the event"), scanner)?;
    }
    draft.check()?;
    let data = payload.into_data(draft.core(Core::DataContentType), body)?;
    draft.pack(data)
}

fn read_member<'a>(
    scanner: &mut Scanner<'a>,
    name: Cow<'a, str>,
    draft: &mut Draft<'a>,
    payload: &mut Payload<'a>,
) -> Result<(), Malformed> {
    match &*name {
        "data" => {
            let value = json(scanner.value(), scanner)?;
            payload.data.replace(value).map_or(Ok(()), |_| Err(twice("data")))
        }
        "data_base64" => {
            let value = json(scanner.value(), scanner)?;
            payload.base64.replace(value).map_or(Ok(()), |_| Err(twice("data_base64")))
        }
        _ => {
            let value = read_attribute(scanner, &name)?;
            draft.add(name, value)
        }
    }
}

fn twice(member: &str) -> Malformed {
    Malformed::new(member, "must appear only once")
}

fn read_attribute<'a>(scanner: &mut Scanner<'a>, name: &str) -> Result<Raw<'a>, Malformed> {
    // JSON event format 1.0.2, 2.2:
    //# The CloudEvents type system MUST be mapped to JSON types as follows
    match scanner.peek() {
        Some(b'"') => {
            let text = json(scanner.string(), scanner)?.unescape();
            text.map(Raw::String).ok_or_else(|| Malformed::new(name, LONE_SURROGATE))
        }
        Some(b't' | b'f') => Ok(Raw::Boolean(json(scanner.value(), scanner)? == "true")),
        Some(b'-' | b'0'..=b'9') => {
            // CloudEvents 1.0.2, Type System, Integer:
            //# they MUST only use `Integer` values in this range
            // A fraction or an exponent is no integer: "only the integer component optionally prefixed with a minus
            // sign is permitted" (JSON event format 1.0.2, 2.2).
            let number = json(scanner.value(), scanner)?;
            number.parse().map(Raw::Integer).map_err(|_| Malformed::new(name, INTEGER))
        }
        Some(b'n') => {
            // JSON event format 1.0.2, 2.2:
            //# When decoding attributes and a `null` value is encountered, it MUST be
            //# treated as the equivalent of unset or omitted.
            json(scanner.value(), scanner)?;
            Ok(Raw::Unset)
        }
        Some(b'{' | b'[') => {
            Err(Malformed::new(name, if draft::is_defined(name) { draft::STRING } else { NESTED }))
        }
        _ => json(Err(scanner.stop("a value")), scanner),
    }
}

const NESTED: &str = "must be a string, a boolean or an integer: attributes do not nest (JSON event format 1.0.2, section 2.2)";
const LONE_SURROGATE: &str =
    "must not hold a surrogate that is not one of a pair (CloudEvents 1.0.2, Type System)";
const INTEGER: &str = "must be a whole number from -2147483648 to 2147483647, without fraction or exponent (CloudEvents 1.0.2, Type System)";

/// The members that carry the payload, as they stand in the text.
#[derive(Default)]
struct Payload<'a> {
    data: Option<&'a str>,
    base64: Option<&'a str>,
}

impl Payload<'_> {
    fn into_data(self, content_type: Option<&str>, body: &Bytes) -> Result<Option<Data>, Malformed> {
        match (self.data, self.base64.filter(|value| *value != "null")) {
            // JSON event format 1.0.2, 3.1.1:
            //# the presence of the `data` and `data_base64` members is
            //# mutually exclusive in a JSON serialized CloudEvent.
            (Some(_), Some(_)) => Err(Malformed::new(
                "data_base64",
                "excludes `data`: send one of them (JSON event format 1.0.2, section 3.1.1)",
            )),
            (None, None) => Ok(None),
            (None, Some(value)) => from_base64(value).map(|bytes| Some(Data::Binary(bytes))),
            (Some(value), None) => from_data(value, content_type, body),
        }
    }
}

fn from_base64(value: &str) -> Result<Bytes, Malformed> {
    const RULE: &str =
        "must be a string of base64 with padding, as in RFC 4648, section 4 (JSON event format 1.0.2)";
    // JSON event format 1.0.2, 3.1.2:
    //# the value is a Base64 encoded binary data, which
    //# the deserializer MUST decode into a binary runtime data type.
    let text =
        string_of(value).and_then(Quoted::unescape).ok_or_else(|| Malformed::new("data_base64", RULE))?;
    BASE64.decode(text.as_bytes()).map(Bytes::from).map_err(|_| Malformed::new("data_base64", RULE))
}

fn from_data(value: &str, content_type: Option<&str>, body: &Bytes) -> Result<Option<Data>, Malformed> {
    let content_type = match content_type {
        Some(other) if !media_type::is_json(other) => other,
        // JSON event format 1.0.2, 3.1.2:
        //# the `data` member MUST be treated directly as a JSON value
        //# if the `data` member is a string, a JSON deserializer MUST
        //# interpret it directly as a JSON String value; it MUST NOT further
        //# deserialize the string as a JSON document.
        // And `null` is a payload (3.1.1): "an explicit `null` payload as distinct from the absence of the `data`
        // member".
        _ => return Ok(Some(Data::Json(body.slice_ref(value.as_bytes())))),
    };
    if value == "null" {
        return Ok(None);
    }
    // The string is the content itself; a type that is not JSON says how to read it, and that is not our business.
    let Some(quoted) = string_of(value) else {
        return Err(Malformed::new(
            "data",
            "must be a JSON string, as `datacontenttype` is no JSON type (JSON event format 1.0.2, section 3.1.2)",
        ));
    };
    let text = quoted.unescape().ok_or_else(|| Malformed::new("data", LONE_SURROGATE))?;
    if !text.is_ascii() && media_type::has_foreign_charset(content_type) {
        return Err(Malformed::new(
            "data",
            "must go as `data_base64`, as `datacontenttype` names a charset other than UTF-8 and the text is not ASCII",
        ));
    }
    Ok(Some(Data::Binary(match text {
        Cow::Borrowed(text) => body.slice_ref(text.as_bytes()),
        Cow::Owned(text) => Bytes::from(text),
    })))
}

/// A value that has been scanned before, if it is a string.
fn string_of(value: &str) -> Option<Quoted<'_>> {
    let inner = value.strip_prefix('"')?.strip_suffix('"')?;
    Some(Quoted { inner, escaped: memchr::memchr(b'\\', inner.as_bytes()).is_some() })
}
