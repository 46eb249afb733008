//! A service and its sidecar, which share localhost: as two processes with an address of their own in its place.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use brokers::bound;
use postrider_tests::{Postrider, Setup, binary};
use serde_json::json;

use crate::described::{Described, Image, Service};

/// Where a service listens inside, by the compose file.
const SERVICE_PORT: u16 = 8080;

pub(crate) struct Pod {
    name: String,
    service: Service,
    sidecar: Service,
    image: Image,
    /// Never started: it has the addresses and the directory.
    place: Postrider,
    /// What is said instead of what the compose file says: `127.0.0.1:8080` is this pod's own address.
    instead: HashMap<String, String>,
    running: BTreeMap<&'static str, Child>,
}

impl Pod {
    /// A service of the compose file and the sidecar that shares its network; `hosts` are where other services are.
    pub(crate) fn new(described: &Described, name: &str, hosts: &HashMap<String, String>) -> Self {
        let place = Postrider::prepare(Setup::new());
        let mut instead = hosts.clone();
        for (said, meant) in [
            ("0.0.0.0:8080", place.sample_webhook()),
            ("127.0.0.1:8080", place.sample_webhook()),
            ("localhost:3500", place.app()),
        ] {
            instead.insert(said.to_owned(), meant.to_string());
        }
        assert_eq!(
            place.sample_webhook().port(),
            SERVICE_PORT,
            "only Linux gives a pod an address of its own"
        );
        let pod = Self {
            name: name.to_owned(),
            service: described.service(name).clone(),
            sidecar: described.sidecar_of(name).clone(),
            image: described.image.clone(),
            place,
            instead,
            running: BTreeMap::new(),
        };
        pod.lay_out();
        pod
    }

    /// Where the service answers.
    pub(crate) fn service(&self) -> SocketAddr {
        self.place.sample_webhook()
    }

    /// Puts the mounted files where they are found, with this pod's addresses in them.
    fn lay_out(&self) {
        for (target, source) in self.service.mounts.iter().chain(&self.sidecar.mounts) {
            let text = fs::read_to_string(source)
                .unwrap_or_else(|error| panic!("{} cannot be read: {error}", source.display()));
            let path = self.inside(target);
            fs::create_dir_all(path.parent().expect("a path below the directory"))
                .expect("a directory of our own");
            fs::write(path, self.meant(&text)).expect("a file of our own");
        }
        // The listeners have their defaults in the files.
        let ip = self.place.app().ip().to_string();
        let listen = json!({
            "app": self.place.app(), "admin": self.place.admin_address(), "health": self.place.health(),
            "hosts": [ip],
        });
        fs::write(self.addresses(), json!({ "listen": listen }).to_string()).expect("a file of our own");
    }

    fn addresses(&self) -> PathBuf {
        self.place.directory().join("addresses.yaml")
    }

    /// The file that has this path inside of a container.
    fn inside(&self, path: &str) -> PathBuf {
        self.place.directory().join(path.trim_start_matches('/'))
    }

    /// What a text of the compose file means in this pod.
    fn meant(&self, text: &str) -> String {
        self.instead.iter().fold(text.to_owned(), |text, (said, meant)| text.replace(said, meant))
    }

    /// An argument of a command: a mounted file is where we have put it.
    fn argument(&self, of: &Service, argument: &str) -> String {
        if of.mounts.contains_key(argument) {
            return self.inside(argument).display().to_string();
        }
        self.meant(argument)
    }

    pub(crate) fn start_service(&mut self) {
        let [program, arguments @ ..] = self.service.command.as_slice() else {
            panic!("{} has no command", self.name)
        };
        let mut command = bound::command(program);
        command.args(arguments.iter().map(|argument| self.argument(&self.service, argument)));
        command.envs(self.service.environment.iter().map(|(name, value)| (name, self.meant(value))));
        self.start("service", command);
    }

    pub(crate) fn start_sidecar(&mut self) {
        assert_eq!(self.image.entrypoint, ["/usr/local/bin/postrider"], "the image runs the binary");
        let mut command = bound::command(binary::path());
        command.args(self.sidecar.command.iter().map(|argument| self.argument(&self.sidecar, argument)));
        command.arg("--config").arg(self.addresses());
        command.env_remove("POSTRIDER_CONFIG").env("NO_COLOR", "1");
        command.envs(self.sidecar.environment.iter().map(|(name, value)| (name, self.meant(value))));
        self.start("sidecar", command);
    }

    /// `postrider check` of the sidecar's files as they stand, but for the addresses in them.
    pub(crate) fn check(&self) -> Output {
        let mut command = Command::new(binary::path());
        command.arg("check").current_dir(self.place.directory()).stdin(Stdio::null()).env("NO_COLOR", "1");
        command.env_remove("POSTRIDER_CONFIG");
        command
            .args(self.sidecar.command.iter().skip(1).map(|argument| self.argument(&self.sidecar, argument)));
        command.envs(self.sidecar.environment.iter().map(|(name, value)| (name, self.meant(value))));
        command.output().expect("the binary starts")
    }

    fn start(&mut self, what: &'static str, mut command: Command) {
        let output = self.place.directory().join(format!("{what}.log"));
        let output = File::options().create(true).append(true).open(output).expect("a file of our own");
        command.current_dir(self.place.directory()).stdin(Stdio::null());
        command.stdout(output.try_clone().expect("a file can be opened twice")).stderr(output);
        let program = command.get_program().display().to_string();
        let child = bound::spawn(command).unwrap_or_else(|error| {
            panic!(
                "the {what} of {} does not start ({program}: {error}); Python 3 is apt-get install python3",
                self.name
            )
        });
        assert!(self.running.insert(what, child).is_none(), "the {what} of {} runs already", self.name);
    }

    /// SIGKILL, now.
    pub(crate) fn kill_sidecar(&mut self) {
        self.kill("sidecar");
    }

    /// SIGKILL, now.
    pub(crate) fn kill_service(&mut self) {
        self.kill("service");
    }

    fn kill(&mut self, what: &str) {
        if let Some(mut child) = self.running.remove(what) {
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// Whether the health checks of both pass.
    pub(crate) fn is_healthy(&self) -> bool {
        let [_, program, arguments @ ..] = self.service.healthcheck.as_slice() else { return false };
        let mut service = Command::new(program);
        service.args(arguments.iter().map(|argument| self.meant(argument)));
        let mut sidecar = Command::new(binary::path());
        sidecar.args(self.image.healthcheck.iter().skip(2));
        sidecar.env("POSTRIDER_HEALTH", self.place.health().to_string());
        [service, sidecar].into_iter().all(|mut check| {
            check.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            check.status().is_ok_and(|status| status.success())
        })
    }

    /// What both have printed.
    pub(crate) fn printed(&self) -> String {
        let of = |what: &str| {
            let text = fs::read(self.place.directory().join(format!("{what}.log"))).unwrap_or_default();
            format!("--- {} ({what})\n{}", self.name, String::from_utf8_lossy(&text))
        };
        format!("{}\n{}", of("service"), of("sidecar"))
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        self.kill("service");
        self.kill("sidecar");
    }
}
