//! Who may come in, and by which door.

use std::fs;

use brokers::kafka::{Kafka, Listener, Options, User, tool};

/// Settings of a client of Kafka's tools, in a file.
fn client(kafka: &Kafka, name: &str, settings: &[&str]) -> String {
    let path = kafka.directory().join(format!("{name}.properties"));
    // A client that is not let in asks again for a minute unless it is told otherwise.
    let patience = ["request.timeout.ms=5000", "default.api.timeout.ms=10000", ""];
    fs::write(&path, [&patience, settings].concat().join("\n")).expect("a directory of our own");
    path.display().to_string()
}

fn trust(kafka: &Kafka) -> String {
    let ca = kafka.ca().expect("a listener speaks TLS").display();
    format!("ssl.truststore.type=PEM\nssl.truststore.location={ca}")
}

fn login(mechanism: &str, user: &str, password: &str) -> String {
    let module = if mechanism == "PLAIN" { "plain.PlainLoginModule" } else { "scram.ScramLoginModule" };
    format!(
        "sasl.mechanism={mechanism}\nsasl.jaas.config=org.apache.kafka.common.security.{module} required \
         username=\"{user}\" password=\"{password}\";"
    )
}

/// Lists the topics by another listener.
fn list(kafka: &Kafka, listener: Listener, settings: &str) -> anyhow::Result<String> {
    let at = kafka.bootstrap_of(listener)?;
    kafka.run(tool::TOPICS, &["--bootstrap-server", &at, "--command-config", settings, "--list"])
}

#[test]
fn every_door_opens_to_its_own_key_only() {
    let kafka = Kafka::start(Options {
        listeners: vec![Listener::Tls, Listener::MutualTls, Listener::SaslPlaintext, Listener::SaslTls],
        users: vec![User::new("alice", "alices-secret"), User::new("bob", "bobs-secret")],
        acls: true,
        ..Options::default()
    })
    .unwrap();
    kafka.create_topic("orders", 1, &[]).unwrap();
    let allow = ["--add", "--allow-principal", "User:alice", "--operation", "Describe", "--topic", "orders"];
    kafka.run_tool(tool::ACLS, &allow).unwrap();
    let allow =
        ["--add", "--allow-principal", "User:CN=client", "--operation", "Describe", "--topic", "orders"];
    kafka.run_tool(tool::ACLS, &allow).unwrap();

    let trust = trust(&kafka);
    let anonymous = client(&kafka, "tls", &["security.protocol=SSL", &trust]);
    assert_eq!(list(&kafka, Listener::Tls, &anonymous).unwrap(), "orders\n");
    assert!(list(&kafka, Listener::MutualTls, &anonymous).is_err(), "a certificate is asked for");

    let (certificate, key) = kafka.client_certificate().unwrap();
    let pem = kafka.directory().join("client-with-key.pem");
    fs::write(&pem, [fs::read(key).unwrap(), fs::read(certificate).unwrap()].concat()).unwrap();
    let shown = format!("ssl.keystore.type=PEM\nssl.keystore.location={}", pem.display());
    let named = client(&kafka, "mtls", &["security.protocol=SSL", &trust, &shown]);
    assert_eq!(list(&kafka, Listener::MutualTls, &named).unwrap(), "orders\n");

    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let alice = login(mechanism, "alice", "alices-secret");
        let alice = client(&kafka, mechanism, &["security.protocol=SASL_PLAINTEXT", &alice]);
        assert_eq!(list(&kafka, Listener::SaslPlaintext, &alice).unwrap(), "orders\n", "{mechanism}");
    }
    let alice = login("SCRAM-SHA-512", "alice", "alices-secret");
    let alice = client(&kafka, "sasl-tls", &["security.protocol=SASL_SSL", &trust, &alice]);
    assert_eq!(list(&kafka, Listener::SaslTls, &alice).unwrap(), "orders\n");
    let bob =
        client(&kafka, "bob", &["security.protocol=SASL_PLAINTEXT", &login("PLAIN", "bob", "bobs-secret")]);
    assert_eq!(
        list(&kafka, Listener::SaslPlaintext, &bob).unwrap(),
        "\n",
        "bob is let in, and may see nothing"
    );
    let wrong =
        client(&kafka, "wrong", &["security.protocol=SASL_PLAINTEXT", &login("PLAIN", "alice", "guessed")]);
    let refused = list(&kafka, Listener::SaslPlaintext, &wrong).unwrap_err();
    assert!(format!("{refused:#}").contains("Authentication failed"), "{refused:#}");
}

#[test]
fn unsigned_tokens_are_taken_where_no_keys_are_named() {
    let kafka =
        Kafka::start(Options { listeners: vec![Listener::OauthBearer], ..Options::default() }).unwrap();
    let token = client(
        &kafka,
        "token",
        &[
            "security.protocol=SASL_PLAINTEXT",
            "sasl.mechanism=OAUTHBEARER",
            "sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required \
             unsecuredLoginStringClaim_sub=\"alice\";",
        ],
    );
    kafka.create_topic("orders", 1, &[]).unwrap();
    assert_eq!(list(&kafka, Listener::OauthBearer, &token).unwrap(), "orders\n");
}
