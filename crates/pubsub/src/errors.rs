//! What Google's client reports, as what a caller may do about it.

use std::error::Error as _;

use broker::{Error, ErrorKind};
use google_cloud_gax::error::Error as Gax;
use google_cloud_gax::error::rpc::Code;

/// The code of an answer of the service's, over gRPC or over HTTP.
pub(crate) fn code(error: &Gax) -> Option<Code> {
    if let Some(status) = error.status() {
        return Some(status.code);
    }
    Some(match error.http_status_code()? {
        400 => Code::InvalidArgument,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::NotFound,
        409 => Code::AlreadyExists,
        429 => Code::ResourceExhausted,
        504 => Code::DeadlineExceeded,
        500 | 502 | 503 => Code::Unavailable,
        _ => return None,
    })
}

/// What it is to the caller.
pub(crate) fn kind(error: &Gax) -> ErrorKind {
    match code(error) {
        Some(Code::NotFound) => ErrorKind::NotFound,
        Some(Code::PermissionDenied | Code::Unauthenticated) => ErrorKind::Denied,
        Some(Code::AlreadyExists | Code::FailedPrecondition | Code::InvalidArgument | Code::OutOfRange) => {
            ErrorKind::Conflict
        }
        Some(Code::Unimplemented) => ErrorKind::Unsupported,
        // Credentials that cannot be had now may be there later: a metadata server comes up after the pod.
        _ => ErrorKind::Unavailable,
    }
}

/// The service answered, whatever it said.
pub(crate) fn is_answer(error: &Gax) -> bool {
    !matches!(code(error), None | Some(Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled))
}

/// In plain words, the innermost cause behind.
pub(crate) fn words(error: &Gax) -> String {
    if let Some(status) = error.status() {
        return format!("{} ({})", status.message, status.code.name());
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    text
}

/// What was tried failed: `what` is the beginning of a sentence, `permission` what it takes.
pub(crate) fn error(what: &str, permission: &str, error: &Gax) -> Error {
    let kind = kind(error);
    let hint = match code(error) {
        Some(Code::PermissionDenied) => {
            format!("; grant this identity the permission {permission}")
        }
        Some(Code::Unauthenticated) => {
            "; the credentials were not accepted: see `credentials`, or GOOGLE_APPLICATION_CREDENTIALS".into()
        }
        None if error.is_authentication() => {
            "; set GOOGLE_APPLICATION_CREDENTIALS or `credentials.file`, or run where Workload Identity gives some".into()
        }
        _ => String::new(),
    };
    Error::new(kind, format!("{what}: {}{hint}", words(error)))
}
