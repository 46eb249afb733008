//! Apache Kafka 4.x, one node or three, each both broker and controller (KRaft).

mod artifacts;
mod certificates;
mod docker;
mod java;
mod node;
mod options;
mod prepare;
mod runtime;
pub mod tool;
pub mod wire;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};

pub use node::Node;
pub use options::{Listener, Options, Tokens, Tuning, User};
pub use prepare::prefetch;

use crate::ports;
use crate::scratch::Scratch;
use certificates::Certificates;
use options::Place;
use runtime::Runtime;

/// Of every directory that a cluster keeps its data in.
const PREFIX: &str = "postrider-kafka-";
/// How often other ports are tried, where somebody took one between our asking and the server's listening.
const ATTEMPTS: u32 = 3;

/// A running cluster. It is killed, and its data removed, when this is dropped or this process ends.
#[derive(Debug)]
pub struct Kafka {
    /// Before what they run on: nodes are killed first.
    nodes: Vec<Node>,
    places: Vec<Place>,
    bootstrap: String,
    options: Options,
    certificates: Option<Certificates>,
    cluster: Arc<Cluster>,
}

/// What all nodes of a cluster share.
#[derive(Debug)]
struct Cluster {
    runtime: Runtime,
    scratch: Scratch,
}

impl Kafka {
    /// Starts a cluster and waits until all its nodes take part in it: some 4 s for one node, or a minute the first time
    /// on a machine.
    pub fn start(options: Options) -> Result<Self> {
        ensure!(matches!(options.nodes, 1 | 3), "a cluster has 1 node or 3, not {}", options.nodes);
        let mut attempt = 1;
        loop {
            match Self::attempt(&options) {
                Err(error)
                    if options.port.is_none()
                        && attempt < ATTEMPTS
                        && format!("{error:#}").contains("Address already in use") =>
                {
                    attempt += 1;
                }
                done => return done,
            }
        }
    }

    fn attempt(options: &Options) -> Result<Self> {
        let scratch = Scratch::new(PREFIX)?;
        let ports = choose_ports(options)?;
        let runtime = Runtime::find(&scratch, options, &ports)?;
        let places = places(options, &ports, &scratch, &runtime);
        let with_tls = options.listeners.iter().any(|listener| listener.has_tls());
        let certificates = with_tls.then(|| Certificates::make(&scratch.path().join("tls"))).transpose()?;
        for place in &places {
            let directory = scratch.path().join(format!("node-{}", place.id));
            fs::create_dir(&directory)?;
            fs::write(directory.join("server.properties"), options.properties(place, &places))?;
        }
        let cluster = Arc::new(Cluster { runtime, scratch });
        prepare::format(&cluster, options)?;
        let launch = |place: &Place| Node::launch(cluster.clone(), options, place);
        let nodes = places.iter().map(launch).collect::<Result<Vec<Node>>>()?;
        for node in &nodes {
            node.until_ready()?;
        }
        let bootstrap = addresses(places.iter().map(|place| place.port));
        Ok(Self { nodes, places, bootstrap, options: options.clone(), certificates, cluster })
    }

    /// All nodes' plaintext addresses, `host:port` separated by commas, for `bootstrap.servers`.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// All nodes' addresses on another listener, one of [`Options::listeners`].
    pub fn bootstrap_of(&self, listener: Listener) -> Result<String> {
        let at = self.options.listeners.iter().position(|one| *one == listener);
        let at = at.with_context(|| format!("the cluster was started without the listener {listener:?}"))?;
        Ok(addresses(self.places.iter().map(|place| place.listener_ports[at])))
    }

    /// The certificate of the authority that signed the servers', in PEM. Only where a listener speaks TLS.
    pub fn ca(&self) -> Option<&Path> {
        self.certificates.as_ref().map(|certificates| certificates.ca.as_path())
    }

    /// A client's certificate and its key, in PEM, signed by the same authority. Its subject is `CN=client`.
    pub fn client_certificate(&self) -> Option<(&Path, &Path)> {
        let certificates = self.certificates.as_ref()?;
        Some((&certificates.client, &certificates.client_key))
    }

    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node with this broker id: 1, or 1 to 3.
    ///
    /// # Panics
    /// Where there is none.
    pub fn node(&self, id: u16) -> &Node {
        let found = self.nodes.iter().find(|node| node.id() == id);
        found.unwrap_or_else(|| panic!("the cluster has no node {id}"))
    }

    /// Creates a topic, at the cluster's default replication, and returns when it can be written to. A topic that is
    /// there already is left as it is.
    pub fn create_topic(&self, name: &str, partitions: u32, configs: &[(&str, &str)]) -> Result<()> {
        wire::create_topic(&self.bootstrap, name, partitions, configs)
    }

    /// Runs one of Kafka's [tools](tool) against this cluster and returns what it printed: `--bootstrap-server` is added.
    /// Fails with what it said where it fails.
    pub fn run_tool(&self, class: &str, arguments: &[&str]) -> Result<String> {
        self.feed_tool(class, arguments, "")
    }

    /// Runs a tool with these arguments and no others: for other listeners, and for what asks no broker.
    pub fn run(&self, class: &str, arguments: &[&str]) -> Result<String> {
        self.cluster.runtime.run(class, arguments, "")
    }

    /// As [`Kafka::run_tool`], with something to read on standard input.
    pub fn feed_tool(&self, class: &str, arguments: &[&str], input: &str) -> Result<String> {
        let bootstrap = ["--bootstrap-server", self.bootstrap()];
        let arguments = [&bootstrap, arguments].concat();
        self.cluster.runtime.run(class, &arguments, input)
    }

    /// Where the cluster keeps its data and logs.
    pub fn directory(&self) -> &Path {
        self.cluster.scratch.path()
    }
}

/// For each node: its own port, its controller's, and one for each other listener.
fn choose_ports(options: &Options) -> Result<Vec<Vec<u16>>> {
    let each = 2 + options.listeners.len();
    let nodes = usize::from(options.nodes);
    let mut ports = ports::free(nodes * each)?;
    if let Some(first) = options.port {
        for (node, port) in (first..).take(nodes).enumerate() {
            ensure!(ports::is_free(port), "port {port} of 127.0.0.1 is taken; choose another one");
            ports[node * each] = port;
        }
    }
    Ok(ports.chunks(each).map(<[u16]>::to_vec).collect())
}

fn places(options: &Options, ports: &[Vec<u16>], scratch: &Scratch, runtime: &Runtime) -> Vec<Place> {
    let place = |(id, ports): (u16, &Vec<u16>)| Place {
        id,
        port: ports[0],
        controller_port: ports[1],
        listener_ports: ports[2..].to_vec(),
        directory: scratch.path().join(format!("node-{id}")).display().to_string(),
        bind: runtime.bind(),
    };
    (1..=options.nodes).zip(ports).map(place).collect()
}

fn addresses(ports: impl Iterator<Item = u16>) -> String {
    ports.map(|port| format!("127.0.0.1:{port}")).collect::<Vec<_>>().join(",")
}
