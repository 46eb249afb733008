//! What kind of cluster to start.

/// A cluster to start: a single node that speaks plaintext, unless told otherwise.
#[derive(Clone, Debug)]
pub struct Options {
    /// 1, or 3 with everything replicated thrice (`min.insync.replicas` 2).
    pub nodes: u16,
    /// The first node's port; the others' follow it. Free ones by default.
    pub port: Option<u16>,
    /// Listeners beside the plaintext one, which is always there.
    pub listeners: Vec<Listener>,
    /// Who may log in on the SASL listeners, by PLAIN and by both kinds of SCRAM.
    pub users: Vec<User>,
    /// The keys that sign the tokens of [`Listener::OauthBearer`]; without them it takes unsigned tokens.
    pub tokens: Option<Tokens>,
    /// Whether users may do only what an ACL allows (see [`tool::ACLS`](super::tool::ACLS)). Whoever has no name, by
    /// plaintext or by TLS without a certificate, may do all.
    pub acls: bool,
    /// Properties of the server, over those that are set here.
    pub settings: Vec<(String, String)>,
    pub tuning: Tuning,
    /// Told what takes long: downloads, the first start on a machine.
    pub progress: fn(&str),
}

/// What the Java machine is tuned for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tuning {
    /// A quick start and little CPU and memory: for tests.
    Start,
    /// Speed under load, as in production: for measurements.
    Load,
}

/// A listener beside the plaintext one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Listener {
    /// TLS; the server's certificate is signed by [`Kafka::ca`](super::Kafka::ca).
    Tls,
    /// TLS, and the client has to show a certificate too ([`Kafka::client_certificate`](super::Kafka::client_certificate)).
    MutualTls,
    /// PLAIN and SCRAM-SHA-256/512, without TLS.
    SaslPlaintext,
    /// PLAIN and SCRAM-SHA-256/512 over TLS.
    SaslTls,
    /// OAUTHBEARER, without TLS.
    OauthBearer,
}

/// Somebody who may log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub password: String,
}

/// Which tokens are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// Where the JSON Web Key Set is: `http://…` or `file:///…`.
    pub jwks_url: String,
    pub issuer: String,
    pub audience: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            nodes: 1,
            port: None,
            listeners: Vec::new(),
            users: Vec::new(),
            tokens: None,
            acls: false,
            settings: Vec::new(),
            tuning: Tuning::Start,
            progress: |_| {},
        }
    }
}

impl User {
    pub fn new(name: &str, password: &str) -> Self {
        Self { name: name.into(), password: password.into() }
    }
}

impl Listener {
    /// Its name in the server's properties.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Tls => "TLS",
            Self::MutualTls => "MTLS",
            Self::SaslPlaintext => "SASL",
            Self::SaslTls => "SASLTLS",
            Self::OauthBearer => "OAUTH",
        }
    }

    fn protocol(self) -> &'static str {
        match self {
            Self::Tls | Self::MutualTls => "SSL",
            Self::SaslPlaintext | Self::OauthBearer => "SASL_PLAINTEXT",
            Self::SaslTls => "SASL_SSL",
        }
    }

    pub(super) fn has_tls(self) -> bool {
        matches!(self, Self::Tls | Self::MutualTls | Self::SaslTls)
    }

    fn has_users(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslTls)
    }
}

/// Where one node listens and keeps its data.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) id: u16,
    pub(super) port: u16,
    pub(super) controller_port: u16,
    /// In the order of [`Options::listeners`].
    pub(super) listener_ports: Vec<u16>,
    /// Its directory, as the server sees it.
    pub(super) directory: String,
    /// What to bind to: loopback, or everything inside of a container.
    pub(super) bind: &'static str,
}

impl Options {
    /// The `server.properties` of one node among `all`.
    pub(super) fn properties(&self, of: &Place, all: &[Place]) -> String {
        let mut text = String::new();
        let mut set = |key: &str, value: &str| {
            text.extend([key, "=", value, "\n"]);
        };
        self.identity(of, all, &mut set);
        self.addresses(of, &mut set);
        let copies = all.len().min(3).to_string();
        let in_sync = if all.len() >= 3 { "2" } else { "1" };
        for topic in ["offsets.topic", "transaction.state.log", "share.coordinator.state.topic"] {
            set(&format!("{topic}.replication.factor"), &copies);
            set(&format!("{topic}.num.partitions"), "4");
        }
        for topic in ["transaction.state.log", "share.coordinator.state.topic"] {
            set(&format!("{topic}.min.isr"), in_sync);
        }
        set("default.replication.factor", &copies);
        set("min.insync.replicas", in_sync);
        for (key, value) in FOR_ALL {
            set(key, value);
        }
        self.security(of, &mut set);
        for (key, value) in &self.settings {
            set(key, value);
        }
        text
    }

    fn identity(&self, of: &Place, all: &[Place], set: &mut impl FnMut(&str, &str)) {
        let voters: Vec<String> =
            all.iter().map(|place| format!("{}@127.0.0.1:{}", place.id, place.controller_port)).collect();
        set("process.roles", "broker,controller");
        set("node.id", &of.id.to_string());
        set("controller.quorum.voters", &voters.join(","));
        set("log.dirs", &format!("{}/data", of.directory));
    }

    fn addresses(&self, of: &Place, set: &mut impl FnMut(&str, &str)) {
        let mut listens = vec![
            format!("PLAINTEXT://{}:{}", of.bind, of.port),
            format!("CONTROLLER://127.0.0.1:{}", of.controller_port),
        ];
        let mut advertised = vec![format!("PLAINTEXT://127.0.0.1:{}", of.port)];
        let mut protocols = vec!["PLAINTEXT:PLAINTEXT".to_owned(), "CONTROLLER:PLAINTEXT".to_owned()];
        for (listener, port) in self.listeners.iter().zip(&of.listener_ports) {
            listens.push(format!("{}://{}:{port}", listener.name(), of.bind));
            advertised.push(format!("{}://127.0.0.1:{port}", listener.name()));
            protocols.push(format!("{}:{}", listener.name(), listener.protocol()));
        }
        set("listeners", &listens.join(","));
        set("advertised.listeners", &advertised.join(","));
        set("listener.security.protocol.map", &protocols.join(","));
        set("inter.broker.listener.name", "PLAINTEXT");
        set("controller.listener.names", "CONTROLLER");
    }

    fn security(&self, of: &Place, set: &mut impl FnMut(&str, &str)) {
        if self.acls {
            set("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer");
            // Who has no name: the nodes themselves, the tools, the test.
            set("super.users", "User:ANONYMOUS");
        }
        for listener in &self.listeners {
            let prefix = format!("listener.name.{}", listener.name().to_ascii_lowercase());
            if listener.has_tls() {
                set(&format!("{prefix}.ssl.keystore.type"), "PEM");
                set(
                    &format!("{prefix}.ssl.keystore.location"),
                    &format!("{}/../tls/server.pem", of.directory),
                );
                set(&format!("{prefix}.ssl.truststore.type"), "PEM");
                set(&format!("{prefix}.ssl.truststore.location"), &format!("{}/../tls/ca.pem", of.directory));
                let wanted = if *listener == Listener::MutualTls { "required" } else { "none" };
                set(&format!("{prefix}.ssl.client.auth"), wanted);
            }
            if listener.has_users() {
                set(&format!("{prefix}.sasl.enabled.mechanisms"), "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512");
                set(&format!("{prefix}.plain.sasl.jaas.config"), &self.plain_logins());
                for mechanism in ["scram-sha-256", "scram-sha-512"] {
                    set(
                        &format!("{prefix}.{mechanism}.sasl.jaas.config"),
                        "org.apache.kafka.common.security.scram.ScramLoginModule required;",
                    );
                }
            }
            if *listener == Listener::OauthBearer {
                self.oauth(&prefix, set);
            }
        }
    }

    fn plain_logins(&self) -> String {
        let mut line = "org.apache.kafka.common.security.plain.PlainLoginModule required".to_owned();
        for User { name, password } in &self.users {
            line.extend([" user_", name, "=\"", password, "\""]);
        }
        line + ";"
    }

    fn oauth(&self, prefix: &str, set: &mut impl FnMut(&str, &str)) {
        set(&format!("{prefix}.sasl.enabled.mechanisms"), "OAUTHBEARER");
        set(
            &format!("{prefix}.oauthbearer.sasl.jaas.config"),
            "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"broker\";",
        );
        if let Some(Tokens { jwks_url, issuer, audience }) = &self.tokens {
            let module = format!("{prefix}.oauthbearer.sasl");
            set(
                &format!("{module}.server.callback.handler.class"),
                "org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler",
            );
            set(&format!("{prefix}.sasl.oauthbearer.jwks.endpoint.url"), jwks_url);
            set(&format!("{prefix}.sasl.oauthbearer.expected.issuer"), issuer);
            set(&format!("{prefix}.sasl.oauthbearer.expected.audience"), audience);
        }
    }
}

/// For quick tests: no waiting for members who never come, retention and compaction that a test can see at work, and
/// as few threads and as little memory as a node for one machine needs.
const FOR_ALL: &[(&str, &str)] = &[
    ("auto.create.topics.enable", "false"),
    ("num.partitions", "4"),
    ("group.initial.rebalance.delay.ms", "0"),
    ("log.initial.task.delay.ms", "500"),
    ("log.retention.check.interval.ms", "1000"),
    ("log.cleaner.backoff.ms", "500"),
    ("log.cleaner.dedupe.buffer.size", "8388608"),
    ("num.network.threads", "2"),
    ("num.io.threads", "4"),
    ("background.threads", "2"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn place(id: u16) -> Place {
        let base = 20_000 + id * 10;
        Place {
            id,
            port: base,
            controller_port: base + 1,
            listener_ports: vec![base + 2, base + 3],
            directory: format!("/data/node-{id}"),
            bind: "127.0.0.1",
        }
    }

    fn holds(text: &str, line: &str) {
        assert!(text.lines().any(|one| one == line), "{line} is missing in\n{text}");
    }

    #[test]
    fn three_nodes_know_each_other_and_replicate() {
        let all = [place(1), place(2), place(3)];
        let text = Options::default().properties(&all[1], &all);
        holds(&text, "node.id=2");
        holds(&text, "controller.quorum.voters=1@127.0.0.1:20011,2@127.0.0.1:20021,3@127.0.0.1:20031");
        holds(&text, "default.replication.factor=3");
        holds(&text, "min.insync.replicas=2");
        holds(&text, "log.dirs=/data/node-2/data");
    }

    #[test]
    fn listeners_have_ports_and_protocols_of_their_own() {
        let options = Options {
            listeners: vec![Listener::MutualTls, Listener::SaslPlaintext],
            users: vec![User::new("alice", "secret")],
            settings: vec![("message.max.bytes".into(), "1000".into())],
            acls: true,
            ..Options::default()
        };
        let text = options.properties(&place(1), &[place(1)]);
        holds(
            &text,
            "advertised.listeners=PLAINTEXT://127.0.0.1:20010,MTLS://127.0.0.1:20012,SASL://127.0.0.1:20013",
        );
        holds(&text, "listener.name.mtls.ssl.client.auth=required");
        holds(&text, "listener.name.sasl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512");
        assert!(text.contains("user_alice=\"secret\";"), "{text}");
        holds(&text, "super.users=User:ANONYMOUS");
        assert!(text.ends_with("message.max.bytes=1000\n"), "what the caller sets comes last:\n{text}");
    }
}
