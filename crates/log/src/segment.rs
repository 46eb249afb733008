use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::disk::Disk;
use crate::frame::{u32_at, u64_at};

/// Bytes in front of a segment's first frame: magic, version (u32), zero (u32), epoch (u64), base sequence (u64),
/// CRC-32C of those (u32), zero (u32).
pub(crate) const SEGMENT_HEADER: usize = 40;
const SEGMENT_MAGIC: &[u8; 8] = b"prsegmnt";
const INDEX_MAGIC: &[u8; 8] = b"prindex\0";
const VERSION: u32 = 1;

/// A point of the sparse index stands at most every so many bytes.
pub(crate) const INDEX_INTERVAL: u64 = 64 * 1024;
/// Offsets are u32, so a segment ends well below 4 GiB whatever its configured size.
pub(crate) const SEGMENT_BYTES_MAX: u64 = 1 << 31;

/// What is known of a segment in memory. Of the active one it tells what is durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Sequence of its first record.
    pub(crate) base: u64,
    /// One past its last.
    pub(crate) end: u64,
    pub(crate) bytes: u64,
    pub(crate) epoch: u64,
    /// Time of its last record, 0 while there is none.
    pub(crate) last_ms: u64,
    pub(crate) index: Vec<Point>,
    /// Sequences `from..to` that are damaged and lost.
    pub(crate) holes: Vec<(u64, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) sequence: u64,
    pub(crate) time_ms: u64,
    pub(crate) offset: u32,
}

impl Segment {
    pub(crate) fn new(base: u64, epoch: u64) -> Self {
        Self { base, end: base, bytes: SEGMENT_HEADER as u64, epoch, ..Self::default() }
    }

    /// Where to begin to read for a sequence: at its record or before it.
    pub(crate) fn offset_before(&self, sequence: u64) -> u64 {
        let after = self.index.partition_point(|point| point.sequence <= sequence);
        after.checked_sub(1).map_or(SEGMENT_HEADER as u64, |at| u64::from(self.index[at].offset))
    }

    /// A sequence at or before the first record of this time or later.
    pub(crate) fn sequence_before(&self, time_ms: u64) -> u64 {
        // Not by halves: times are not in order where a clock was set back.
        let after = self.index.iter().position(|point| point.time_ms >= time_ms).unwrap_or(self.index.len());
        after.checked_sub(1).map_or(self.base, |at| self.index[at].sequence)
    }

    /// Remembers a record in the sparse index if it is far enough from the last one there.
    pub(crate) fn point(&mut self, point: Point) {
        if self.index.last().is_none_or(|last| u64::from(point.offset - last.offset) >= INDEX_INTERVAL) {
            self.index.push(point);
        }
    }
}

pub(crate) fn path(directory: &Path, base: u64) -> PathBuf {
    directory.join(format!("{base:020}.segment"))
}

pub(crate) fn index_path(directory: &Path, base: u64) -> PathBuf {
    directory.join(format!("{base:020}.index"))
}

pub(crate) fn quarantine_path(directory: &Path, base: u64) -> PathBuf {
    directory.join(format!("{base:020}.quarantined"))
}

/// The base sequence that a file name tells, if it is a segment's.
pub(crate) fn base_of(file_name: &str) -> Option<u64> {
    let digits = file_name.strip_suffix(".segment")?;
    (digits.len() == 20).then(|| digits.parse().ok())?
}

/// Creates a segment's file with a durable header and a durable name. On failure nothing stays.
pub(crate) fn create(disk: &Disk, directory: &Path, base: u64) -> io::Result<(File, Segment)> {
    let path = path(directory, base);
    let epoch = fastrand::u64(..);
    let mut header = Vec::with_capacity(SEGMENT_HEADER);
    header.extend_from_slice(SEGMENT_MAGIC);
    header.extend_from_slice(&VERSION.to_le_bytes());
    header.extend_from_slice(&[0; 4]);
    header.extend_from_slice(&epoch.to_le_bytes());
    header.extend_from_slice(&base.to_le_bytes());
    header.extend_from_slice(&crc32c::crc32c(&header).to_le_bytes());
    header.extend_from_slice(&[0; 4]);
    let directory = disk.open_directory(directory)?;
    let file = disk.create(&path)?;
    let written = disk
        .write(&file, &path, &header, 0)
        .and_then(|()| disk.sync(&file, &path))
        .and_then(|()| directory.sync());
    if let Err(error) = written {
        // A leftover is recognised as a creation that was cut short, so failing to remove it does no harm.
        drop(disk.unlink(&path));
        return Err(error);
    }
    Ok((file, Segment::new(base, epoch)))
}

/// What a segment's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    Valid { epoch: u64 },
    Newer { version: u32 },
    Invalid,
}

pub(crate) fn read_header(file: &File, base: u64) -> io::Result<Header> {
    let mut header = [0; SEGMENT_HEADER];
    match file.read_exact_at(&mut header, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Header::Invalid),
        other => other?,
    }
    if &header[..8] != SEGMENT_MAGIC || crc32c::crc32c(&header[..32]) != u32_at(&header, 32) {
        return Ok(Header::Invalid);
    }
    let version = u32_at(&header, 8);
    if version > VERSION {
        return Ok(Header::Newer { version });
    }
    Ok(if u64_at(&header, 24) == base {
        Header::Valid { epoch: u64_at(&header, 16) }
    } else {
        Header::Invalid
    })
}

/// The side file of a sealed segment. It is not synced: where it is missing or torn, the segment is read instead.
pub(crate) fn encode_index(segment: &Segment) -> Vec<u8> {
    let mut out = Vec::with_capacity(72 + segment.index.len() * 20 + segment.holes.len() * 16);
    out.extend_from_slice(INDEX_MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    for number in [segment.epoch, segment.base, segment.end, segment.bytes, segment.last_ms] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(&(segment.holes.len() as u32).to_le_bytes());
    for (from, to) in &segment.holes {
        out.extend_from_slice(&from.to_le_bytes());
        out.extend_from_slice(&to.to_le_bytes());
    }
    for point in &segment.index {
        out.extend_from_slice(&point.sequence.to_le_bytes());
        out.extend_from_slice(&point.time_ms.to_le_bytes());
        out.extend_from_slice(&point.offset.to_le_bytes());
    }
    out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
    out
}

/// `None`: not a whole side file of the segment with this epoch and size.
pub(crate) fn decode_index(file: &[u8], epoch: u64, bytes: u64) -> Option<Segment> {
    const FIXED: usize = 56;
    let (body, checksum) = file.split_at_checked(file.len().checked_sub(4)?)?;
    if body.len() < FIXED
        || crc32c::crc32c(body) != u32_at(checksum, 0)
        || &body[..8] != INDEX_MAGIC
        || u32_at(body, 8) != VERSION
    {
        return None;
    }
    let number = |n: usize| u64_at(body, 12 + n * 8);
    let mut segment = Segment {
        epoch: number(0),
        base: number(1),
        end: number(2),
        bytes: number(3),
        last_ms: number(4),
        ..Segment::default()
    };
    let (holes, points) = body[FIXED..].split_at_checked(u32_at(body, 52) as usize * 16)?;
    segment.holes = holes.chunks_exact(16).map(|hole| (u64_at(hole, 0), u64_at(hole, 8))).collect();
    segment.index = points
        .chunks_exact(20)
        .map(|p| Point { sequence: u64_at(p, 0), time_ms: u64_at(p, 8), offset: u32_at(p, 16) })
        .collect();
    (segment.epoch == epoch && segment.bytes == bytes).then_some(segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_read_back_and_a_damaged_one_is_refused() {
        let mut segment = Segment::new(7, 42);
        segment.end = 99;
        segment.bytes = 1_000_000;
        segment.holes.push((10, 12));
        for n in 0..20 {
            segment.point(Point { sequence: 7 + n, time_ms: n, offset: 40 + n as u32 * 40_000 });
        }
        assert_eq!(segment.index.len(), 10, "a point at most every interval");
        let encoded = encode_index(&segment);
        assert_eq!(decode_index(&encoded, 42, 1_000_000).as_ref(), Some(&segment));
        assert_eq!(decode_index(&encoded, 43, 1_000_000), None, "another epoch");
        assert_eq!(decode_index(&encoded, 42, 999_999), None, "the segment was cut");
        for at in 0..encoded.len() {
            let mut flipped = encoded.clone();
            flipped[at] ^= 4;
            assert_eq!(decode_index(&flipped, 42, 1_000_000), None, "byte {at}");
            assert_eq!(decode_index(&encoded[..at], 42, 1_000_000), None, "cut at {at}");
        }
        assert_eq!(segment.offset_before(7), 40);
        assert_eq!(segment.offset_before(8), 40);
        assert_eq!(segment.sequence_before(0), 7);
    }
}
