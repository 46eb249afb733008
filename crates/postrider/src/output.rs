//! Printing: tables for people, JSON and YAML for programs.

use std::io::Write;

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::cli::Format;
use crate::failure::Failure;

/// Prints a line to standard output. A closed pipe ends the command quietly, as `head` expects.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    writeln!(std::io::stdout(), "{text}").map_err(|error| match error.kind() {
        std::io::ErrorKind::BrokenPipe => Failure::quiet(),
        _ => error.into(),
    })
}

/// Prints a value as the caller asked: `table` is made only when it is wanted.
pub(crate) fn value<T: Serialize>(
    format: Format,
    value: &T,
    table: impl FnOnce(&T) -> String,
) -> Result<(), Failure> {
    let text = match format {
        Format::Table => table(value),
        Format::Json => serde_json::to_string_pretty(value).map_err(Failure::failed)?,
        Format::Yaml => serde_saphyr::to_string(value).map_err(Failure::failed)?,
    };
    line(text.trim_end())
}

/// A borderless table.
pub(crate) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header);
    for row in rows {
        table.add_row(row);
    }
    table.lines().map(|l| l.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// Milliseconds as a person reads them: `340ms`, `12s`, `5m`, `3h`, `2d`.
pub(crate) fn age(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms}ms"),
        1_000..120_000 => format!("{}s", ms / 1_000),
        120_000..7_200_000 => format!("{}m", ms / 60_000),
        7_200_000..172_800_000 => format!("{}h", ms / 3_600_000),
        _ => format!("{}d", ms / 86_400_000),
    }
}

/// Control characters made visible, so that nothing that a peer sent can steer the terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '·' } else { c }).collect()
}
