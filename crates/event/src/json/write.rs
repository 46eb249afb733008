use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::scan;
use crate::rules::media_type;
use crate::{Data, Event, Value};

/// Appends the event as one JSON object.
///
/// Data that came as JSON goes out as it came. Other data goes as `data` where its content type declares JSON and it
/// is JSON, or declares UTF-8 text and it is that; else as `data_base64`.
pub fn write(event: &Event, into: &mut Vec<u8>) {
    into.reserve(event.size() + 128);
    into.extend_from_slice(br#"{"specversion":"1.0""#);
    // JSON event format 1.0.2, 3:
    //# All REQUIRED and all not omitted OPTIONAL attributes in the given event MUST
    //# become members of the JSON object, with the respective JSON object member name
    //# matching the attribute name
    // 2:
    //# Extensions MUST be serialized as a top-level JSON property.
    for (name, value) in event.attributes() {
        into.extend_from_slice(b",\"");
        into.extend_from_slice(name.as_bytes());
        into.extend_from_slice(b"\":");
        match value {
            Value::String(text) => write_string(text, into),
            Value::Boolean(_) | Value::Integer(_) => into.extend_from_slice(value.to_text().as_bytes()),
        }
    }
    match event.data() {
        None => {}
        // JSON event format 1.0.2, 3.1.1:
        //# The data value MUST be stored directly as a JSON value, rather than as an
        //# encoded JSON document represented as a string.
        Some(Data::Json(text)) => write_json(text, into),
        Some(Data::Binary(bytes)) => write_binary(event.data_content_type(), bytes, into),
    }
    into.push(b'}');
}

/// Appends the event as one line of NDJSON: as [`write()`] does, with the line breaks taken out that its data may
/// hold.
pub fn write_line(event: &Event, into: &mut Vec<u8>) {
    let start = into.len();
    write(event, into);
    // In JSON a raw line break can only be white space between tokens: in strings it has to be escaped.
    for byte in &mut into[start..] {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    into.push(b'\n');
}

fn write_json(text: &[u8], into: &mut Vec<u8>) {
    into.extend_from_slice(br#","data":"#);
    into.extend_from_slice(text);
}

fn write_binary(content_type: Option<&str>, bytes: &[u8], into: &mut Vec<u8>) {
    if let Some(content_type) = content_type {
        if media_type::is_json(content_type) {
            if scan::is_json(bytes) {
                return write_json(bytes, into);
            }
        } else if media_type::is_text(content_type)
            && !media_type::has_foreign_charset(content_type)
            && let Ok(text) = std::str::from_utf8(bytes)
        {
            into.extend_from_slice(br#","data":"#);
            return write_string(text, into);
        }
    }
    // JSON event format 1.0.2, 3.1.1:
    //# If the implementation determines that the type of data is `Binary`, the value
    //# MUST be represented as a JSON string expression containing the Base64 encoded
    //# binary value, and use the member name `data_base64`
    into.extend_from_slice(br#","data_base64":""#);
    let start = into.len();
    into.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = BASE64.encode_slice(bytes, &mut into[start..]).expect("four bytes hold three");
    into.truncate(start + written);
    into.push(b'"');
}

fn write_string(text: &str, into: &mut Vec<u8>) {
    into.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let (plain, special) = rest.split_at(scan::plain_run(rest));
        into.extend_from_slice(plain);
        let Some((byte, after)) = special.split_first() else { break };
        match byte {
            b'"' => into.extend_from_slice(b"\\\""),
            b'\\' => into.extend_from_slice(b"\\\\"),
            b'\n' => into.extend_from_slice(b"\\n"),
            b'\r' => into.extend_from_slice(b"\\r"),
            b'\t' => into.extend_from_slice(b"\\t"),
            control => into.extend_from_slice(format!("\\u{control:04x}").as_bytes()),
        }
        rest = after;
    }
    into.push(b'"');
}
