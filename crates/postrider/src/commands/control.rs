//! `pause`, `resume`, `replay`, `drain`: an operator's word to a running sidecar.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::Value;

use crate::cli::ReplayArgs;
use crate::client::{self, Client};
use crate::failure::Failure;
use crate::output;

pub(crate) async fn pause(admin: &str, subscription: &str) -> Result<(), Failure> {
    post(admin, subscription, "pause").await?;
    output::line(&format!(
        "{subscription} is paused in this process; `postrider resume {subscription}` goes on"
    ))
}

pub(crate) async fn resume(admin: &str, subscription: &str) -> Result<(), Failure> {
    post(admin, subscription, "resume").await?;
    output::line(&format!("{subscription} goes on"))
}

async fn post(admin: &str, subscription: &str, verb: &str) -> Result<Value, Failure> {
    let path = format!("/v1/subscriptions/{}/{verb}", client::escape(subscription));
    Ok(Client::new(admin).json(Method::POST, &path).await?)
}

pub(crate) async fn replay(admin: &str, args: ReplayArgs) -> Result<(), Failure> {
    let verb = format!("seek?to={}", client::escape(&args.from));
    post(admin, &args.subscription, &verb).await?;
    output::line(&format!("{} delivers again from {}", args.subscription, args.from))
}

/// Asks the sidecar to stop delivering and waits until nothing is in flight. Publishing goes on.
pub(crate) async fn drain(admin: &str, wait: Duration) -> Result<(), Failure> {
    let client = Client::new(admin);
    let deadline = Instant::now() + wait;
    client.json(Method::POST, &format!("/v1/drain?wait={}ms", wait.as_millis())).await?;
    loop {
        let status = client.json(Method::GET, "/v1/subscriptions").await?;
        let list = status.get("subscriptions").unwrap_or(&status).as_array().cloned().unwrap_or_default();
        let in_flight: u64 = list.iter().filter_map(|s| s.get("in_flight").and_then(Value::as_u64)).sum();
        if in_flight == 0 {
            return output::line("drained: nothing is in flight");
        }
        if Instant::now() >= deadline {
            return Err(Failure::failed(format!(
                "{in_flight} deliveries are still in flight after {} s; they come again after the restart",
                wait.as_secs()
            )));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
