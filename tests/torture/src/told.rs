//! What a worker tells whoever will judge: one line each, written at once, so that nothing that was told is lost with it.

use std::fmt;
use std::io::{self, Write};

/// Log A. It is told in the order in which it happened, seen from one thread of the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// It waits to be let in.
    Waiting,
    /// The store is about to be opened: what follows is recovery.
    Opening,
    /// The store is open, and logs and settle logs are there.
    Ready,
    /// The log has acknowledged records `count..count + records` of a writer, at positions from `first` on.
    Appended { topic: u8, writer: u8, run: u32, count: u32, records: u32, first: u64 },
    /// Positions `from..to` are about to be settled.
    Settling { topic: u8, subscription: u8, from: u64, to: u64 },
    /// Notes of this many attempts are about to be made at positions `from..to`. They rise.
    Noting { topic: u8, subscription: u8, from: u64, to: u64, attempts: u32 },
    /// A flush was acknowledged: what was told of the subscription before is durable.
    Flushed { topic: u8, subscription: u8 },
    /// The work is done, and nothing of it failed.
    Done,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting => write!(f, "waiting"),
            Self::Opening => write!(f, "opening"),
            Self::Ready => write!(f, "ready"),
            Self::Appended { topic, writer, run, count, records, first } => {
                write!(f, "appended {topic} {writer} {run} {count} {records} {first}")
            }
            Self::Settling { topic, subscription, from, to } => {
                write!(f, "settling {topic} {subscription} {from} {to}")
            }
            Self::Noting { topic, subscription, from, to, attempts } => {
                write!(f, "noting {topic} {subscription} {from} {to} {attempts}")
            }
            Self::Flushed { topic, subscription } => write!(f, "flushed {topic} {subscription}"),
            Self::Done => write!(f, "done"),
        }
    }
}

impl Told {
    /// `None`: no whole line of ours.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let what = words.next()?;
        let numbers: Vec<u64> = words.map(|word| word.parse().ok()).collect::<Option<_>>()?;
        let small = |at: usize| u8::try_from(numbers[at]).ok();
        let medium = |at: usize| u32::try_from(numbers[at]).ok();
        Some(match (what, numbers.as_slice()) {
            ("waiting", []) => Self::Waiting,
            ("opening", []) => Self::Opening,
            ("ready", []) => Self::Ready,
            ("done", []) => Self::Done,
            ("appended", [.., first]) if numbers.len() == 6 => Self::Appended {
                topic: small(0)?,
                writer: small(1)?,
                run: medium(2)?,
                count: medium(3)?,
                records: medium(4)?,
                first: *first,
            },
            ("settling", &[_, _, from, to]) => {
                Self::Settling { topic: small(0)?, subscription: small(1)?, from, to }
            }
            ("noting", &[_, _, from, to, _]) => {
                Self::Noting { topic: small(0)?, subscription: small(1)?, from, to, attempts: medium(4)? }
            }
            ("flushed", [_, _]) => Self::Flushed { topic: small(0)?, subscription: small(1)? },
            _ => return None,
        })
    }

    /// Tells it: a single write, which a pipe takes as a whole or not at all. With nobody to tell the process ends: that
    /// is how no worker outlives whoever started it.
    pub(crate) fn tell(&self) {
        let line = format!("{self}\n");
        let mut stdout = io::stdout().lock();
        if stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush()).is_err() {
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_understood_and_half_a_line_is_not() {
        for told in [
            Told::Waiting,
            Told::Opening,
            Told::Ready,
            Told::Appended { topic: 1, writer: 2, run: 3, count: 40, records: 5, first: 6 },
            Told::Settling { topic: 1, subscription: 0, from: 7, to: 9 },
            Told::Noting { topic: 1, subscription: 0, from: 7, to: 8, attempts: 2 },
            Told::Flushed { topic: 1, subscription: 0 },
            Told::Done,
        ] {
            assert_eq!(Told::parse(&told.to_string()), Some(told));
        }
        assert_eq!(Told::parse("appended 1 2 3 40 5"), None);
        assert_eq!(Told::parse("flushed 1"), None);
    }
}
