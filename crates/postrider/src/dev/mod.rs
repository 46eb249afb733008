//! `postrider dev`: the first thing a newcomer runs. An embedded broker, a webhook, and every event's way on the screen.

mod settings;
mod terminal;
mod webhook;

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cli::DevArgs;
use crate::failure::Failure;
use crate::house::{Addresses, House};
use crate::runtimes::Runtimes;
use crate::signals::Signals;
use crate::{output, ports};

use self::terminal::{Terminal, say};

pub(crate) fn run(args: DevArgs) -> Result<(), Failure> {
    // The terminal shows what happens to events; the log is for what is wrong.
    telemetry::init_logging(telemetry::LogFormat::Text, "warn").map_err(Failure::usage)?;
    Runtimes::new()?.run(|deliveries| dev(args, deliveries))
}

async fn dev(args: DevArgs, deliveries: Handle) -> Result<(), Failure> {
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let sample = match &args.forward_to {
        Some(_) => None,
        None => Some(start_sample(&args.webhook, &mut tasks, &stop).await?),
    };
    let target = settings::target(&args, sample)?;
    let config = settings::config(&args, &target)?;
    let mut signals = Signals::new()?;
    let house = House::build(config, vec![Box::new(Terminal)], deliveries).await?;
    let addresses = house.addresses().clone();
    let running = house.start()?;
    running.ready().await;
    welcome(&args, &addresses, &target, sample)?;
    let mut command = start_command(&args, &addresses)?;
    let why = ended(command.as_mut(), &mut signals).await;
    let ended = running.end(&why, &mut signals).await;
    if let Some(command) = &mut command {
        end_command(command).await;
    }
    stop.cancel();
    while tasks.join_next().await.is_some() {}
    ended
}

async fn start_sample(
    address: &str,
    tasks: &mut JoinSet<std::io::Result<()>>,
    stop: &CancellationToken,
) -> Result<SocketAddr, Failure> {
    let (listener, address) = webhook::bind(address).await.map_err(|error| {
        let port = address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        let holder = port.and_then(ports::holder).map(|h| format!(": {h} holds it")).unwrap_or_default();
        Failure::failed(format!(
            "the sample webhook cannot listen on {address} ({error}){holder}; choose another with --webhook 127.0.0.1:8081, \
             or deliver to your own app with --forward-to URL"
        ))
    })?;
    tasks.spawn(webhook::serve(listener, stop.clone()));
    Ok(address)
}

fn welcome(
    args: &DevArgs,
    addresses: &Addresses,
    target: &str,
    sample: Option<SocketAddr>,
) -> Result<(), Failure> {
    let topic = args.topic.first().map_or("orders.created", String::as_str);
    let app = &addresses.app;
    let publish = |key: &str, data: &str| {
        format!(
            "  curl {app}/v1/topics/{topic}/events -H 'content-type: application/json' -H 'postrider-key: {key}' -d '{data}'"
        )
    };
    let mut lines = vec![
        format!(
            "Postrider is ready. Events are kept in {}; Ctrl-C ends it, and nothing is lost.",
            args.data.display()
        ),
        format!("  publish to   {app}"),
        format!("  delivers to  {target}"),
        format!("  admin        {} (postrider status)", addresses.admin),
        "Try:".into(),
        publish("customer-7", r#"{"total": 12}"#),
    ];
    if let Some(sample) = sample {
        lines.push(format!("  curl -X PUT '{sample}/answer?status=500&times=2'    # then publish again, and watch the retries"));
        lines.push(format!(
            "  curl -X PUT '{sample}/answer?status=422&times=1'    # then publish again: a dead letter"
        ));
    } else {
        lines.push(publish("customer-8", r#"{"total": 13}"#));
        lines.push(format!("  curl {}/v1/subscriptions", addresses.admin));
    }
    lines.push(String::new());
    output::line(&lines.join("\n"))
}

fn start_command(args: &DevArgs, addresses: &Addresses) -> Result<Option<Child>, Failure> {
    let Some((program, arguments)) = args.command.split_first() else { return Ok(None) };
    Command::new(program)
        .args(arguments)
        .env("POSTRIDER_APP", &addresses.app)
        .env("POSTRIDER_ADMIN", &addresses.admin)
        .env("K_SINK", format!("http://{}/v1/events", addresses.app))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map(Some)
        .map_err(|error| Failure::failed(format!("{program} cannot be started: {error}")))
}

/// Waits for a signal, or for the app to end by itself.
async fn ended(command: Option<&mut Child>, signals: &mut Signals) -> String {
    let Some(command) = command else { return signals.next().await.to_owned() };
    let why = tokio::select! {
        signal = signals.next() => signal.to_owned(),
        status = command.wait() => status.map_or_else(|e| e.to_string(), |s| format!("the app ended: {s}")),
    };
    say("stopping", &why);
    why
}

/// The terminal's Ctrl-C has reached the app as well; one that does not heed it is killed once nothing is delivered to
/// it any more.
async fn end_command(command: &mut Child) {
    const PATIENCE: Duration = Duration::from_secs(5);
    if tokio::time::timeout(PATIENCE, command.wait()).await.is_err() {
        // It may have ended just now.
        drop(command.kill().await);
    }
}
