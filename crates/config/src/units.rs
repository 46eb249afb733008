//! Durations, sizes and rates, each with its unit written down.

use std::fmt;

use crate::text::{Text, text_value};

/// A span of time: `200ms`, `5m`, `24h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(std::time::Duration);

/// A number of bytes: `900KiB`, `10GiB`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(u64);

/// So many a second or a minute: `100/m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    count: u32,
    per: Per,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Per {
    Second,
    Minute,
}

/// Units of time in milliseconds, largest first.
const TIMES: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Units of size in bytes, largest first.
const SIZES: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl Duration {
    pub(crate) const fn from_millis(millis: u64) -> Self {
        Self(std::time::Duration::from_millis(millis))
    }

    pub const fn from_secs(seconds: u64) -> Self {
        Self(std::time::Duration::from_secs(seconds))
    }

    pub const fn get(self) -> std::time::Duration {
        self.0
    }
}

impl From<Duration> for std::time::Duration {
    fn from(duration: Duration) -> Self {
        duration.0
    }
}

impl Size {
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    pub(crate) const fn kibibytes(count: u64) -> Self {
        Self(count << 10)
    }

    pub(crate) const fn mebibytes(count: u64) -> Self {
        Self(count << 20)
    }

    pub(crate) const fn gibibytes(count: u64) -> Self {
        Self(count << 30)
    }

    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// In bytes, for what is held in memory.
    pub fn in_memory(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl Rate {
    pub(crate) const fn a_minute(count: u32) -> Self {
        Self { count, per: Per::Minute }
    }

    pub const fn per_minute(self) -> u32 {
        match self.per {
            Per::Second => self.count.saturating_mul(60),
            Per::Minute => self.count,
        }
    }
}

/// Splits `200ms` into its number and its unit.
fn amount(text: &str) -> Result<(u64, &str), String> {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    if number.is_empty() {
        return Err("it must begin with a whole number".to_owned());
    }
    if unit.is_empty() {
        return Err("its unit is missing".to_owned());
    }
    if unit.starts_with('.') {
        return Err("it must be a whole number of its unit".to_owned());
    }
    Ok((number.parse().map_err(|_| "it is too large".to_owned())?, unit))
}

/// The amount in the smallest of the units.
fn measure(text: &str, units: &[(&str, u64)]) -> Result<u64, String> {
    let (number, unit) = amount(text)?;
    let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit) else {
        let known: Vec<&str> = units.iter().rev().map(|(name, _)| *name).collect();
        return Err(format!("its unit must be one of {}", known.join(", ")));
    };
    number.checked_mul(*factor).ok_or_else(|| "it is too large".to_owned())
}

/// The amount in the largest unit that divides it.
fn measured(f: &mut fmt::Formatter<'_>, amount: u64, units: &[(&str, u64)], zero: &str) -> fmt::Result {
    match units.iter().find(|(_, factor)| amount > 0 && amount.is_multiple_of(*factor)) {
        Some((unit, factor)) => write!(f, "{}{unit}", amount / factor),
        None => f.write_str(zero),
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        measured(f, u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX), &TIMES, "0s")
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        measured(f, self.0, &SIZES, "0B")
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per = match self.per {
            Per::Second => 's',
            Per::Minute => 'm',
        };
        write!(f, "{}/{per}", self.count)
    }
}

impl Text for Duration {
    const NOUN: &'static str = "a duration";
    const HINT: &'static str = "A whole number and one unit of ms, s, m, h and d: `200ms`, `5m`, `24h`.";
    const PATTERN: &'static str = "[0-9]+(?:ms|s|m|h|d)";
    const EXAMPLES: &'static [&'static str] = &["200ms", "30s", "5m", "24h"];

    fn parse(text: &str) -> Result<Self, String> {
        measure(text, &TIMES).map(Self::from_millis)
    }

    fn placeholder() -> Self {
        Self::from_secs(1)
    }
}

impl Text for Size {
    const NOUN: &'static str = "a size";
    const HINT: &'static str = "A whole number and one unit of B, KiB, MiB, GiB and TiB: `900KiB`, `10GiB`.";
    const PATTERN: &'static str = "[0-9]+(?:B|KiB|MiB|GiB|TiB)";
    const EXAMPLES: &'static [&'static str] = &["900KiB", "10MiB", "10GiB"];

    fn parse(text: &str) -> Result<Self, String> {
        measure(text, &SIZES).map(Self)
    }

    fn placeholder() -> Self {
        Self::kibibytes(1)
    }
}

impl Text for Rate {
    const NOUN: &'static str = "a rate";
    const HINT: &'static str = "A whole number from 1 a second or a minute: `10/s`, `100/m`.";
    const PATTERN: &'static str = "[0-9]*[1-9][0-9]*/[sm]";
    const EXAMPLES: &'static [&'static str] = &["100/m", "10/s"];

    fn parse(text: &str) -> Result<Self, String> {
        let (count, per) = text.split_once('/').ok_or_else(|| "it has no `/`".to_owned())?;
        let per = match per {
            "s" => Per::Second,
            "m" => Per::Minute,
            _ => return Err("it must be `/s` or `/m`".to_owned()),
        };
        if !count.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err("it must begin with a whole number".to_owned());
        }
        match count.parse() {
            Ok(0) => Err("it must be at least 1".to_owned()),
            Ok(count) => Ok(Self { count, per }),
            Err(_) => Err("it must begin with a whole number".to_owned()),
        }
    }

    fn placeholder() -> Self {
        Self::a_minute(1)
    }
}

text_value!(Duration);
text_value!(Size);
text_value!(Rate);

#[cfg(test)]
mod tests {
    use super::{Duration, Rate, Size};
    use crate::text::Text;

    #[test]
    fn values_are_read_and_written_in_their_largest_unit() {
        for (text, written, millis) in [
            ("200ms", "200ms", 200),
            ("5m", "5m", 300_000),
            ("24h", "1d", 86_400_000),
            ("90s", "90s", 90_000),
            ("0s", "0s", 0),
        ] {
            let duration = Duration::parse(text).unwrap();
            assert_eq!(duration, Duration::from_millis(millis));
            assert_eq!(duration.to_string(), written);
        }
        assert_eq!(Size::parse("900KiB").unwrap().bytes(), 921_600);
        assert_eq!(Size::parse("1024MiB").unwrap().to_string(), "1GiB");
        assert_eq!(Rate::parse("100/m").unwrap().per_minute(), 100);
        assert_eq!(Rate::parse("2/s").unwrap().per_minute(), 120);
    }

    #[test]
    fn what_is_no_value_is_refused() {
        for text in
            ["", "5", "5 m", "m", "1.5s", "-1s", "5min", "1h30m", "99999999999999999999s", "999999999999999d"]
        {
            assert!(Duration::parse(text).is_err(), "{text} was taken for a duration");
        }
        for text in ["", "5", "5KB", "5kib", "5 MiB", "1.5MiB", "99999999999TiB"] {
            assert!(Size::parse(text).is_err(), "{text} was taken for a size");
        }
        for text in ["", "5", "/m", "0/m", "5/h", "+5/m", "5/", "99999999999/s"] {
            assert!(Rate::parse(text).is_err(), "{text} was taken for a rate");
        }
    }
}
