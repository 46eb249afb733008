use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// What the store copes with and an operator should know. Its display is one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// A settled segment cannot be removed, or not durably. It costs space, is tried again, and nothing is lost by it.
    /// Told once, until removing succeeds again.
    Retention { log: Arc<str>, path: PathBuf, error: String },
    /// The newest record is stamped more than a minute ahead of the clock, which therefore has been set back: the next
    /// record has the clock's time again. Told once a log.
    ClockSetBack { log: Arc<str>, by_ms: u64 },
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retention { log, path, error } => {
                write!(
                    f,
                    "settled records of {log} cannot be removed and take up space ({}): {error}",
                    path.display()
                )
            }
            Self::ClockSetBack { log, by_ms } => write!(
                f,
                "the newest record of {log} is stamped {} s ahead of the clock: ages and times of such records are wrong",
                by_ms / 1000
            ),
        }
    }
}

/// Whom to tell of [`Trouble`]: called by the committer's thread, so it must not block. The default tells nobody.
#[derive(Clone, Default)]
pub struct Tell(Option<Arc<Listener>>);

type Listener = dyn Fn(&Trouble) + Send + Sync;

impl Tell {
    pub fn new(tell: impl Fn(&Trouble) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(tell)))
    }

    pub(crate) fn tell(&self, trouble: &Trouble) {
        if let Some(tell) = &self.0 {
            tell(trouble);
        }
    }
}

impl fmt::Debug for Tell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tell").field(&self.0.is_some()).finish()
    }
}
