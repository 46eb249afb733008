//! Numbers in a commit's metadata: varints, columns of Rice codes, and a checksum.

/// Seven bits a byte, the lowest first; the highest bit says that more follow.
pub(super) fn put_varint(into: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        into.push(value as u8 | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}

/// How many bytes a varint takes.
pub(super) fn varint_len(value: u64) -> usize {
    (value | 1).ilog2() as usize / 7 + 1
}

/// Takes a varint off the front; `None` where none stands there.
pub(super) fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let part = u64::from(byte & 0x7f);
        if part << shift >> shift != part {
            return None;
        }
        value |= part << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Bits of a column's parameter.
const PARAMETER: u32 = 6;

/// The parameter of the Rice code that suits these values, and how many bits all of them take with it.
///
/// With parameter `k`, a value is written as its part above the lowest `k` bits, in unary, and those bits: close to the
/// best that can be done for gaps between things that are spread at random.
pub(super) fn column_bits(values: impl Iterator<Item = u64> + Clone) -> (u32, u64) {
    let (mut count, mut sum) = (0u64, 0u128);
    for value in values.clone() {
        count += 1;
        sum += u128::from(value);
    }
    let mean = u64::try_from(sum / u128::from(count.max(1))).unwrap_or(u64::MAX);
    let around = mean.max(1).ilog2();
    let cost = |k: u32| {
        let unary: u128 = values.clone().map(|value| u128::from(value >> k)).sum();
        u64::try_from(u128::from(count) * u128::from(k + 1) + unary).unwrap_or(u64::MAX)
    };
    let (bits, k) = (around.saturating_sub(1)..=(around + 1).min(63))
        .map(|k| (cost(k), k))
        .min()
        .expect("the range holds at least its middle");
    (k, bits.saturating_add(u64::from(PARAMETER)))
}

/// The most bits that a column of `count` values takes whose mean is at most `mean`.
///
/// With a mean `m` ≥ 1 and `k` = ⌊log₂ m⌋, a value takes `k + 1 + m / 2^k` bits on average, at most `log₂ m + 2`; with a
/// smaller mean and `k` = 0, at most 2. Nor does the product with the count rise when values are taken away, be it that
/// the others' mean stays or that their sum does.
pub(super) fn column_bound(count: u64, mean: f64) -> u64 {
    (count as f64 * (mean.max(1.0).log2() + 2.0)).ceil() as u64 + u64::from(PARAMETER) + 1
}

/// Bits, the lowest of each byte first.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits used of the last byte; 0 where it is full or there is none.
    used: u32,
}

impl BitWriter {
    fn bit(&mut self, bit: bool) {
        if self.used == 0 {
            self.bytes.push(0);
        }
        if let Some(last) = self.bytes.last_mut() {
            *last |= u8::from(bit) << self.used;
        }
        self.used = (self.used + 1) % 8;
    }

    fn bits(&mut self, value: u64, count: u32) {
        (0..count).for_each(|at| self.bit(value >> at & 1 == 1));
    }

    /// Writes values with their best parameter before them.
    pub(super) fn column(&mut self, values: impl Iterator<Item = u64> + Clone) {
        let (k, _) = column_bits(values.clone());
        self.bits(u64::from(k), PARAMETER);
        for value in values {
            (0..value >> k).for_each(|_| self.bit(true));
            self.bit(false);
            self.bits(value, k);
        }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Reads what [`BitWriter`] wrote.
#[derive(Debug)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn bit(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    fn bits(&mut self, count: u32) -> Option<u64> {
        let mut value = 0;
        for at in 0..count {
            value |= u64::from(self.bit()?) << at;
        }
        Some(value)
    }

    pub(super) fn column(&mut self, count: usize) -> Option<Vec<u64>> {
        let k = self.bits(PARAMETER)? as u32;
        let left = self.bytes.len() * 8 - self.at;
        // Each value takes a bit at least: a count that cannot be is found before memory is taken for it.
        let mut values = Vec::with_capacity((count <= left).then_some(count)?);
        for _ in 0..count {
            let mut above = 0u64;
            while self.bit()? {
                above += 1;
            }
            let shifted = above << k;
            (shifted >> k == above).then_some(())?;
            values.push(shifted | self.bits(k)?);
        }
        Some(values)
    }

    /// Whether nothing is left but the padding of the last byte.
    pub(super) fn is_at_end(&self) -> bool {
        self.at.div_ceil(8) == self.bytes.len()
    }
}

/// The polynomial of OpenPGP's CRC-24 (RFC 9580, section 6.1): three bytes that find any one or two flipped bits in
/// messages of this size, and all but one in sixteen million of other damages.
const POLYNOMIAL: u32 = 0x0186_4cfb;

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u32) << 16;
        let mut bit = 0;
        while bit < 8 {
            crc <<= 1;
            if crc & 0x0100_0000 != 0 {
                crc ^= POLYNOMIAL;
            }
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

/// CRC-24 of the parts, one after another.
pub(super) fn crc24(parts: [&[u8]; 3]) -> u32 {
    parts
        .into_iter()
        .flatten()
        .fold(0x00b7_04ce, |crc, byte| (crc << 8 & 0x00ff_ffff) ^ TABLE[((crc >> 16) as u8 ^ byte) as usize])
}
