use std::str::FromStr;
use std::time::Duration;

/// A span of time: `500ms`, `50s`, `5m`, `1h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let unit_ms: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err("write a span as 500ms, 50s, 5m or 1h".into()),
        };
        let number: u64 = number.parse().map_err(|_| "write a span as 500ms, 50s, 5m or 1h".to_owned())?;
        number.checked_mul(unit_ms).map(|ms| Self(Duration::from_millis(ms))).ok_or_else(|| "too long".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read() {
        assert_eq!("50s".parse(), Ok(Span(Duration::from_secs(50))));
        assert_eq!("5m".parse(), Ok(Span(Duration::from_secs(300))));
        for bad in ["", "s", "5", "5 s", "-1s", "99999999999999999999h"] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }
}
