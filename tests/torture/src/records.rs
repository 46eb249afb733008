//! Records whose bytes follow from their names, so that a changed bit, a foreign record or one from another place is seen.

/// Bytes in front of a record's body: topic, writer (u8 each), zero (u16), run, count, length of the body (u32 each).
const HEAD: usize = 16;

/// Which record it is. The counts of one writer in one run begin at 0 and have no gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id {
    pub(crate) topic: u8,
    pub(crate) writer: u8,
    /// Which process wrote it: rises by one with each.
    pub(crate) run: u32,
    pub(crate) count: u32,
}

/// The record with this name and a body of this many bytes.
pub(crate) fn encode(id: Id, body: usize) -> Vec<u8> {
    let mut bytes = vec![id.topic, id.writer, 0, 0];
    for number in [id.run, id.count, body as u32] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    let start = bytes.len();
    bytes.resize(start + body, 0);
    fill(id, &mut bytes[start..]);
    bytes
}

/// The name of a record. `None`: not every byte of it is as it was written.
pub(crate) fn decode(bytes: &[u8]) -> Option<Id> {
    let head = bytes.get(..HEAD)?;
    let number = |at: usize| {
        let mut word = [0; 4];
        word.copy_from_slice(&head[at..at + 4]);
        u32::from_le_bytes(word)
    };
    let id = Id { topic: head[0], writer: head[1], run: number(4), count: number(8) };
    let whole = bytes.len() == HEAD + number(12) as usize && encode(id, bytes.len() - HEAD) == bytes;
    whole.then_some(id)
}

fn fill(id: Id, body: &mut [u8]) {
    let seed =
        (u64::from(id.run) << 32 | u64::from(id.count)) ^ (u64::from(id.topic) << 8 | u64::from(id.writer));
    fastrand::Rng::with_seed(seed).fill(body);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_flipped_bit_and_any_cut_is_seen() {
        let id = Id { topic: 1, writer: 2, run: 3, count: 4 };
        let whole = encode(id, 40);
        assert_eq!(decode(&whole), Some(id));
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            assert_eq!(decode(&flipped), None, "byte {at}");
            assert_eq!(decode(&whole[..at]), None, "cut at {at}");
        }
    }
}
