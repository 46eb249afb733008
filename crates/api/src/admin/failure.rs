//! What goes wrong behind the admin listener, as problems.

use broker::ErrorKind;

use crate::problem::Problem;

pub(super) fn of_delivery(error: delivery::Error) -> Problem {
    let text = error.to_string();
    match error {
        delivery::Error::Unknown(_) => Problem::new("unknown_subscription", text),
        delivery::Error::Broker(error) => of_broker(error),
        _ => Problem::new("conflict", text),
    }
}

/// Like [`of_delivery`], of a call that begins at a page's `from`: a broker finds nothing at a position that is none.
pub(super) fn of_page(error: delivery::Error, from: Option<&str>) -> Problem {
    match (error, from) {
        (delivery::Error::Broker(error), Some(_)) if error.kind == ErrorKind::NotFound => {
            Problem::new("bad_request", format!("the query: from is a page's next: {}", error.message))
        }
        (error, _) => of_delivery(error),
    }
}

/// Of a topic that is configured.
pub(super) fn of_topic(error: broker::Error) -> Problem {
    match error.kind {
        ErrorKind::NotFound => Problem::new("topic_not_on_broker", error.message),
        _ => of_broker(error),
    }
}

pub(super) fn of_broker(error: broker::Error) -> Problem {
    let code = match error.kind {
        ErrorKind::Unavailable => "broker_unavailable",
        ErrorKind::NotFound => "not_found",
        ErrorKind::Denied => "broker_denied",
        ErrorKind::Conflict => "conflict",
        ErrorKind::Unsupported => "unsupported_by_broker",
        ErrorKind::Corrupt => "storage_damaged",
        ErrorKind::Closed => "shutting_down",
    };
    Problem::new(code, error.message)
}
