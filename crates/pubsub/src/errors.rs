//! What Google's client reports, as what a caller may do about it.

use std::error::Error as StdError;

use broker::{Error, ErrorKind};
use google_cloud_auth::errors::CredentialsError;
use google_cloud_gax::error::Error as Gax;
use google_cloud_gax::error::rpc::Code;

use crate::credentials::HINT;

/// Why something cannot be created in a project.
pub(crate) const NO_PROJECT: &str =
    "its project (`project`) does not exist, or this identity may not know of it";

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
    if error.is_authentication() {
        return format!("there is no token: {}", no_token(error));
    }
    chain(error)
}

/// An error, and behind it what of its causes it does not say itself.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    causes(error).map(ToString::to_string).fold(String::new(), |text, more| match text.as_str() {
        "" => more,
        text if text.contains(&more) => text.to_owned(),
        text => format!("{text}: {more}"),
    })
}

/// Why there is no token, without what the layers of Google's client add: that there is none, and whether they go on.
pub(crate) fn no_token(error: &(dyn StdError + 'static)) -> String {
    let why = causes(error).filter(|error| error.is::<CredentialsError>()).last().unwrap_or(error);
    chain(why)
        .replace(" but future attempts may succeed", "")
        .replace(" and future attempts will not succeed", "")
}

/// The error and its causes, the innermost last.
fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| (**error).source())
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
            format!("; {HINT}")
        }
        _ => String::new(),
    };
    Error::new(kind, format!("{what}: {}{hint}", words(error)))
}
