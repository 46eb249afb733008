use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::disk::Disk;
use crate::error::OpenError;
use crate::frame::{u32_at, u64_at};
use crate::names;
use crate::progress::{Change, Progress};

/// Magic, version (u32), zero (u32), epoch (u64), CRC-32C of those (u32), zero (u32).
const FILE_HEADER: usize = 32;
const MAGIC: &[u8; 8] = b"prsettle";
const VERSION: u32 = 1;
/// Length (u32) and CRC-32C (u32) in front of a frame's body.
const FRAME_HEADER: usize = 8;
/// A file is rewritten when it is larger than this and than four times its snapshot.
const REWRITE_BYTES: u64 = 64 * 1024;

/// The file of a settle log: a snapshot (log, meta, progress) as the first frame, then changes.
#[derive(Debug)]
pub(crate) struct SettleFile {
    disk: Disk,
    file: File,
    path: PathBuf,
    seed: u32,
    bytes: u64,
    snapshot_bytes: u64,
    /// The end of the file may be torn: nothing may be appended, only a new file written.
    broken: bool,
}

/// What a settle log's file says.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) file: SettleFile,
    pub(crate) log: String,
    pub(crate) meta: Vec<u8>,
    pub(crate) progress: Progress,
    /// Changes that had been durable cannot be read.
    pub(crate) damaged: bool,
}

impl SettleFile {
    /// Writes a new file beside the place, syncs it, and renames it into the place.
    pub(crate) fn create(
        disk: &Disk,
        path: &Path,
        log: &str,
        meta: &[u8],
        progress: &Progress,
    ) -> io::Result<Self> {
        let epoch = fastrand::u64(..);
        let seed = crate::frame::seed(epoch);
        let mut out = Vec::with_capacity(FILE_HEADER + 64 + meta.len());
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&epoch.to_le_bytes());
        out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        let start = out.len();
        begin_frame(&mut out);
        out.extend_from_slice(&(log.len() as u32).to_le_bytes());
        out.extend_from_slice(log.as_bytes());
        out.extend_from_slice(&(meta.len() as u32).to_le_bytes());
        out.extend_from_slice(meta);
        progress.snapshot().for_each(|change| change.encode(&mut out));
        end_frame(&mut out, start, seed);

        let new = path.with_extension("new");
        drop(fs::remove_file(&new));
        let directory = disk.open_directory(parent(path))?;
        let file = disk.create(&new)?;
        let written = disk
            .write(&file, &new, &out, 0)
            .and_then(|()| disk.sync(&file, &new))
            .and_then(|()| disk.rename(&new, path))
            .and_then(|()| directory.sync());
        if let Err(error) = written {
            drop(fs::remove_file(&new));
            return Err(error);
        }
        let bytes = out.len() as u64;
        Ok(Self {
            disk: disk.clone(),
            file,
            path: path.to_owned(),
            seed,
            bytes,
            snapshot_bytes: bytes,
            broken: false,
        })
    }

    /// `Ok(None)`: not even the snapshot can be read.
    pub(crate) fn open(disk: &Disk, path: &Path) -> Result<Option<Opened>, OpenError> {
        let bytes = fs::read(path).map_err(OpenError::path("read", path))?;
        let Some((version, seed)) = read_header(&bytes) else { return Ok(None) };
        if version > VERSION {
            let path = path.to_owned();
            return Err(OpenError::NewerFormat { path, found: version, known: VERSION });
        }
        let mut at = FILE_HEADER;
        let Some(first) = frame_at(&bytes, at, seed) else { return Ok(None) };
        let Some((log, meta, mut changes)) = split_snapshot(first) else { return Ok(None) };
        at += FRAME_HEADER + first.len();
        let snapshot_bytes = at as u64;
        let mut progress = Progress::default();
        while let Some(change) = Change::decode(&mut changes) {
            progress.apply(change);
        }
        while let Some(mut frame) = frame_at(&bytes, at, seed) {
            at += FRAME_HEADER + frame.len();
            while let Some(change) = Change::decode(&mut frame) {
                progress.apply(change);
            }
        }
        let rest = at + 1..bytes.len().saturating_sub(FRAME_HEADER);
        let damaged = rest.into_iter().any(|later| frame_at(&bytes, later, seed).is_some());
        let file = OpenOptions::new().read(true).write(true).open(path);
        let file = file.map_err(OpenError::path("open", path))?;
        // What was read may stand in the page cache only, and segments are removed on the strength of it.
        disk.sync(&file, path).map_err(OpenError::path("sync", path))?;
        let broken = at < bytes.len();
        if damaged {
            // For an operator's eyes, while what can be used is written anew.
            fs::copy(path, quarantine_path(path)).map_err(OpenError::path("copy", path))?;
        }
        let file = Self {
            disk: disk.clone(),
            file,
            path: path.to_owned(),
            seed,
            bytes: at as u64,
            snapshot_bytes,
            broken,
        };
        Ok(Some(Opened { file, log, meta: meta.to_vec(), progress, damaged }))
    }

    /// Whether the next changes are to go into a new file, with everything else.
    pub(crate) fn wants_rewrite(&self) -> bool {
        self.broken || self.bytes > REWRITE_BYTES.max(4 * self.snapshot_bytes)
    }

    /// Appends one frame (made with [`begin_frame`]; this ends it) and syncs it. After a failure the file takes no more.
    pub(crate) fn append(&mut self, frame: &mut [u8]) -> io::Result<()> {
        end_frame(frame, 0, self.seed);
        self.broken = true;
        self.disk.write(&self.file, &self.path, frame, self.bytes)?;
        self.disk.sync(&self.file, &self.path)?;
        self.broken = false;
        self.bytes += frame.len() as u64;
        Ok(())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn delete(&mut self) -> io::Result<()> {
        let directory = self.disk.open_directory(parent(&self.path))?;
        self.broken = true;
        // First, since alone it would tell of a subscription that cannot be read.
        delete_quarantined(&self.disk, &self.path)?;
        self.disk.unlink(&self.path)?;
        directory.sync()
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

/// Where what could not be read of a settle log is kept: beside a settle log a copy, alone all that is left.
pub(crate) fn quarantine_path(path: &Path) -> PathBuf {
    path.with_extension("quarantined")
}

/// Removes what was kept aside of a settle log; whether there was anything.
pub(crate) fn delete_quarantined(disk: &Disk, path: &Path) -> io::Result<bool> {
    let directory = disk.open_directory(parent(path))?;
    match disk.unlink(&quarantine_path(path)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        other => other?,
    }
    directory.sync()?;
    Ok(true)
}

pub(crate) fn begin_frame(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0; FRAME_HEADER]);
}

fn end_frame(out: &mut [u8], start: usize, seed: u32) {
    let length = (out.len() - start - FRAME_HEADER) as u32;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    let checksum = checksum(seed, length, &out[start + FRAME_HEADER..]);
    out[start + 4..start + 8].copy_from_slice(&checksum.to_le_bytes());
}

fn checksum(seed: u32, length: u32, body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(seed, &length.to_le_bytes()), body)
}

/// Version and seed of a whole header.
fn read_header(bytes: &[u8]) -> Option<(u32, u32)> {
    let valid = bytes.len() >= FILE_HEADER
        && &bytes[..8] == MAGIC
        && crc32c::crc32c(&bytes[..24]) == u32_at(bytes, 24);
    valid.then(|| (u32_at(bytes, 8), crate::frame::seed(u64_at(bytes, 16))))
}

/// The body of the frame that begins here, if one does. No frame is empty.
fn frame_at(bytes: &[u8], at: usize, seed: u32) -> Option<&[u8]> {
    let head = bytes.get(at..at + FRAME_HEADER)?;
    let length = u32_at(head, 0);
    let body = bytes[at + FRAME_HEADER..].get(..length as usize)?;
    (length > 0 && checksum(seed, length, body) == u32_at(head, 4)).then_some(body)
}

fn split_snapshot(body: &[u8]) -> Option<(String, &[u8], &[u8])> {
    fn field(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
        let (length, rest) = bytes.split_at_checked(4)?;
        rest.split_at_checked(u32_at(length, 0) as usize)
    }
    let (log, rest) = field(body)?;
    let (meta, rest) = field(rest)?;
    let log = String::from_utf8(log.to_vec()).ok()?;
    // A snapshot of a log that there cannot be says nothing.
    names::encode(&log, names::LOG_BYTES_MAX).ok()?;
    Some((log, meta, rest))
}
