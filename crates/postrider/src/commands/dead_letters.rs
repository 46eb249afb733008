//! `postrider dead-letters`: why events were given up, and what to do about it.

use std::io::{BufRead, Write};

use delivery::{LetterView, Letters};
use http::Method;
use serde_json::Value;

use crate::cli::{DeadLettersArgs, DeadLettersCommand, LetterFilterArgs};
use crate::client::{self, Client};
use crate::failure::Failure;
use crate::output;

pub(crate) async fn run(args: DeadLettersArgs) -> Result<(), Failure> {
    let client = Client::new(&args.admin.admin);
    match args.command {
        DeadLettersCommand::List { subscription, filter, output } => {
            let letters = list(&client, &subscription, &filter).await?;
            output::value(output.output, &letters, |letters| table(&subscription, letters))
        }
        DeadLettersCommand::Show { subscription, id, output } => {
            let filter = LetterFilterArgs { id: Some(id.clone()), ..LetterFilterArgs::default() };
            let letters = list(&client, &subscription, &filter).await?;
            let Some(letter) = letters.letters.first() else {
                return Err(Failure::failed(format!("{subscription} has no dead letter with id {id:?}")));
            };
            output::value(output.output, letter, details)
        }
        DeadLettersCommand::Redrive { subscription, filter, dry_run } => {
            if dry_run {
                let chosen = chosen(&client, &subscription, &filter).await?;
                return output::line(&format!("{chosen} letters would be delivered again"));
            }
            let path = path(&subscription, "/redrive", &filter);
            let answer = client.json(Method::POST, &path).await?;
            output::line(&format!("{} letters are being delivered again", count(&answer, "redriving")))
        }
        DeadLettersCommand::Purge { subscription, filter, yes } => {
            if !yes && !confirmed(&client, &subscription, &filter).await? {
                return Err(Failure::failed("nothing was removed"));
            }
            let answer = client.json(Method::DELETE, &path(&subscription, "", &filter)).await?;
            output::line(&format!("{} letters were removed", count(&answer, "purged")))
        }
    }
}

fn count(answer: &Value, name: &str) -> u64 {
    answer.get(name).and_then(Value::as_u64).unwrap_or_default()
}

async fn list(client: &Client, subscription: &str, filter: &LetterFilterArgs) -> Result<Letters, Failure> {
    let answer = client.json(Method::GET, &path(subscription, "", filter)).await?;
    serde_json::from_value(answer)
        .map_err(|e| Failure::failed(format!("the sidecar speaks another version: {e}")))
}

/// How many letters a command would touch.
async fn chosen(client: &Client, subscription: &str, filter: &LetterFilterArgs) -> Result<u64, Failure> {
    let total = list(client, subscription, filter).await?.total;
    Ok(filter.limit.map_or(total, |limit| total.min(limit as u64)))
}

async fn confirmed(client: &Client, subscription: &str, filter: &LetterFilterArgs) -> Result<bool, Failure> {
    let chosen = chosen(client, subscription, filter).await?;
    write!(std::io::stderr(), "remove {chosen} dead letters of {subscription} for good? [y/N] ")?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn path(subscription: &str, verb: &str, filter: &LetterFilterArgs) -> String {
    let pairs = [
        ("id", filter.id.clone()),
        ("key", filter.key.clone()),
        ("reason", filter.reason.clone()),
        ("status", filter.status.map(|s| s.to_string())),
        ("limit", filter.limit.map(|l| l.to_string())),
    ];
    let query: Vec<String> = pairs
        .into_iter()
        .filter_map(|(name, value)| value.map(|v| format!("{name}={}", client::escape(&v))))
        .collect();
    let mark = if query.is_empty() { "" } else { "?" };
    format!("/v1/subscriptions/{}/dead-letters{verb}{mark}{}", client::escape(subscription), query.join("&"))
}

fn table(subscription: &str, letters: &Letters) -> String {
    if letters.total == 0 {
        return format!("{subscription} has no dead letters");
    }
    let status = |status: Option<u16>| status.map_or_else(|| "-".into(), |s| s.to_string());
    let groups = letters.groups.iter().map(|g| vec![g.count.to_string(), g.reason.clone(), status(g.status)]);
    let rows = letters.letters.iter().map(|l| {
        [
            l.id.clone(),
            l.key.clone().unwrap_or_else(|| "-".into()),
            l.reason.clone(),
            status(l.status),
            l.attempts.to_string(),
            l.last.clone(),
        ]
        .iter()
        .map(|cell| output::printable(cell))
        .collect()
    });
    format!(
        "{} dead letters\n{}\n\n{}",
        letters.total,
        output::table(&["COUNT", "REASON", "STATUS"], groups),
        output::table(&["ID", "KEY", "REASON", "STATUS", "ATTEMPTS", "LAST"], rows)
    )
}

fn details(l: &LetterView) -> String {
    let lines = [
        ("id", l.id.clone()),
        ("source", l.source.clone()),
        ("key", l.key.clone().unwrap_or_else(|| "-".into())),
        ("reason", l.reason.clone()),
        ("status", l.status.map_or_else(|| "-".into(), |s| s.to_string())),
        ("attempts", l.attempts.to_string()),
        ("first", l.first.clone()),
        ("last", l.last.clone()),
        ("position", l.position.clone()),
        ("answer", l.answer.clone()),
    ];
    lines.map(|(name, value)| format!("{name:<9} {}", output::printable(&value))).join("\n")
}
