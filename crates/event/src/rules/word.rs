//! Tests of eight bytes at a time, for the texts that every event is made of.
//!
//! A test's result has the high bit of each byte that passes, reliably so for the lowest such byte: a borrow can only
//! spoil bytes above it. So `!= 0` and `trailing_zeros` are exact.

pub(crate) const ONES: u64 = u64::from_le_bytes([1; 8]);
pub(crate) const HIGHS: u64 = ONES << 7;

/// Which bytes are below `limit`, which is at most 128.
#[inline]
pub(crate) fn below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(ONES * limit as u64) & !word & HIGHS
}

/// Which bytes equal `byte`.
#[inline]
pub(crate) fn equal(word: u64, byte: u8) -> u64 {
    below(word ^ (ONES * byte as u64), 1)
}

/// Whether the test passes for any of the bytes; `None` where those are fewer than eight.
#[inline]
pub(crate) fn any(bytes: &[u8], test: impl Fn(u64) -> u64) -> Option<bool> {
    let passes = |word: &[u8; 8]| test(u64::from_le_bytes(*word)) != 0;
    // The last eight may overlap those before, which spares a loop over the remainder.
    let last = bytes.last_chunk::<8>()?;
    Some(passes(last) || bytes.as_chunks::<8>().0.iter().any(passes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_byte_that_passes_is_found() {
        for at in 0..8 {
            for byte in 0..=u8::MAX {
                let mut bytes = [0x80; 8];
                bytes[at] = byte;
                bytes[at + 1..].fill(0);
                let word = u64::from_le_bytes(bytes);
                let first = |found: u64| found.trailing_zeros() as usize / 8;
                assert_eq!(first(below(word, 0x20)) == at, byte < 0x20, "{byte} at {at}");
                assert_eq!(first(equal(word, byte)) == at, byte != 0x80 || at == 0, "{byte} at {at}");
            }
        }
    }
}
