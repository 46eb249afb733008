//! The unsettled ones of 256 neighbouring offsets.

/// Offsets in a chunk. A chunk's number is its first offset divided by this.
pub(super) const SIZE: u64 = 256;

/// One bit an offset of a chunk, the lowest first. Set: unsettled.
pub(super) type Bits = [u64; 4];

/// Which offsets of a chunk are unsettled, and the caller's entry of each.
///
/// The entries stand side by side, in the order of their offsets: an offset's entry is found by counting the bits below
/// its own. An array of 256 would spare the count, but a stuck offset would cost a kilobyte, and there may be a million
/// chunks with one of them each. Taking one out moves half a kilobyte on average, which costs no more than the search
/// for the chunk did.
#[derive(Clone, Debug, Default)]
pub(super) struct Chunk {
    bits: Bits,
    entries: Vec<u32>,
}

impl Chunk {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.entries.capacity()
    }

    pub(super) fn bits(&self) -> &Bits {
        &self.bits
    }

    /// The first unsettled index.
    pub(super) fn first(&self) -> Option<u8> {
        ones(&self.bits).next()
    }

    /// Appends an index above all others.
    pub(super) fn push(&mut self, index: u8, entry: u32) {
        debug_assert!(
            last_zero_below(&self.bits.map(|word| !word), SIZE) < Some(index.into()),
            "filled in order"
        );
        self.bits[usize::from(index >> 6)] |= 1 << (index & 63);
        self.entries.push(entry);
    }

    pub(super) fn get(&self, index: u8) -> Option<u32> {
        self.rank(index).map(|at| self.entries[at])
    }

    pub(super) fn remove(&mut self, index: u8) -> Option<u32> {
        let at = self.rank(index)?;
        self.bits[usize::from(index >> 6)] &= !(1 << (index & 63));
        let entry = self.entries.remove(at);
        // What one stuck offset leaves behind must not be a kilobyte.
        if self.entries.capacity() >= 32 && self.entries.len() <= self.entries.capacity() / 4 {
            self.entries.shrink_to(self.entries.capacity() / 2);
        }
        Some(entry)
    }

    /// The unsettled indexes and their entries, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u8, u32)> + '_ {
        ones(&self.bits).zip(self.entries.iter().copied())
    }

    /// How many unsettled indexes are below this one, where it is unsettled itself.
    fn rank(&self, index: u8) -> Option<usize> {
        let (word, bit) = (usize::from(index >> 6), 1 << (index & 63));
        if self.bits[word] & bit == 0 {
            return None;
        }
        let below: u32 = self.bits[..word].iter().map(|bits| bits.count_ones()).sum();
        Some((below + (self.bits[word] & (bit - 1)).count_ones()) as usize)
    }
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
