//! `pause`, `resume`, `replay`, `drain`: an operator's word to a running sidecar.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::Value;

use crate::cli::{AdminArgs, DrainArgs, ReplayArgs, SubscriptionArgs};
use crate::client::{self, Client};
use crate::failure::Failure;
use crate::output;

pub(crate) async fn pause(args: &SubscriptionArgs) -> Result<(), Failure> {
    let name = &args.subscription;
    post(&args.admin, name, "pause").await?;
    output::line(&format!("{name} is paused in this process; `postrider resume {name}` goes on"))
}

pub(crate) async fn resume(args: &SubscriptionArgs) -> Result<(), Failure> {
    post(&args.admin, &args.subscription, "resume").await?;
    output::line(&format!("{} goes on", args.subscription))
}

async fn post(admin: &AdminArgs, subscription: &str, verb: &str) -> Result<Value, Failure> {
    let path = format!("/v1/subscriptions/{}/{verb}", client::escape(subscription));
    Ok(Client::new(&admin.admin).json(Method::POST, &path).await?)
}

pub(crate) async fn replay(args: &ReplayArgs) -> Result<(), Failure> {
    let verb = format!("seek?to={}", client::escape(&args.from));
    post(&args.admin, &args.subscription, &verb).await?;
    output::line(&format!("{} delivers again from {}", args.subscription, args.from))
}

/// Asks the sidecar to stop delivering and waits until every subscription has been drained. Publishing goes on.
pub(crate) async fn drain(args: &DrainArgs) -> Result<(), Failure> {
    let client = Client::new(&args.admin.admin);
    let deadline = Instant::now() + args.wait.0;
    client.json(Method::POST, &format!("/v1/drain?wait={}ms", args.wait.0.as_millis())).await?;
    loop {
        let status = client.json(Method::GET, "/v1/subscriptions").await?;
        let list = status["subscriptions"].as_array().cloned().unwrap_or_default();
        let left: Vec<&Value> = list.iter().filter(|s| s["state"] != "drained").collect();
        if left.is_empty() {
            return output::line("drained: nothing is in flight");
        }
        // The sidecar ends what is open at its own deadline; it is given a moment to say so.
        if Instant::now() >= deadline + Duration::from_secs(2) {
            let in_flight: u64 = left.iter().filter_map(|s| s["in_flight"].as_u64()).sum();
            return Err(Failure::failed(format!(
                "{} subscriptions are not drained after {} s, {in_flight} deliveries are in flight; they come again after the restart",
                left.len(),
                args.wait.0.as_secs()
            )));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
