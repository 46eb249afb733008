//! What an operator reads.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use postrider_telemetry::{Happened, Log, Telemetry, Trace};

#[derive(Clone, Debug, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What the log shows at `warn`, as it is by default or quieter.
fn shown(happened: &[Happened<'_>]) -> String {
    let written = Written::default();
    let writer = written.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_ansi(false)
        .without_time()
        .with_writer(move || writer.clone())
        .finish();
    let telemetry = Telemetry::new(vec![Box::new(Log::new())]);
    tracing::subscriber::with_default(subscriber, || {
        for h in happened {
            telemetry.tell(h.clone());
        }
    });
    let bytes = written.0.lock().clone();
    String::from_utf8(bytes).expect("UTF-8")
}

fn letter(id: &str) -> Happened<'_> {
    Happened::DeadLettered {
        subscription: "billing",
        id,
        reason: "too_old",
        status: Some(500),
        attempts: 3,
        trace: Some(Trace { trace: 0xabc, parent: 1, flags: 1 }),
    }
}

#[test]
fn a_dead_letter_is_a_line_with_its_trace() {
    let text = shown(&[letter("1")]);
    for part in ["WARN", "billing", "too_old", "00000000000000000000000000000abc", "dead-lettered"] {
        assert!(text.contains(part), "{part} in {text:?}");
    }
}

#[test]
fn a_dropped_reply_is_a_line_that_says_why_and_a_flood_of_them_is_cut() {
    let dropped = Happened::ReplyDropped {
        subscription: "billing",
        id: "1",
        reason: "no source\nWARN all is well",
        trace: Some(Trace { trace: 0xabc, parent: 1, flags: 1 }),
    };
    let text = shown(std::slice::from_ref(&dropped));
    for part in ["WARN", "billing", "no source", "00000000000000000000000000000abc", "dropped"] {
        assert!(text.contains(part), "{part} in {text:?}");
    }
    assert_eq!(text.lines().count(), 1, "{text:?}");
    let lines = shown(&vec![dropped; 1_000]).lines().count();
    assert!((1..500).contains(&lines), "{lines} lines for 1,000 replies");
}

#[test]
fn an_events_id_forges_no_line() {
    let text = shown(&[letter("1\nWARN all is well\x1b[2J")]);
    assert_eq!(text.lines().count(), 1, "{text:?}");
    assert!(!text.contains('\x1b'), "{text:?}");
}

#[test]
fn a_flood_of_letters_is_cut_and_what_happens_to_every_event_is_not_shown() {
    let accepted = Happened::Accepted {
        topic: "orders",
        broker: "local",
        events: 1,
        bytes: 1,
        latency: Duration::ZERO,
        trace: None,
    };
    assert_eq!(shown(&[accepted]), "");
    let lines = shown(&vec![letter("1"); 1_000]).lines().count();
    assert!((1..500).contains(&lines), "{lines} lines for 1,000 letters");
}

#[test]
fn a_full_topic_is_a_warning_and_its_flood_is_cut() {
    let refused = |code| Happened::Refused { topic: "orders", code, events: 1, trace: None };
    let text = shown(&[refused("log_full"), refused("overloaded")]);
    assert_eq!(text.lines().count(), 1, "other refusals are their publisher's to see: {text}");
    for part in ["WARN", "orders", "log_full", "/v1/status"] {
        assert!(text.contains(part), "{part} in {text:?}");
    }
    let lines = shown(&vec![refused("log_full"); 1_000]).lines().count();
    assert!((10..=100).contains(&lines), "{lines} lines");
}
