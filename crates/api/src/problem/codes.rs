/// A stable code and what it always means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    pub code: &'static str,
    pub status: u16,
    pub title: &'static str,
}

const fn code(status: u16, code: &'static str, title: &'static str) -> Code {
    Code { code, status, title }
}

/// Every code that the API answers with. Each has a page `docs/errors/{code}.md`.
pub const CODES: &[Code] = &[
    code(400, "bad_request", "The request cannot be understood"),
    code(400, "malformed_event", "The event breaks a rule of CloudEvents"),
    code(400, "reserved_attribute", "The event has an attribute that is reserved"),
    code(400, "key_too_long", "The event's key is too long"),
    code(403, "denied", "The caller may not do that"),
    code(403, "host_not_allowed", "The request is for another host"),
    code(403, "origin_not_allowed", "Requests of web pages are not taken"),
    code(403, "broker_denied", "The broker refuses this sidecar"),
    code(404, "not_found", "There is nothing at this path"),
    code(404, "unknown_topic", "No such topic is configured"),
    code(404, "unrouted_type", "No topic takes events of this type"),
    code(404, "topic_not_on_broker", "The broker has no such topic"),
    code(404, "unknown_subscription", "No such subscription runs here"),
    code(404, "unknown_broker", "No such broker is configured"),
    code(405, "method_not_allowed", "The path is right, the method is not"),
    code(408, "request_timeout", "The request's body did not come in time"),
    code(409, "conflict", "The state of things does not allow it"),
    code(413, "body_too_large", "The request's body is too large"),
    code(413, "event_too_large", "The event is too large"),
    code(415, "unsupported_media_type", "The body is of a type that is not taken"),
    code(415, "unsupported_encoding", "Encoded bodies are not taken"),
    code(429, "overloaded", "Too much is being published at once"),
    code(500, "internal", "A defect in Postrider"),
    code(500, "storage_damaged", "The stored data is damaged"),
    code(501, "unsupported_by_broker", "The broker cannot do that"),
    code(503, "after_failure", "An earlier event of the same key was not written"),
    code(503, "broker_busy", "The broker takes less than is published"),
    code(503, "broker_pending", "The broker is not ready yet"),
    code(503, "broker_unavailable", "The broker cannot be reached"),
    code(503, "shutting_down", "This process is shutting down"),
    code(504, "outcome_unknown", "It is not known whether the event was written"),
    code(504, "timed_out", "The answer did not come in time"),
    code(507, "log_full", "The topic or the disk is full"),
];

/// The entry of a code. One that is not in the table is a defect and answers as such.
pub(super) fn find(code: &str) -> &'static Code {
    const INTERNAL: Code = self::code(500, "internal", "A defect in Postrider");
    CODES.iter().find(|entry| entry.code == code).unwrap_or(&INTERNAL)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use broker::RefusalKind;

    use super::*;

    #[test]
    fn each_code_stands_once_and_has_its_page() {
        let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors");
        for (n, entry) in CODES.iter().enumerate() {
            assert!(!CODES[..n].iter().any(|other| other.code == entry.code), "{} stands twice", entry.code);
            let page = std::fs::read_to_string(pages.join(format!("{}.md", entry.code))).unwrap_or_default();
            assert!(
                page.starts_with(&format!("# {}: {}\n", entry.code, entry.title)),
                "docs/errors/{}.md begins with the code and its title",
                entry.code
            );
            assert!(page.contains(&entry.status.to_string()), "{}.md tells the status", entry.code);
        }
    }

    #[test]
    fn every_refusal_has_a_code_of_the_table() {
        for kind in [
            RefusalKind::UnknownTopic,
            RefusalKind::TooLarge,
            RefusalKind::Denied,
            RefusalKind::Overloaded,
            RefusalKind::Unavailable,
            RefusalKind::Full,
            RefusalKind::AfterFailure,
        ] {
            assert_eq!(find(publish::refusal_code(kind)).code, publish::refusal_code(kind));
        }
    }
}
