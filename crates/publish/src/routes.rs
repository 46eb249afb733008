use std::collections::HashMap;
use std::sync::Arc;

use broker::Driver;

/// A logical topic: where it is and what it takes.
#[derive(Clone, Debug)]
pub struct Topic {
    /// The logical name.
    pub name: Arc<str>,
    /// The name of its broker in the configuration.
    pub broker: Arc<str>,
    /// The topic's name on that broker.
    pub on_broker: Arc<str>,
    pub driver: Arc<dyn Driver>,
    /// What names the key of an event that brings none.
    pub key: Option<KeyFrom>,
    /// Largest event taken, in bytes of data and attributes.
    pub event_bytes_max: usize,
    /// Event types that `POST /v1/events` routes here.
    pub types: Vec<String>,
    /// False: a dead-letter or other internal topic, which the API does not publish to.
    pub open: bool,
}

/// The attribute that a topic's `key:` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyFrom {
    Subject,
    Source,
    Type,
    Id,
    Extension(String),
}

/// All logical topics, found by name and by event type. Immutable: a change replaces the whole.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    by_name: HashMap<Arc<str>, Arc<Topic>>,
    by_type: HashMap<String, Arc<Topic>>,
    /// The open ones, sorted by name.
    open: Vec<Arc<Topic>>,
}

impl Routes {
    /// Where two topics claim a type (which `config` refuses), the first one has it.
    pub(crate) fn new(topics: Vec<Topic>) -> Self {
        let mut routes = Self::default();
        for topic in topics {
            let topic = Arc::new(topic);
            if topic.open {
                routes.open.push(topic.clone());
                for kind in &topic.types {
                    routes.by_type.entry(kind.clone()).or_insert_with(|| topic.clone());
                }
            }
            routes.by_name.insert(topic.name.clone(), topic);
        }
        routes.open.sort_by(|a, b| a.name.cmp(&b.name));
        routes
    }

    pub(crate) fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.by_name.get(name)
    }

    pub(crate) fn topic_of_type(&self, kind: &str) -> Option<&Arc<Topic>> {
        self.by_type.get(kind)
    }

    pub(crate) fn open(&self) -> &[Arc<Topic>] {
        &self.open
    }
}
