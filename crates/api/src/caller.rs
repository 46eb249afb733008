use std::fmt;
use std::net::SocketAddr;

/// Who sent a request: known once a connection, carried by each request of it.
///
/// Later a TLS peer's or a JWT's identity joins it here, and [`may`] is where it will matter.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The listener that it came in by.
    pub face: Face,
    pub peer: Peer,
}

/// Which of the three listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    App,
    Admin,
    Health,
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    Tcp(SocketAddr),
    /// A Unix socket, and the user at its other end, as the kernel tells it.
    Unix {
        uid: Option<u32>,
    },
}

impl Peer {
    /// Whether the peer is a process of this machine, or of this pod.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix { .. } => true,
        }
    }
}

/// What a caller wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Publish,
    Read,
    /// Change something, for good or for now.
    Write,
}

/// What it wants to do it to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource<'a> {
    /// Events of any topic that takes their type.
    Events,
    Topic(&'a str),
    Subscription(&'a str),
    Broker(&'a str),
    /// The process: its status, configuration, metrics, shutdown.
    Process,
}

/// The caller may not. The text says why, to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Denied(pub &'static str);

impl fmt::Display for Resource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Events => f.write_str("events"),
            Self::Topic(name) => write!(f, "topic {name}"),
            Self::Subscription(name) => write!(f, "subscription {name}"),
            Self::Broker(name) => write!(f, "broker {name}"),
            Self::Process => f.write_str("this process"),
        }
    }
}

/// The one place that says who may do what. Each endpoint asks it first.
///
/// Until identity is configured a listener is its own permission: whoever reaches the app listener may publish, whoever
/// reaches the admin listener may read; changes are for processes of this machine alone.
pub fn may(caller: &Caller, action: Action, _resource: Resource<'_>) -> Result<(), Denied> {
    match (caller.face, action) {
        (Face::App, Action::Publish) | (Face::Admin | Face::Health, Action::Read) => Ok(()),
        (Face::Admin, Action::Write) if caller.peer.is_local() => Ok(()),
        (Face::Admin, Action::Write) => {
            Err(Denied("changes are taken from loopback and from the Unix socket only"))
        }
        _ => Err(Denied("this listener does not do that")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_for_this_machine_alone() {
        let unix = Peer::Unix { uid: Some(1000) };
        let tcp = |text: &str| Peer::Tcp(text.parse().unwrap());
        for (face, peer, action, allowed) in [
            (Face::App, tcp("10.0.0.1:1"), Action::Publish, true),
            (Face::App, tcp("127.0.0.1:1"), Action::Read, false),
            (Face::App, tcp("127.0.0.1:1"), Action::Write, false),
            (Face::Admin, tcp("10.0.0.1:1"), Action::Read, true),
            (Face::Admin, tcp("10.0.0.1:1"), Action::Write, false),
            (Face::Admin, tcp("127.0.0.1:1"), Action::Write, true),
            (Face::Admin, tcp("[::1]:1"), Action::Write, true),
            (Face::Admin, tcp("[::ffff:127.0.0.1]:1"), Action::Write, true),
            (Face::Admin, tcp("[::ffff:10.0.0.1]:1"), Action::Write, false),
            (Face::Admin, unix, Action::Write, true),
            (Face::Admin, unix, Action::Publish, false),
            (Face::Health, tcp("10.0.0.1:1"), Action::Read, true),
            (Face::Health, unix, Action::Write, false),
        ] {
            let answer = may(&Caller { face, peer }, action, Resource::Process);
            assert_eq!(answer.is_ok(), allowed, "{face:?} {peer:?} {action:?}");
        }
    }
}
