//! What operators ask of a subscription: purge and seek, open here or not.

use std::sync::Arc;

use broker::{Error, Position, Start};

use crate::cluster::Cluster;

pub(crate) async fn purge(
    _cluster: &Arc<Cluster>,
    _subscription: &str,
    _positions: Option<&[Position]>,
) -> Result<u64, Error> {
    Err(Error::unsupported("purge yet"))
}

pub(crate) async fn seek(_cluster: &Arc<Cluster>, _subscription: &str, _to: Start) -> Result<(), Error> {
    Err(Error::unsupported("seek yet"))
}
