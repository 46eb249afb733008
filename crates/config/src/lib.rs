//! The configuration: YAML files, merged and interpolated, as one typed and validated tree.
//!
//! [`load`] gives a [`Config`] that holds every promise of `docs/configuration.md`, or [`Errors`] that name everything
//! that is wrong at once, each with its file, line, column and path. The way there is always the same:
//!
//! 1. each file is composed into a tree of nodes that know where they are written (anchors and merge keys resolved,
//!    `x-…` keys left out, duplicate keys reported);
//! 2. the trees are merged: maps deeply, everything else by replacement, `null` removes;
//! 3. `${env:…}` and `${file:…}` are replaced, in texts only, so that they can never change the structure;
//! 4. the tree is decoded into the types of this crate, unknown keys and wrong values reported;
//! 5. the typed tree is validated as a whole.
//!
//! Loading opens no connection and creates nothing; it reads the files that are named, and no others.

#[macro_use]
mod macros;

mod address;
mod broker;
mod compose;
mod decode;
mod environment;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod interpolate;
mod load;
mod merge;
mod merged;
mod names;
mod node;
mod path;
mod reserved;
mod resolve;
mod schema;
mod source;
mod subscription;
mod suggest;
mod text;
mod tree;
mod units;
mod validate;

pub use address::{Address, Origin, To, Url};
pub use broker::{
    Broker, BrokerKind, ContentMode, CreateTopics, Credentials, Embedded, Kafka, Lease, Pubsub, Retention,
};
pub use error::{Code, Error, Errors, Warning};
pub use load::{Loaded, load, parse};
pub use merged::{Line, Merged, SetBy};
pub use path::{Path, Step};
pub use schema::schema;
pub use source::{Place, Source};
pub use subscription::{
    AfterDeadLetter, Answer, Batch, Breaker, Buffer, DeadLetter, Encoding, Mode, Ordering, Retry, Start,
    Subscription, Window,
};
pub use text::Secret;
pub use tree::{
    App, Config, Gate, InFlight, Key, Limits, Listen, Names, Readiness, Shutdown, Topic, Version, Webhooks,
};
pub use units::{Duration, Rate, Size};
