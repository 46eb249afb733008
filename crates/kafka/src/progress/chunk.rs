//! The unsettled ones of 256 neighbouring offsets.

/// Offsets in a chunk. A chunk's number is its first offset divided by this.
pub(super) const SIZE: u64 = 256;

/// One bit an offset of a chunk, the lowest first. Set: unsettled.
pub(super) type Bits = [u64; 4];

/// Which offsets of a chunk are unsettled.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Chunk(Bits);

impl Chunk {
    /// How many are unsettled.
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    pub(super) fn bits(&self) -> &Bits {
        &self.0
    }

    /// The first unsettled index.
    pub(super) fn first(&self) -> Option<u8> {
        ones(&self.0).next()
    }

    pub(super) fn contains(&self, index: u8) -> bool {
        let (word, bit) = place(index);
        self.0[word] & bit != 0
    }

    pub(super) fn insert(&mut self, index: u8) {
        let (word, bit) = place(index);
        self.0[word] |= bit;
    }

    pub(super) fn remove(&mut self, index: u8) {
        let (word, bit) = place(index);
        self.0[word] &= !bit;
    }
}

/// The word of an index, and its bit there.
fn place(index: u8) -> (usize, u64) {
    (usize::from(index >> 6), 1 << (index & 63))
}

/// The indexes whose bits are set, in order.
pub(super) fn ones(bits: &Bits) -> impl Iterator<Item = u8> + '_ {
    (0u8..4).flat_map(move |word| {
        let mut left = bits[usize::from(word)];
        std::iter::from_fn(move || {
            let bit = (left != 0).then(|| left.trailing_zeros() as u8)?;
            left &= left - 1;
            Some(word * 64 + bit)
        })
    })
}

/// The indexes at which the state changes, in order, where it is settled before the first.
pub(super) fn changes(bits: &Bits) -> impl Iterator<Item = u8> {
    let mut before = 0;
    let flips = bits.map(|word| {
        let flips = word ^ (word << 1 | before);
        before = word >> 63;
        flips
    });
    let mut next = 0u16;
    std::iter::from_fn(move || {
        while next < 256 {
            let left = flips[usize::from(next >> 6)] >> (next & 63);
            if left != 0 {
                let found = next + left.trailing_zeros() as u16;
                next = found + 1;
                return Some(found as u8);
            }
            next = (next | 63) + 1;
        }
        None
    })
}

/// The highest index below `end` (at most 256) whose bit is not set.
pub(super) fn last_zero_below(bits: &Bits, end: u64) -> Option<u64> {
    (0..4).rev().find_map(|word| {
        let inside = end.saturating_sub(word * 64).min(64) as u32;
        let zeros = !bits[word as usize] & ones_below(inside);
        zeros.checked_ilog2().map(|bit| word * 64 + u64::from(bit))
    })
}

/// Sets the bits of `from..to` (at most 256).
pub(super) fn set(bits: &mut Bits, from: u64, to: u64) {
    for (word, bits) in (0u64..).zip(bits) {
        let inside = |at: u64| at.saturating_sub(word * 64).min(64) as u32;
        *bits |= ones_below(inside(to)) & !ones_below(inside(from));
    }
}

/// Clears the bits from `end` (at most 256) on.
pub(super) fn cut(bits: &mut Bits, end: u64) {
    for (word, bits) in (0u64..).zip(bits) {
        *bits &= ones_below(end.saturating_sub(word * 64).min(64) as u32);
    }
}

fn ones_below(bit: u32) -> u64 {
    1u64.checked_shl(bit).map_or(u64::MAX, |above| above - 1)
}
