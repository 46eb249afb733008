//! An open subscription: one thread that reads its group, and the source that hands out what it read.

use std::sync::Arc;

use broker::{Credit, Error, Source, Subscription};

use crate::cluster::Cluster;
use crate::driver::Opened;

pub(crate) async fn open(
    _cluster: &Arc<Cluster>,
    _opened: Opened,
    _subscription: &Subscription,
    _credit: Credit,
) -> Result<Box<dyn Source>, Error> {
    Err(Error::unsupported("read subscriptions yet"))
}
