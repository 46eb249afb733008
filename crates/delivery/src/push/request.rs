//! Deliveries as HTTP requests, in the four modes.

use broker::{Body, Record};
use bytes::Bytes;
use event::{Data, Event, http as binding};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};
use http_body_util::Full;
use parking_lot::Mutex;

use crate::{Mode, Webhook};

const SUBSCRIPTION: HeaderName = HeaderName::from_static("postrider-subscription");
const TOPIC: HeaderName = HeaderName::from_static("postrider-topic");
const ATTEMPT: HeaderName = HeaderName::from_static("postrider-attempt");
const KEY: HeaderName = HeaderName::from_static("postrider-key");
const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

const STRUCTURED: HeaderValue = HeaderValue::from_static(binding::STRUCTURED);
const BATCHED: HeaderValue = HeaderValue::from_static(binding::BATCHED);
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
const FIRST: HeaderValue = HeaderValue::from_static("1");
const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("postrider/", env!("CARGO_PKG_VERSION")));

/// What is the same in every request of a subscription, made once.
#[derive(Debug)]
pub(crate) struct Template {
    /// Path and query; the host goes into its header.
    target: Uri,
    host: HeaderValue,
    subscription: HeaderValue,
    topic: HeaderValue,
    mode: Mode,
    encoding: binding::Encoding,
    /// The second of the last request, and its header: many share it.
    timestamp: Mutex<(u64, HeaderValue)>,
}

/// One delivery of a request.
#[derive(Debug)]
pub(crate) struct Part<'a> {
    pub(crate) record: &'a Record,
    /// Which POST of this delivery this is, from 1.
    pub(crate) number: u32,
}

impl Template {
    pub(crate) fn new(webhook: &Webhook, subscription: &str, topic: &str) -> Result<Self, String> {
        let authority = webhook.uri.authority().ok_or("the webhook's URI names no host")?;
        let target = webhook.uri.path_and_query().cloned().map_or_else(|| Uri::from_static("/"), Uri::from);
        Ok(Self {
            target,
            host: HeaderValue::from_str(authority.as_str()).map_err(|error| error.to_string())?,
            subscription: binding::value(Bytes::copy_from_slice(subscription.as_bytes())),
            topic: binding::value(Bytes::copy_from_slice(topic.as_bytes())),
            mode: webhook.mode,
            encoding: webhook.encoding,
            timestamp: Mutex::new((0, HeaderValue::from(0))),
        })
    }

    pub(crate) fn is_raw(&self) -> bool {
        self.mode == Mode::Raw
    }

    /// The request for these deliveries: one, or in batch mode several. All carry an event, unless the mode is raw.
    pub(crate) fn request(&self, parts: &[Part<'_>], now_ms: u64) -> Request<Full<Bytes>> {
        let mut headers = HeaderMap::with_capacity(24);
        headers.insert(header::HOST, self.host.clone());
        headers.insert(header::USER_AGENT, USER_AGENT);
        let body = match self.mode {
            Mode::Batch { .. } => batch(parts, &mut headers),
            mode => parts.first().map_or_else(Bytes::new, |part| self.single(mode, part, &mut headers)),
        };
        headers.insert(SUBSCRIPTION, self.subscription.clone());
        headers.insert(WEBHOOK_TIMESTAMP, self.timestamp(now_ms / 1000));
        if let Some(first) = parts.first() {
            self.common(first, &mut headers);
        }
        // Several events have several keys and traces: those of one must not stand for all.
        if let [only] = parts {
            alone(only.record, &mut headers);
        }
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.target.clone();
        *request.headers_mut() = headers;
        request
    }

    fn timestamp(&self, seconds: u64) -> HeaderValue {
        let mut last = self.timestamp.lock();
        if last.0 != seconds {
            *last = (seconds, HeaderValue::from(seconds));
        }
        last.1.clone()
    }

    /// Headers that a batch has from its first event.
    fn common(&self, first: &Part<'_>, headers: &mut HeaderMap) {
        // A redriven letter says where it was published, not that it lay among the dead letters.
        let topic = match &first.record.letter {
            Some(letter) => binding::value(Bytes::copy_from_slice(letter.topic.as_bytes())),
            None => self.topic.clone(),
        };
        headers.insert(TOPIC, topic);
        let attempt = if first.number == 1 { FIRST } else { HeaderValue::from(first.number) };
        headers.insert(ATTEMPT, attempt);
        if let Body::Event(event) = &first.record.body {
            headers.insert(WEBHOOK_ID, binding::id(event));
        }
    }

    fn single(&self, mode: Mode, part: &Part<'_>, headers: &mut HeaderMap) -> Bytes {
        match &part.record.body {
            Body::Foreign { bytes, .. } => {
                headers.insert(header::CONTENT_TYPE, OCTETS);
                bytes.clone()
            }
            Body::Event(event) if mode == Mode::Raw => raw(event, headers),
            // CloudEvents HTTP WebHook §2.1: a delivery has a payload and its content type, which an event without
            // data has in structured mode alone.
            Body::Event(event) if mode == Mode::Binary && binding::fits_binary(event) => {
                binding::to_binary(event, self.encoding, headers)
            }
            Body::Event(event) => {
                headers.insert(header::CONTENT_TYPE, STRUCTURED);
                let mut body = Vec::with_capacity(event.encoded_len() + 256);
                event::json::write(event, &mut body);
                body.into()
            }
        }
    }
}

fn batch(parts: &[Part<'_>], headers: &mut HeaderMap) -> Bytes {
    headers.insert(header::CONTENT_TYPE, BATCHED);
    let events = || {
        parts.iter().filter_map(|part| match &part.record.body {
            Body::Event(event) => Some(event),
            Body::Foreign { .. } => None,
        })
    };
    let mut body = Vec::with_capacity(2 + events().map(|event| event.encoded_len() + 256).sum::<usize>());
    body.push(b'[');
    for event in events() {
        if body.len() > 1 {
            body.push(b',');
        }
        event::json::write(event, &mut body);
    }
    body.push(b']');
    body.into()
}

/// The data alone. Where its content type is absent or cannot be a header, it is told by what the data is.
fn raw(event: &Event, headers: &mut HeaderMap) -> Bytes {
    let (fallback, body) = match event.data() {
        Some(Data::Json(text)) => (JSON, text.clone()),
        Some(Data::Binary(bytes)) => (OCTETS, bytes.clone()),
        None => (OCTETS, Bytes::new()),
    };
    let named = event.data_content_type().and_then(|name| HeaderValue::from_str(name).ok());
    headers.insert(header::CONTENT_TYPE, named.unwrap_or(fallback));
    body
}

fn alone(record: &Record, headers: &mut HeaderMap) {
    if let Some(key) = &record.key {
        headers.insert(KEY, binding::value(key.bytes().clone()));
    }
    if let Some(parent) = &record.hop.traceparent {
        headers.insert(TRACEPARENT, binding::value(Bytes::copy_from_slice(&parent.to_bytes())));
        let state = record.hop.tracestate.as_deref().and_then(|state| HeaderValue::from_str(state).ok());
        if let Some(state) = state {
            headers.insert(TRACESTATE, state);
        }
    }
}
