//! Positions of the driver, and where in each partition a selection begins.

use std::fmt::Write as _;

use broker::{Error, ErrorKind, Position};

/// One offset a partition, as [`end`](super::end) prints them: `0:6,1:0`.
pub(crate) fn print(offsets: &[(u32, u64)]) -> Position {
    let mut text = String::new();
    for (partition, offset) in offsets {
        let comma = if text.is_empty() { "" } else { "," };
        write!(text, "{comma}{partition}:{offset}").expect("writing to a string cannot fail");
    }
    Position::Text(text.into())
}

/// Reads them back. `None`: that is no such position.
pub(crate) fn parse(text: &str) -> Option<Vec<(u32, u64)>> {
    let pair = |pair: &str| {
        let (partition, offset) = pair.split_once(':')?;
        Some((partition.parse().ok()?, offset.parse().ok()?))
    };
    text.split(',').map(pair).collect()
}

/// The answer to a position that this driver has not made.
pub(crate) fn foreign(position: &Position) -> Error {
    let message = format!(
        "{position} is no position of a Kafka topic: those are PARTITION-OFFSET for a record, and \
         PARTITION:OFFSET,… for a place in all partitions"
    );
    Error::new(ErrorKind::NotFound, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_read_back_as_it_was_printed() {
        for offsets in [vec![(0, 6)], vec![(0, 6), (1, 0), (2, u64::MAX)]] {
            let Position::Text(text) = print(&offsets) else { panic!("an end is text") };
            assert_eq!(parse(&text), Some(offsets));
        }
        for bad in ["", "0", "0:", ":1", "0:1,", "a:b", "0:-1"] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}
