use std::fmt;
use std::sync::Arc;

/// Where a record stands on its broker: stable across hand-outs, opaque to everybody but the driver that made it.
///
/// It is printed in answers, dead letters and `tail`, and is given back to [`Driver`](crate::Driver) to browse from or
/// to purge. Only its driver may read meaning into it; equality is all that others may use.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Position {
    /// A place in one sequence.
    Number(u64),
    /// A place in one of several sequences.
    Pair(u32, u64),
    /// Whatever else a broker names its records by.
    Text(Arc<str>),
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(n) => write!(f, "{n}"),
            Self::Pair(a, b) => write!(f, "{a}-{b}"),
            Self::Text(t) => f.write_str(t),
        }
    }
}

impl Position {
    /// Reads a position as [`Display`](fmt::Display) printed it. Never fails: what is no number is text.
    pub fn parse(text: &str) -> Self {
        let canonical = |n: &str| n == "0" || (!n.starts_with('0') && n.bytes().all(|b| b.is_ascii_digit()));
        if canonical(text)
            && let Ok(n) = text.parse()
        {
            return Self::Number(n);
        }
        if let Some((a, b)) = text.split_once('-')
            && canonical(a)
            && canonical(b)
            && let (Ok(a), Ok(b)) = (a.parse(), b.parse())
        {
            return Self::Pair(a, b);
        }
        Self::Text(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_position_is_read_back_as_it_was_printed() {
        for p in [
            Position::Number(0),
            Position::Number(u64::MAX),
            Position::Pair(3, 42),
            Position::Text("00042".into()),
            Position::Text("projects/x".into()),
            Position::Text("1-02".into()),
        ] {
            assert_eq!(Position::parse(&p.to_string()), p);
        }
    }
}
