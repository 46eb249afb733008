use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// The file operations that can lose data, so that tests can fail the Nth of them. In production it is a `None` that is
/// looked at once a call.
#[derive(Clone, Debug, Default)]
pub struct Disk(Option<Arc<dyn Faults>>);

/// What a test does to the disk.
pub trait Faults: Debug + Send + Sync {
    /// Called before each operation. `Err((written, error))`: the operation fails so, after a write has put its first
    /// `written` bytes down.
    fn before(&self, operation: Operation, path: &Path) -> Result<(), (usize, io::Error)>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Create,
    Write { offset: u64, bytes: usize },
    Truncate { bytes: u64 },
    Sync,
    OpenDirectory,
    SyncDirectory,
    Rename,
    Unlink,
    Allocate,
}

impl Disk {
    pub fn with_faults(faults: Arc<dyn Faults>) -> Self {
        Self(Some(faults))
    }

    fn before(&self, operation: Operation, path: &Path) -> Result<(), (usize, io::Error)> {
        self.0.as_ref().map_or(Ok(()), |faults| faults.before(operation, path))
    }

    fn check(&self, operation: Operation, path: &Path) -> io::Result<()> {
        self.before(operation, path).map_err(|(_, error)| error)
    }

    /// Creates a file that must not exist.
    pub(crate) fn create(&self, path: &Path) -> io::Result<File> {
        self.check(Operation::Create, path)?;
        OpenOptions::new().read(true).write(true).create_new(true).open(path)
    }

    pub(crate) fn write(&self, file: &File, path: &Path, bytes: &[u8], offset: u64) -> io::Result<()> {
        if let Err((written, error)) = self.before(Operation::Write { offset, bytes: bytes.len() }, path) {
            file.write_all_at(&bytes[..written.min(bytes.len())], offset)?;
            return Err(error);
        }
        file.write_all_at(bytes, offset)
    }

    pub(crate) fn truncate(&self, file: &File, path: &Path, bytes: u64) -> io::Result<()> {
        self.check(Operation::Truncate { bytes }, path)?;
        file.set_len(bytes)
    }

    /// `fdatasync`: the data, and of the metadata what is needed to read it.
    pub(crate) fn sync(&self, file: &File, path: &Path) -> io::Result<()> {
        self.check(Operation::Sync, path)?;
        file.sync_data()
    }

    /// `fsync`: all that is known of the file, its size after a truncation included, which `fdatasync` need not write.
    pub(crate) fn sync_all(&self, file: &File, path: &Path) -> io::Result<()> {
        self.check(Operation::Sync, path)?;
        file.sync_all()
    }

    /// Opens a directory before something is done in it that is to be durable: where there are no file descriptors left,
    /// that fails while nothing has happened yet, and not between a rename and its sync.
    pub(crate) fn open_directory<'a>(&'a self, path: &'a Path) -> io::Result<Directory<'a>> {
        self.check(Operation::OpenDirectory, path)?;
        Ok(Directory { disk: self, path, file: File::open(path)? })
    }

    /// Makes what others may have done in a directory durable.
    pub(crate) fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.open_directory(path)?.sync()
    }

    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check(Operation::Rename, to)?;
        fs::rename(from, to)
    }

    pub(crate) fn unlink(&self, path: &Path) -> io::Result<()> {
        self.check(Operation::Unlink, path)?;
        fs::remove_file(path)
    }

    /// Takes disk space for a file without writing it, where the file system can; by writing zeros where it cannot.
    pub(crate) fn allocate(&self, file: &File, path: &Path, bytes: u64) -> io::Result<()> {
        self.check(Operation::Allocate, path)?;
        match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, bytes) {
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {}
            other => return other.map_err(io::Error::from),
        }
        let zeros = vec![0; 1 << 20];
        let mut offset = 0;
        while offset < bytes {
            let piece = usize::try_from(bytes - offset).map_or(zeros.len(), |left| left.min(zeros.len()));
            file.write_all_at(&zeros[..piece], offset)?;
            offset += piece as u64;
        }
        Ok(())
    }
}

/// An open directory.
#[derive(Debug)]
pub(crate) struct Directory<'a> {
    disk: &'a Disk,
    path: &'a Path,
    file: File,
}

impl Directory<'_> {
    /// Makes creations, renames and removals in it durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.disk.check(Operation::SyncDirectory, self.path)?;
        self.file.sync_all()
    }
}
