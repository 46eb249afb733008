//! Where a value stands in the configuration: `subscriptions.billing.retry.max`.

use std::fmt;

/// One step down the tree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    Key(String),
    Index(usize),
}

/// The steps from the root. The root itself is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(Vec<Step>);

impl Path {
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// A path of keys only.
    pub fn of<S: AsRef<str>>(keys: &[S]) -> Self {
        Self(keys.iter().map(|key| Step::Key(key.as_ref().to_owned())).collect())
    }

    pub(crate) fn push(&mut self, step: Step) {
        self.0.push(step);
    }

    pub(crate) fn pop(&mut self) {
        self.0.pop();
    }

    /// The path of a key below this one.
    pub fn key(&self, key: &str) -> Self {
        let mut path = self.clone();
        path.push(Step::Key(key.to_owned()));
        path
    }

    /// True where `self` is `other` or one of its ancestors.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }
}

/// Keys that are no plain words are quoted: `topics."orders.created".key`.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    if depth > 0 {
                        f.write_str(".")?;
                    }
                    if is_word(key) {
                        f.write_str(key)?;
                    } else {
                        write!(f, "{key:?}")?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn is_word(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}
