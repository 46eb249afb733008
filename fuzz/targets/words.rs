//! Everything that is read from a few characters: durations, sizes, rates, addresses, `Retry-After`, HTTP dates, percent
//! escapes, times, positions, trace parents.

#![no_main]

use std::time::{Duration, SystemTime};

use broker::{Origin, Position, TraceParent};
use libfuzzer_sys::fuzz_target;
use postrider_fuzz::bounded;

/// Sun, 06 Nov 1994 08:49:37 GMT, the date that RFC 9110 likes best.
const NOW: Duration = Duration::from_secs(784_111_777);

fuzz_target!(|input: &[u8]| {
    if let Some(trace) = TraceParent::parse(input) {
        assert!(trace.trace != 0 && trace.parent != 0, "what is all zeros is no trace");
        assert_eq!(TraceParent::parse(trace.to_string().as_bytes()), Some(trace));
    }
    let now = SystemTime::UNIX_EPOCH + NOW;
    let after = bounded(input.len(), 4, || delivery::fuzzing::retry_after(input, now));
    if !input.is_empty() && input.iter().all(u8::is_ascii_digit) {
        assert!(after.is_some(), "a number of seconds is one, however large");
    }
    let Ok(text) = std::str::from_utf8(input) else { return };
    config::fuzzing::values(text);
    assert_eq!(Position::parse(text).to_string(), text, "a position prints as it was written");
    if let Some(origin) = Origin::parse(text) {
        assert_eq!(Origin::parse(&origin.to_string()), Some(origin));
    }
    if let Some(decoded) = bounded(input.len(), 4, || api::fuzzing::percent_decoded(text)) {
        assert!(decoded.len() <= text.len());
        let escaped: String = decoded.bytes().map(|byte| format!("%{byte:02X}")).collect();
        assert_eq!(api::fuzzing::percent_decoded(&escaped).as_deref(), Some(&*decoded));
    }
    let _ = (api::fuzzing::span(text), api::fuzzing::time(text));
});
