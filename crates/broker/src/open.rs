//! Which subscriptions are open, for drivers: each is open once in a process.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::{Error, ErrorKind};

/// The subscriptions that a driver has open, and whether it is closed. `R` is what reads one, for drivers that ask it
/// for something.
pub struct Open<R = ()> {
    is_closed: AtomicBool,
    /// Each with its reader, once it has one.
    readers: Mutex<HashMap<String, Weak<R>>>,
}

/// A subscription that is open, until this is dropped.
pub struct Opened<R = ()> {
    open: Arc<Open<R>>,
    name: String,
}

impl<R> Open<R> {
    /// The driver is closed from now on.
    pub fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
    }

    pub fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// `Closed` once the driver is.
    pub fn usable(&self) -> Result<(), Error> {
        if self.is_closed() { Err(Error::closed()) } else { Ok(()) }
    }

    /// Opens a subscription. `Conflict` where it is open already.
    pub fn take(self: &Arc<Self>, name: &str) -> Result<Opened<R>, Error> {
        let mut readers = self.readers.lock();
        if readers.contains_key(name) {
            let message =
                format!("subscription {name} is open in this process already: close that source first");
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        readers.insert(name.to_owned(), Weak::new());
        Ok(Opened { open: Arc::clone(self), name: name.to_owned() })
    }

    pub fn has(&self, name: &str) -> bool {
        self.readers.lock().contains_key(name)
    }

    /// Tells who reads a subscription, if it is still open.
    pub fn is_read_by(&self, name: &str, reader: &Arc<R>) {
        if let Some(known) = self.readers.lock().get_mut(name) {
            *known = Arc::downgrade(reader);
        }
    }

    /// Who reads a subscription; nobody where it is not open, or not read yet.
    pub fn reader(&self, name: &str) -> Option<Arc<R>> {
        self.readers.lock().get(name).and_then(Weak::upgrade)
    }

    /// All who read one.
    pub fn readers(&self) -> Vec<Arc<R>> {
        self.readers.lock().values().filter_map(Weak::upgrade).collect()
    }
}

impl<R> Default for Open<R> {
    fn default() -> Self {
        Self { is_closed: AtomicBool::new(false), readers: Mutex::default() }
    }
}

impl<R> fmt::Debug for Open<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.readers.lock().keys().cloned().collect();
        f.debug_struct("Open").field("is_closed", &self.is_closed()).field("names", &names).finish()
    }
}

impl<R> Opened<R> {
    /// What it is open on.
    pub fn open(&self) -> &Arc<Open<R>> {
        &self.open
    }
}

impl<R> fmt::Debug for Opened<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<R> Drop for Opened<R> {
    fn drop(&mut self) {
        self.open.readers.lock().remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_is_open_once_until_it_is_let_go_of() {
        let open = Arc::<Open>::default();
        let first = open.take("a").expect("nobody has it");
        let error = open.take("a").expect_err("it is open");
        assert!(error.kind == ErrorKind::Conflict && error.message.contains("subscription a"), "{error}");
        let _other = open.take("b").expect("another is another matter");
        drop(first);
        assert!(!open.has("a") && open.has("b"));
        drop(open.take("a").expect("it was let go of"));
    }

    #[test]
    fn a_reader_is_known_while_its_subscription_is_open() {
        let open = Arc::<Open<u8>>::default();
        let opened = open.take("a").expect("nobody has it");
        assert_eq!(open.reader("a"), None, "not yet");
        let reader = Arc::new(7);
        open.is_read_by("a", &reader);
        assert_eq!((open.reader("a"), open.readers()), (Some(Arc::new(7)), vec![Arc::new(7)]));
        drop(opened);
        open.is_read_by("a", &reader);
        assert!(open.reader("a").is_none() && open.readers().is_empty(), "it is not open any more");
        drop(open.take("a").expect("nor taken by its late reader"));
        let _opened = open.take("a").expect("it was let go of");
        open.is_read_by("a", &reader);
        drop(reader);
        assert!(open.reader("a").is_none(), "the reader is gone");
    }

    #[test]
    fn what_is_closed_stays_closed() {
        let open = Arc::<Open>::default();
        assert!(open.usable().is_ok());
        open.close();
        assert_eq!(open.usable().map_err(|error| error.kind), Err(ErrorKind::Closed));
    }
}
