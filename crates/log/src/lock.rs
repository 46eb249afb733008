use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::disk::Disk;
use crate::error::OpenError;

/// The version of all that is in a data directory.
const FORMAT: u32 = 1;

/// Makes the data directory, and what is missing above it, with durable names. Events are nobody else's to read; a
/// directory that exists keeps its mode.
pub(crate) fn make_directory(disk: &Disk, path: &Path) -> Result<(), OpenError> {
    let missing =
        path.ancestors().take_while(|above| !above.as_os_str().is_empty() && !above.exists()).count();
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(OpenError::path("create", path))?;
    for (at, name) in path.ancestors().take(missing.max(1)).enumerate() {
        let Some(above) = name.parent() else { break };
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        match disk.sync_directory(above) {
            // A process that was killed may have made it. But it may also be another's, and not ours to open.
            Err(_) if at >= missing => {}
            other => other.map_err(OpenError::path("sync", above))?,
        }
    }
    Ok(())
}

/// Locks the directory for this process, for as long as the file lives.
pub(crate) fn lock(disk: &Disk, directory: &Path) -> Result<File, OpenError> {
    let path = directory.join("LOCK");
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = file.map_err(OpenError::path("open", &path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut holder = String::new();
            let read = file.read_to_string(&mut holder);
            let holder = read.ok().and_then(|_| holder.trim().parse().ok());
            return Err(OpenError::Locked { path: directory.to_owned(), holder });
        }
        Err(error) => return Err(OpenError::path("lock", &path)(error.into())),
    }
    // For the message of whoever finds it locked. The lock holds without it, and a full disk has no room for it.
    let pid = format!("{}\n", std::process::id());
    drop(file.set_len(0).and_then(|()| disk.write(&file, &path, pid.as_bytes(), 0)));
    Ok(file)
}

/// Checks the format version of a directory, and writes it into a new one.
pub(crate) fn check_format(disk: &Disk, directory: &Path) -> Result<(), OpenError> {
    let path = directory.join("FORMAT");
    let corrupt = |what: String| OpenError::Corrupt { path: directory.to_owned(), what };
    match fs::read_to_string(&path) {
        Ok(text) => {
            let version = text.trim().strip_prefix("postrider-log ").and_then(|n| n.parse().ok());
            match version {
                Some(found) if found > FORMAT => {
                    Err(OpenError::NewerFormat { path: directory.to_owned(), found, known: FORMAT })
                }
                Some(_) => Ok(()),
                None => Err(corrupt("its FORMAT file names no version".into())),
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if directory.join("logs").exists() {
                return Err(corrupt("it has logs but no FORMAT file".into()));
            }
            let new = directory.join("FORMAT.new");
            let written = fs::write(&new, format!("postrider-log {FORMAT}\n"))
                .and_then(|()| disk.sync(&File::open(&new)?, &new))
                .and_then(|()| disk.rename(&new, &path))
                .and_then(|()| disk.sync_directory(directory));
            written.map_err(OpenError::path("write", &path))
        }
        Err(error) => Err(OpenError::path("read", &path)(error)),
    }
}
