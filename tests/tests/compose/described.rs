//! What docker-compose.yml and the Dockerfile say, as their own loaders read them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The two files, with every reference resolved.
#[derive(Clone, Debug)]
pub(crate) struct Described {
    pub(crate) services: BTreeMap<String, Service>,
    pub(crate) image: Image,
}

#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) image: String,
    /// Whether it runs the image that the Dockerfile describes.
    pub(crate) is_built: bool,
    pub(crate) command: Vec<String>,
    pub(crate) environment: BTreeMap<String, String>,
    /// Files of ours by the paths that they have inside.
    pub(crate) mounts: BTreeMap<String, PathBuf>,
    /// Empty: only the image says, if anybody.
    pub(crate) healthcheck: Vec<String>,
    /// The service whose network it shares.
    pub(crate) network_of: Option<String>,
}

/// What the Dockerfile says of how its image is run.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub(crate) entrypoint: Vec<String>,
    pub(crate) healthcheck: Vec<String>,
    pub(crate) user: String,
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

impl Described {
    /// Runs `tests/compose-check`; panics with what it found wrong. `None`, and says so, where there is no Go to build the
    /// loaders with: no package of an older Debian has one that is young enough.
    #[expect(clippy::print_stderr, reason = "what is not tested is said")]
    pub(crate) fn load() -> Option<Self> {
        let mut go = Command::new("go");
        go.args(["run", "."]).args([root().join("docker-compose.yml"), root().join("Dockerfile")]);
        let run = match go.current_dir(root().join("tests/compose-check")).output() {
            Ok(run) => run,
            Err(error) => {
                eprintln!(
                    "not tested: the compose file; Go 1.25 or later does not run ({error}): https://go.dev/dl"
                );
                return None;
            }
        };
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        let told: Value = serde_json::from_slice(&run.stdout).expect("it prints JSON");
        let services = told["project"]["services"].as_object().expect("a map of services");
        Some(Self {
            services: services.iter().map(|(name, service)| (name.clone(), Service::of(service))).collect(),
            image: Image {
                entrypoint: texts(&told["image"]["entrypoint"]),
                healthcheck: texts(&told["image"]["healthcheck"]),
                user: text(&told["image"]["user"]),
            },
        })
    }

    pub(crate) fn service(&self, name: &str) -> &Service {
        &self.services[name]
    }

    /// The service that shares another's network, by its name.
    pub(crate) fn sidecar_of(&self, name: &str) -> &Service {
        let mut sidecars = self.services.values().filter(|s| s.network_of.as_deref() == Some(name));
        sidecars.next().unwrap_or_else(|| panic!("no service shares the network of {name}"))
    }
}

impl Service {
    fn of(service: &Value) -> Self {
        let environment = service["environment"].as_object().into_iter().flatten();
        let mounts = service["volumes"].as_array().into_iter().flatten().filter(|v| v["type"] == "bind");
        Self {
            image: text(&service["image"]),
            is_built: service["build"].is_object(),
            command: texts(&service["command"]),
            environment: environment.map(|(name, value)| (name.clone(), text(value))).collect(),
            mounts: mounts.map(|v| (text(&v["target"]), PathBuf::from(text(&v["source"])))).collect(),
            healthcheck: texts(&service["healthcheck"]["test"]),
            network_of: service["network_mode"]
                .as_str()
                .and_then(|mode| mode.strip_prefix("service:"))
                .map(str::to_owned),
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(text).collect()
}
