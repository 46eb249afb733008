//! `postrider-simulate`: runs seeds. Started by `cargo xtask simulate`, whose help tells more.

use std::io::Write as _;
use std::process::ExitCode;
use std::str::FromStr;

use simulation::campaign::{Campaign, Sum};
use simulation::{Mutant, Options, explain};

/// A seed allocates thirty thousand times, and frees most of it at its end: this one is a quarter faster at that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str =
    "usage: postrider-simulate [--seeds N] [--seed S] [--mutant NAME] [--until-broken] [--called NAME]
`cargo xtask simulate --help` tells more.";
const BAD_USAGE: u8 = 64;
/// How many broken seeds are listed.
const SHOWN: usize = 100;

fn say(line: &str) {
    // With standard output gone there is nobody left to tell.
    drop(writeln!(std::io::stdout(), "{line}"));
}

fn say_aside(line: &str) {
    // With standard error gone there is nobody left to tell.
    drop(writeln!(std::io::stderr(), "{line}"));
}

struct Asked {
    campaign: Campaign,
    /// The mutant that this was built from.
    called: Option<String>,
}

fn parse(arguments: impl Iterator<Item = String>) -> Result<Asked, String> {
    let mut campaign = Campaign { first: 0, seeds: 2000, until_broken: false, options: Options::default() };
    let mut called = None;
    let mut arguments = arguments;
    while let Some(name) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{name} takes a value"));
        match name.as_str() {
            "--seeds" => campaign.seeds = number(&name, &value()?)?,
            "--seed" => campaign.first = number(&name, &value()?)?,
            "--mutant" => {
                let mutant = value()?;
                campaign.options.mutant = Some(Mutant::from_str(&mutant)?);
                called = Some(mutant);
            }
            "--called" => called = Some(value()?),
            "--until-broken" => campaign.until_broken = true,
            other => return Err(format!("{other} is not known")),
        }
    }
    Ok(Asked { campaign, called })
}

fn number(name: &str, text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{name} takes a number, not {text:?}"))
}

fn main() -> ExitCode {
    let Asked { campaign, called } = match parse(std::env::args().skip(1)) {
        Ok(asked) => asked,
        Err(wrong) => {
            say_aside(&format!("{wrong}\n{USAGE}"));
            return ExitCode::from(BAD_USAGE);
        }
    };
    let sum = campaign.run(|so_far| say_aside(&format!("… {}", so_far.line())));
    let broken = sum.broken.first_key_value();
    if let Some((seed, violation)) = broken {
        tell_broken(&sum, *seed, violation, &campaign.options, called.as_deref());
    } else {
        say(&sum.details());
    }
    say(&sum.line());
    if broken.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn tell_broken(sum: &Sum, seed: u64, violation: &str, options: &Options, called: Option<&str>) {
    let story = std::panic::catch_unwind(|| explain(seed, options));
    say(&story.unwrap_or_else(|_| format!("seed {seed} panics: see above")));
    for (seed, violation) in sum.broken.iter().take(SHOWN) {
        say(&format!("seed {seed}: {violation}"));
    }
    say(&format!(
        "{} of {} seeds are broken. The first, seed {seed}: {violation}",
        sum.broken.len(),
        sum.seeds
    ));
    let mutant = called.map(|name| format!(" --mutant {name}")).unwrap_or_default();
    say(&format!("Again: cargo xtask simulate{mutant} --seed {seed} --seeds 1"));
}
