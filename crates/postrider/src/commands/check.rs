//! `postrider check`: every error of a configuration at once, and the merged result with where each value came from.

use crate::cli::CheckArgs;
use crate::commands::run::load;
use crate::failure::Failure;
use crate::house;
use crate::output;

pub(crate) fn run(args: &CheckArgs) -> Result<(), Failure> {
    let loaded = load(&args.config)?;
    for missing in house::missing_drivers(&loaded.config) {
        output::line(&format!("warning: {missing}"))?;
    }
    for warning in &loaded.warnings {
        output::line(&format!("warning: {warning}"))?;
    }
    if args.quiet {
        return Ok(());
    }
    output::line(loaded.merged.to_string().trim_end())?;
    output::line("the configuration is right")
}
