//! A subscription's group when nobody reads it: made durable, looked at, moved.

use std::sync::Arc;

use broker::{Error, Subscription};

use crate::cluster::Cluster;

/// Makes a subscription durable: from its return on its group has an offset in every partition.
pub(crate) async fn ensure(_cluster: &Arc<Cluster>, _subscription: &Subscription) -> Result<(), Error> {
    Err(Error::unsupported("keep subscriptions yet"))
}
