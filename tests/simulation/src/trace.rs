use std::fmt::{Arguments, Write as _};
use std::time::Duration;

/// All that happened, one line each; nothing where it is not asked for.
#[derive(Debug, Default)]
pub(super) struct Trace {
    on: bool,
    text: String,
}

impl Trace {
    pub(super) fn new(on: bool) -> Self {
        Self { on, text: String::new() }
    }

    pub(super) fn tell(&mut self, now: Duration, what: Arguments<'_>) {
        if self.on {
            writeln!(self.text, "{:>12.6} {what}", now.as_secs_f64()).expect("a String takes all");
        }
    }

    pub(super) fn take(&mut self) -> String {
        std::mem::take(&mut self.text)
    }
}
