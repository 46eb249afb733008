//! What a Pub/Sub broker takes, as far as it can be told without the service.

use http::Uri;

use super::is_host_and_port;
use crate::broker::{Pubsub, RETENTION};
use crate::environment;
use crate::error::Code;
use crate::names;
use crate::path::Path;
use crate::validate::Check;

pub(super) fn check(check: &mut Check<'_>, path: &Path, pubsub: &Pubsub) {
    if names::project(&pubsub.project).is_err() {
        let path = path.key("project");
        let message = format!("`{}` is no project's id", check.shown(&path, &pubsub.project));
        check.error(Code::BadValue, &path, message, "An id has a-z, 0-9 and `-`: `my-project-123`.");
    }
    if let Some(endpoint) = &pubsub.endpoint
        && !is_endpoint(endpoint)
    {
        let path = path.key("endpoint");
        let message = format!("`{}` is no endpoint of the service", check.shown(&path, endpoint));
        check.error(
            Code::BadValue,
            &path,
            message,
            "Write https://REGION-pubsub.googleapis.com, without a path.",
        );
    }
    if let Some(emulator) = &pubsub.emulator {
        self::emulator(check, &path.key("emulator"), emulator);
    }
    if pubsub.credentials.file.as_deref() == Some("") {
        let path = path.key("credentials").key("file");
        let hint = "Name a file, or leave it out for application-default credentials.";
        check.error(Code::BadValue, &path, "the path is empty", hint);
    }
    if pubsub.topic_retention.is_some_and(|retention| !RETENTION.contains(&retention)) {
        let (least, most) = (RETENTION.start(), RETENTION.end());
        let message = format!("`topic_retention` must be between {least} and {most}");
        let hint = "Leave it out for topics that keep nothing.";
        check.error(Code::BadValue, &path.key("topic_retention"), message, hint);
    }
    let lease = &pubsub.lease;
    let hint = "A lease is extended again and again, and ends with `max`.";
    check.not_longer(&path.key("lease"), [("extension", lease.extension), ("max", lease.max)], hint);
    labels(check, &path.key("labels"), pubsub);
}

fn is_endpoint(endpoint: &str) -> bool {
    endpoint.parse::<Uri>().is_ok_and(|uri| {
        let authority = uri.authority().map_or("", http::uri::Authority::as_str);
        uri.scheme_str() == Some("https")
            && uri.host().is_some_and(|host| !host.is_empty())
            && !authority.contains('@')
            && matches!(uri.path(), "" | "/")
            && uri.query().is_none()
    })
}

/// It comes from the files or from the environment, whose address is told: with it events go elsewhere than the files say.
fn emulator(check: &mut Check<'_>, path: &Path, emulator: &str) {
    let written = check.is_written(path);
    let good = is_host_and_port(emulator);
    if !good && written {
        let message = format!("`{}` is no address of an emulator", check.shown(path, emulator));
        check.error(Code::BadValue, path, message, "Write HOST:PORT: `localhost:8085`.");
    } else if !good {
        let message = format!("the environment variable `{}` is not HOST:PORT", environment::EMULATOR);
        check.error(Code::BadValue, path, message, "Set it to `localhost:8085`, or unset it.");
    } else if !written {
        let message = format!(
            "`{}` is set: the emulator at {emulator} is used instead of the service, without TLS and credentials",
            environment::EMULATOR
        );
        check.warn(path, message);
    }
}

fn labels(check: &mut Check<'_>, path: &Path, pubsub: &Pubsub) {
    if pubsub.labels.len() > names::LABELS_MAX {
        let message = format!("{} labels, and there may be {}", pubsub.labels.len(), names::LABELS_MAX);
        check.error(Code::BadValue, path, message, "");
    }
    for (key, value) in &pubsub.labels {
        if let Err(reason) = names::label(key, value) {
            let path = path.key(key);
            let at = check.root.locate_key(&path);
            check.error_at(at, Code::BadValue, &path, reason, "");
        }
    }
}
