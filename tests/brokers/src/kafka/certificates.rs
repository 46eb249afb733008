//! An authority of our own, a server's certificate for loopback and a client's, made by openssl.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

#[derive(Debug)]
pub(super) struct Certificates {
    pub(super) ca: PathBuf,
    pub(super) client: PathBuf,
    pub(super) client_key: PathBuf,
}

impl Certificates {
    /// Makes them in a new directory: `ca.pem`, `server.pem` (key and chain in one, as Kafka reads it), `client.pem`,
    /// `client.key`.
    pub(super) fn make(directory: &Path) -> Result<Self> {
        fs::create_dir(directory)?;
        fs::write(directory.join("server.ext"), SERVER)?;
        fs::write(directory.join("client.ext"), CLIENT)?;
        let ca = "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=postrider-tests \
            -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign";
        openssl(directory, ca)?;
        for (name, subject) in [("server", "/CN=localhost"), ("client", "/CN=client")] {
            let request =
                format!("req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj {subject}");
            openssl(directory, &request)?;
            let sign = format!(
                "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile {name}.ext -out {name}.pem"
            );
            openssl(directory, &sign)?;
        }
        let parts =
            ["server.key", "server.pem", "ca.pem"].map(|name| fs::read_to_string(directory.join(name)));
        let chain = parts.into_iter().collect::<std::io::Result<Vec<String>>>()?.concat();
        fs::write(directory.join("server.pem"), chain)?;
        let at = |name: &str| directory.join(name);
        Ok(Self { ca: at("ca.pem"), client: at("client.pem"), client_key: at("client.key") })
    }
}

const SERVER: &str =
    "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1\nextendedKeyUsage=serverAuth,clientAuth\n";
const CLIENT: &str = "extendedKeyUsage=clientAuth\n";

fn openssl(directory: &Path, arguments: &str) -> Result<()> {
    let mut command = Command::new("openssl");
    command.args(arguments.split_whitespace()).current_dir(directory).stdin(Stdio::null());
    let ended = command.output().context(
        "certificates are made with openssl, and it cannot be started (Debian and Ubuntu: apt-get install openssl)",
    )?;
    ensure!(ended.status.success(), "openssl {arguments} failed: {}", String::from_utf8_lossy(&ended.stderr));
    Ok(())
}
