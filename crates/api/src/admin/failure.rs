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
