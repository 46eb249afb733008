//! `postrider run`: the sidecar.

use config::Loaded;

use crate::cli::{ConfigArgs, LogArgs, LogFormat, RunArgs};
use crate::failure::Failure;
use crate::house::{self, House};
use crate::open_files;
use crate::runtimes::Runtimes;
use crate::signals::Signals;

pub(crate) fn run(args: &RunArgs) -> Result<(), Failure> {
    init_logging(&args.log)?;
    let loaded = load(&args.config)?;
    open_files::allow_all(loaded.config.limits.connections);
    Runtimes::new()?.run(|deliveries| async {
        let mut signals = Signals::new()?;
        let house = House::build(loaded, Vec::new(), deliveries).await?;
        let addresses = house.addresses();
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            app = addresses.app,
            admin = addresses.admin,
            health = addresses.health,
            "listening"
        );
        let running = house.start()?;
        let why = signals.next().await;
        running.end(why, &mut signals).await
    })
}

fn init_logging(args: &LogArgs) -> Result<(), Failure> {
    let format = match args.log_format {
        LogFormat::Text => telemetry::LogFormat::Text,
        LogFormat::Json => telemetry::LogFormat::Json,
    };
    telemetry::init_logging(format, &args.log)
        .map_err(|e| Failure::usage(format!("--log {:?}: {e}", args.log)))
}

/// Reads the configuration from the files and the environment; what the drivers find wrong with it is told as well.
pub(crate) fn load(args: &ConfigArgs) -> Result<Loaded, Failure> {
    let mut loaded = config::load(&args.config, &|name| std::env::var(name).ok()).map_err(Failure::usage)?;
    house::check(&mut loaded).map_err(Failure::usage)?;
    Ok(loaded)
}
