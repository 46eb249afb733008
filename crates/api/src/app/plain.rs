//! Bodies that are no CloudEvent: wrapped into one, or refused with a hint.

use bytes::Bytes;
use event::Event;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

use crate::problem::Problem;

/// Refuses the bodies that a hostile web page can send without being asked (CORS-safelisted), and that `curl -d` sends
/// by mistake.
pub(super) fn check(headers: &HeaderMap, is_empty: bool) -> Result<(), Problem> {
    let content_type = headers.get(CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes);
    let essence = content_type.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    let hint = "name the body's content-type, such as application/json (curl: -H 'content-type: application/json'), \
                or send a CloudEvent";
    let refused = |what: &str| Problem::new("unsupported_media_type", format!("{what}; {hint}"));
    let is = |media_type: &str| essence.eq_ignore_ascii_case(media_type.as_bytes());
    if essence.is_empty() {
        return if is_empty { Ok(()) } else { Err(refused("the request has no content-type")) };
    }
    if is("application/x-www-form-urlencoded") || is("multipart/form-data") {
        return Err(refused("forms are not taken"));
    }
    if is("text/plain") {
        return Err(refused("bare text is not taken"));
    }
    Ok(())
}

/// Makes an event of a body: the body as the data, untouched.
pub(super) fn wrap(headers: &HeaderMap, service: &str, topic: &str, body: Bytes) -> Result<Event, Problem> {
    let id = match headers.get("idempotency-key") {
        Some(key) => idempotency_key(key)?,
        None => uuid::Uuid::now_v7().to_string(),
    };
    let time = jiff::Timestamp::now().to_string();
    let builder = Event::builder().id(id).source(service).kind(topic).time(time);
    event::http::from_plain(builder, headers, body).map_err(Problem::malformed)
}

/// The header's draft has a quoted string; many clients send it bare.
fn idempotency_key(value: &HeaderValue) -> Result<String, Problem> {
    let text = value.to_str().ok().map(str::trim);
    let text = text.map(|text| text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text));
    match text {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        _ => Err(Problem::new("bad_request", "idempotency-key is empty or not printable ASCII")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_web_page_can_send_is_refused_with_a_hint() {
        let code = |content_type: &str, is_empty| {
            let mut headers = HeaderMap::new();
            if !content_type.is_empty() {
                headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
            }
            check(&headers, is_empty).err().map(|p| p.code())
        };
        for refused in [
            "application/x-www-form-urlencoded",
            "Multipart/Form-Data; boundary=x",
            "TEXT/plain; charset=utf-8",
            "",
        ] {
            assert_eq!(code(refused, false), Some("unsupported_media_type"), "{refused:?}");
        }
        for taken in ["application/json", "application/octet-stream", "text/csv", "image/png"] {
            assert_eq!(code(taken, false), None, "{taken:?}");
        }
        assert_eq!(code("", true), None, "an event may have no data");
    }
}
