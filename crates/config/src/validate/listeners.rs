//! Listeners, and who may be called.

use super::Check;
use crate::address::{Address, Origin, Url};
use crate::error::Code;
use crate::path::{Path, Step};
use crate::tree::App;

pub(super) fn check(check: &mut Check<'_>) {
    let config = check.config;
    let listen = Path::of(&["listen"]);
    let listeners =
        [("app", &config.listen.app), ("admin", &config.listen.admin), ("health", &config.listen.health)];
    for (index, (name, address)) in listeners.iter().enumerate() {
        let path = listen.key(name);
        if let Some((other, _)) = listeners[..index].iter().find(|(_, other)| other.clashes(address)) {
            // The one that is written down is the one to change.
            let path = if check.is_written(&path) { path.clone() } else { listen.key(other) };
            let message = format!("the listeners `{other}` and `{name}` have the same address");
            check.error(Code::Conflict, &path, message, "Give each listener a port of its own.");
        }
        if *name != "health" && !address.is_local() {
            check.warn(&path, exposed(name, address));
        }
    }
    for (index, host) in config.listen.hosts.iter().enumerate() {
        let mut path = listen.key("hosts");
        path.push(Step::Index(index));
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte);
        let name_and_port = host.matches(':').count() == 1;
        if host.is_empty() || !host.bytes().all(good) || name_and_port {
            let message = format!("`{}` is no host", check.shown(&path, host));
            check.error(Code::BadValue, &path, message, "Write its name or address, without a port.");
        }
    }
    if let Some(app) = &config.app {
        self::app(check, &Path::of(&["app"]), app);
    }
    allowed(check);
}

fn exposed(name: &str, address: &Address) -> String {
    match address {
        Address::Socket(address) if address.ip().is_unspecified() => {
            format!(
                "the {name} listener takes connections on every address of this host, without authentication"
            )
        }
        _ => format!("the {name} listener can be reached from other hosts, without authentication"),
    }
}

pub(super) fn app(check: &mut Check<'_>, path: &Path, app: &App) {
    url(check, &path.key("url"), &app.url);
    if app.url.uri().query().is_some() {
        check.error(
            Code::BadValue,
            &path.key("url"),
            "the app's URL must have no query",
            "Paths are appended to it.",
        );
    }
    let Some(health) = &app.health else { return };
    if !health.starts_with('/') || health.contains('#') || app.url.join(health).is_err() {
        let path = path.key("health");
        let message = format!("`{}` is no path", check.shown(&path, health));
        check.error(Code::BadValue, &path, message, "Write a path on the app's host and port: `/healthz`.");
    }
}

/// Only loopback and listed hosts are called: whoever can write a subscription could otherwise reach into the network.
pub(super) fn url(check: &mut Check<'_>, path: &Path, url: &Url) {
    let origin = url.origin();
    if origin.is_loopback() || check.config.webhooks.allow.contains(origin) {
        return;
    }
    if check.is_placeholder(&Path::of(&["webhooks"])) {
        return;
    }
    let origin = check.shown(path, origin);
    let message = format!("`{origin}` is neither loopback nor listed in `webhooks.allow`");
    check.error(Code::Conflict, path, message, format!("Allow it: `webhooks: {{ allow: [\"{origin}\"] }}`."));
}

fn allowed(check: &mut Check<'_>) {
    let config = check.config;
    let called: Vec<&Origin> = config
        .subscriptions
        .values()
        .flat_map(|subscription| {
            let app = config.app_of(subscription).map(|app| app.url.origin());
            let to = match &subscription.to {
                crate::address::To::Url(url) => Some(url.origin()),
                crate::address::To::Path(_) => None,
            };
            app.into_iter().chain(to)
        })
        .collect();
    for (index, origin) in config.webhooks.allow.iter().enumerate() {
        let mut path = Path::of(&["webhooks", "allow"]);
        path.push(Step::Index(index));
        if origin.is_loopback() {
            check.warn(&path, "loopback is always allowed");
        } else if !called.contains(&origin) {
            check.warn(&path, "no subscription calls it");
        }
    }
}
