//! A disk that remembers what of it is durable, and what a power loss may leave of the rest.
//!
//! It is nastier than any one file system, within what POSIX lets all of them do: of what was written and not synced any
//! 512 bytes may be there, or be garbage, or not be there, whatever else is; a file may have grown and hold zeros; and of
//! names that were made, changed or removed in a directory and not synced *with that directory* any may be so or not. A
//! rename is whole.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What a disk writes as a whole.
const SECTOR: usize = 512;

/// Everything below one directory. Paths are relative to it.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    files: Vec<File>,
    /// As programs see them; directories are among them.
    names: BTreeMap<PathBuf, Node>,
    durable: BTreeMap<PathBuf, Node>,
    /// By directory, in order.
    pending: BTreeMap<PathBuf, Vec<NameChange>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Directory,
    File(usize),
}

#[derive(Clone, Debug)]
enum NameChange {
    Made(PathBuf, Node),
    Removed(PathBuf),
    Renamed(PathBuf, PathBuf, Node),
}

#[derive(Clone, Debug, Default)]
struct File {
    durable: Vec<u8>,
    /// Not synced, in order.
    pending: Vec<Change>,
    /// Bytes, with all that is pending.
    length: u64,
}

#[derive(Clone, Debug)]
enum Change {
    Bytes { offset: u64, bytes: Vec<u8> },
    Length(u64),
}

/// How much of what is pending a power loss leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Luck {
    Nothing,
    Everything,
    /// The first of it, up to somewhere.
    Prefix,
    /// Any of it.
    Any,
}

impl Luck {
    fn draw(random: &mut fastrand::Rng) -> Self {
        [Self::Nothing, Self::Everything, Self::Prefix, Self::Any, Self::Any][random.usize(..5)]
    }

    /// Which of `count` things stay.
    fn of(self, count: usize, random: &mut fastrand::Rng) -> Vec<bool> {
        let prefix = random.usize(..=count);
        let stays = |at| match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Prefix => at < prefix,
            Self::Any => random.bool(),
        };
        (0..count).map(stays).collect()
    }
}

impl Disk {
    /// What stands below a directory now, as durable.
    pub(super) fn of(root: &Path) -> io::Result<Self> {
        let mut disk = Self::default();
        let mut todo = vec![root.to_owned()];
        while let Some(directory) = todo.pop() {
            for entry in fs::read_dir(directory)? {
                let path = entry?.path();
                let node = if path.is_dir() {
                    todo.push(path.clone());
                    Node::Directory
                } else {
                    let durable = fs::read(&path)?;
                    disk.files.push(File { length: durable.len() as u64, durable, pending: Vec::new() });
                    Node::File(disk.files.len() - 1)
                };
                let name = path.strip_prefix(root).map_err(io::Error::other)?;
                disk.names.insert(name.to_owned(), node);
            }
        }
        disk.durable = disk.names.clone();
        Ok(disk)
    }

    fn file(&mut self, path: &Path) -> Option<&mut File> {
        match self.names.get(path) {
            Some(Node::File(at)) => self.files.get_mut(*at),
            _ => None,
        }
    }

    fn change_name(&mut self, path: &Path, change: NameChange) {
        let directory = path.parent().unwrap_or(Path::new("")).to_owned();
        self.pending.entry(directory).or_default().push(change);
    }

    pub(super) fn is_directory(&self, path: &Path) -> bool {
        path == Path::new("") || self.names.get(path) == Some(&Node::Directory)
    }

    /// Opened with `O_CREAT`.
    pub(super) fn create(&mut self, path: &Path) {
        if !self.names.contains_key(path) {
            self.files.push(File::default());
            self.make(path, Node::File(self.files.len() - 1));
        }
    }

    pub(super) fn make_directory(&mut self, path: &Path) {
        self.make(path, Node::Directory);
    }

    fn make(&mut self, path: &Path, node: Node) {
        self.names.insert(path.to_owned(), node);
        self.change_name(path, NameChange::Made(path.to_owned(), node));
    }

    pub(super) fn remove(&mut self, path: &Path) {
        self.names.remove(path);
        self.change_name(path, NameChange::Removed(path.to_owned()));
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) {
        if let Some(node) = self.names.remove(from) {
            self.names.insert(to.to_owned(), node);
            self.change_name(to, NameChange::Renamed(from.to_owned(), to.to_owned(), node));
        }
    }

    /// `offset` of `None`: at the end.
    pub(super) fn write(&mut self, path: &Path, offset: Option<u64>, bytes: Vec<u8>) {
        if let Some(file) = self.file(path) {
            let offset = offset.unwrap_or(file.length);
            file.length = file.length.max(offset + bytes.len() as u64);
            file.pending.push(Change::Bytes { offset, bytes });
        }
    }

    pub(super) fn set_length(&mut self, path: &Path, length: u64) {
        if let Some(file) = self.file(path).filter(|file| file.length != length) {
            file.length = length;
            file.pending.push(Change::Length(length));
        }
    }

    pub(super) fn length(&mut self, path: &Path) -> u64 {
        self.file(path).map_or(0, |file| file.length)
    }

    /// How much a sync that begins now covers.
    pub(super) fn covered(&mut self, path: &Path) -> usize {
        if self.is_directory(path) {
            return self.pending.get(path).map_or(0, Vec::len);
        }
        self.file(path).map_or(0, |file| file.pending.len())
    }

    /// A sync that covers the first `count` changes has returned. `data_only`: it was `fdatasync`, to which a file that
    /// became shorter, and did not grow again, is no matter.
    pub(super) fn synced(&mut self, path: &Path, count: usize, data_only: bool) {
        if self.is_directory(path) {
            let pending = self.pending.entry(path.to_owned()).or_default();
            for change in pending.drain(..count.min(pending.len())) {
                change.apply(&mut self.durable);
            }
            return;
        }
        let Some(file) = self.file(path) else { return };
        let mut covered: Vec<Change> = file.pending.drain(..count.min(file.pending.len())).collect();
        let shorter = covered.pop_if(|last| data_only && matches!(last, Change::Length(_)));
        covered.into_iter().for_each(|change| change.apply(&mut file.durable));
        file.pending.splice(0..0, shorter);
    }

    /// Writes what a power loss now may leave into an empty directory.
    pub(super) fn lose_power(&self, random: &mut fastrand::Rng, into: &Path) -> io::Result<()> {
        let mut names = self.durable.clone();
        for pending in self.pending.values() {
            let stays = Luck::draw(random).of(pending.len(), random);
            for (change, _) in pending.iter().zip(stays).filter(|(_, stays)| *stays) {
                change.clone().apply(&mut names);
            }
        }
        // Parents stand before what is in them. What lost its parent is lost with it.
        for (path, node) in names {
            let place = into.join(&path);
            match node {
                _ if place.parent().is_some_and(|parent| !parent.is_dir()) => {}
                Node::Directory => fs::create_dir(place)?,
                Node::File(at) => fs::write(place, self.files[at].lose_power(random))?,
            }
        }
        Ok(())
    }
}

impl NameChange {
    fn apply(self, names: &mut BTreeMap<PathBuf, Node>) {
        match self {
            Self::Made(path, node) => drop(names.insert(path, node)),
            Self::Removed(path) => drop(names.remove(&path)),
            Self::Renamed(from, to, node) => {
                names.remove(&from);
                names.insert(to, node);
            }
        }
    }
}

impl File {
    fn lose_power(&self, random: &mut fastrand::Rng) -> Vec<u8> {
        let mut left = self.durable.clone();
        let luck = Luck::draw(random);
        let pieces: Vec<Change> = self.pending.iter().flat_map(Change::pieces).collect();
        let stays = luck.of(pieces.len(), random);
        for (mut piece, _) in pieces.into_iter().zip(stays).filter(|(_, stays)| *stays) {
            if luck == Luck::Any {
                piece.garble(random);
            }
            piece.apply(&mut left);
        }
        // Its length may have been written and its bytes not.
        if luck != Luck::Nothing && (left.len() as u64) < self.length && random.u32(..4) == 0 {
            left.resize(random.usize(left.len()..=self.length as usize), 0);
        }
        left
    }
}

impl Change {
    fn apply(self, to: &mut Vec<u8>) {
        match self {
            Self::Length(length) => to.resize(length as usize, 0),
            Self::Bytes { offset, bytes } => {
                let (from, end) = (offset as usize, offset as usize + bytes.len());
                if to.len() < end {
                    to.resize(end, 0);
                }
                to[from..end].copy_from_slice(&bytes);
            }
        }
    }

    /// Now and then something else came to stand there.
    fn garble(&mut self, random: &mut fastrand::Rng) {
        if let Self::Bytes { bytes, .. } = self
            && random.u32(..16) == 0
        {
            random.fill(bytes);
        }
    }

    /// What of it is written as a whole: up to the next multiple of a sector.
    fn pieces(&self) -> Vec<Self> {
        let Self::Bytes { offset, bytes } = self else { return vec![self.clone()] };
        let mut pieces = Vec::new();
        let (mut at, mut rest) = (*offset, bytes.as_slice());
        while !rest.is_empty() {
            let room = SECTOR - at as usize % SECTOR;
            let (piece, after) = rest.split_at(room.min(rest.len()));
            pieces.push(Self::Bytes { offset: at, bytes: piece.to_vec() });
            (at, rest) = (at + piece.len() as u64, after);
        }
        pieces
    }
}
