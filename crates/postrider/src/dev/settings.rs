//! The configuration that `postrider dev` makes for itself: written as YAML and read like any other, so that there is
//! one way from text to a running house.

use std::net::SocketAddr;

use crate::cli::DevArgs;
use crate::failure::Failure;

/// Where events are delivered.
pub(super) fn target(args: &DevArgs, sample: Option<SocketAddr>) -> Result<String, Failure> {
    match (&args.forward_to, sample) {
        (Some(url), _) => {
            let uri: http::Uri = url.parse().map_err(|_| no_url(url))?;
            if uri.scheme_str() == Some("http") && uri.host().is_some() {
                Ok(url.clone())
            } else {
                Err(no_url(url))
            }
        }
        (None, Some(address)) => Ok(format!("http://{address}/events")),
        (None, None) => Err(Failure::usage("there is nowhere to deliver to; give --forward-to URL")),
    }
}

fn no_url(text: &str) -> Failure {
    Failure::usage(format!("{text:?} is no URL to deliver to; write http://HOST:PORT/PATH"))
}

pub(super) fn config(args: &DevArgs, target: &str) -> Result<config::Loaded, Failure> {
    // A JSON string is a YAML string.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let name = if args.forward_to.is_some() { "app" } else { "sample" };
    let mut yaml = format!(
        "version: 1\nservice: dev\nlisten: {{ app: {}, admin: {}, health: {} }}\nbrokers: {{ local: {{ embedded: {{ path: {} }} }} }}\n",
        quoted(&args.listen),
        quoted(&args.admin_listen),
        quoted(&args.health_listen),
        quoted(&args.data.display().to_string()),
    );
    let origin: http::Uri = target.parse().map_err(|_| no_url(target))?;
    let host = origin.host().unwrap_or_default().trim_matches(['[', ']']);
    if host != "localhost" && !host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback()) {
        let authority = origin.authority().map_or("", |authority| authority.as_str());
        yaml += &format!("webhooks: {{ allow: [{}] }}\n", quoted(&format!("http://{authority}")));
    }
    if args.forward_to.is_some() {
        // Delivery waits until the app's port takes connections, so that a slow start costs no attempts.
        let authority = origin.authority().map_or("", |authority| authority.as_str());
        yaml += &format!("app: {{ url: {} }}\n", quoted(&format!("http://{authority}")));
    }
    yaml += "topics:\n";
    for topic in &args.topic {
        yaml += &format!("  {0}: {{ key: subject, types: [{0}] }}\n", quoted(topic));
    }
    yaml += "subscriptions:\n";
    for (i, topic) in args.topic.iter().enumerate() {
        let subscription = if i == 0 { name.to_owned() } else { format!("{name}-{}", i + 1) };
        yaml += &format!(
            "  {subscription}: {{ topic: {}, to: {}, retry: {{ initial: 500ms, max: 5s, max_attempts: 5 }} }}\n",
            quoted(topic),
            quoted(target)
        );
    }
    config::parse(&[config::Source { name: "dev".into(), text: yaml }], &|_| None).map_err(Failure::usage)
}
