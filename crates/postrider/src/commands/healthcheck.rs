//! `postrider healthcheck`: for containers without curl.

use http::Method;

use crate::cli::{HealthcheckArgs, Probe};
use crate::client::{self, Client};
use crate::failure::Failure;
use crate::output;

pub(crate) async fn run(args: HealthcheckArgs) -> Result<(), Failure> {
    let path = match args.probe {
        Probe::Live => "/livez",
        Probe::Startup => "/startupz",
        Probe::Ready => "/readyz?verbose",
    };
    let answer = Client::new(&args.health).send(Method::GET, path, &[], client::empty()).await?;
    let (status, body) = answer.bytes().await?;
    let text = String::from_utf8_lossy(&body).trim().to_owned();
    if status.is_success() { output::line(&text) } else { Err(Failure::failed(format!("{status}\n{text}"))) }
}
