//! A running sidecar: started, killed, stopped and started again on the same data.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Result;
use http::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::binary;
use crate::client::{self, Answer};
use crate::setup::Setup;
use crate::webhook::patience;

/// A sidecar and its directory. It is killed, and its data removed, when this is dropped.
#[derive(Debug)]
pub struct Postrider {
    setup: Setup,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    directory: TempDir,
    child: Option<Child>,
}

/// How a sidecar ended that ended by itself.
#[derive(Clone, Debug)]
pub struct Ended {
    /// `None`: by a signal.
    pub code: Option<i32>,
    /// Standard output and error, in the order in which they were written.
    pub output: String,
}

impl Postrider {
    /// Starts a sidecar and waits until it is ready. Panics with its output when it does not become so.
    pub async fn start(setup: Setup) -> Self {
        let mut sidecar = Self::prepare(setup);
        sidecar.start_again().await;
        sidecar
    }

    /// Writes the configuration and starts nothing.
    pub fn prepare(setup: Setup) -> Self {
        let directory =
            TempDir::with_prefix("postrider-test-").expect("the temporary directory can be written to");
        let config = directory.path().join("postrider.yaml").display().to_string();
        let sidecar = Self {
            setup,
            arguments: vec!["run".into(), "--config".into(), config],
            environment: Vec::new(),
            directory,
            child: None,
        };
        sidecar.write_config();
        sidecar
    }

    /// Starts `postrider dev`, as a newcomer does, but on addresses of its own, and waits until it is ready.
    pub async fn dev() -> Self {
        let mut sidecar = Self::prepare(Setup::on_ports());
        let listen = sidecar.setup.listen;
        let mut arguments = vec!["dev".to_owned()];
        for (option, address) in [
            ("--listen", listen.app),
            ("--admin-listen", listen.admin),
            ("--health-listen", listen.health),
            ("--webhook", sidecar.sample_webhook()),
        ] {
            arguments.extend([option.to_owned(), address.to_string()]);
        }
        sidecar.arguments = arguments;
        sidecar.start_again().await;
        sidecar
    }

    /// Where the sample webhook of [`Postrider::dev`] is.
    pub fn sample_webhook(&self) -> SocketAddr {
        self.setup.listen.webhook
    }

    /// Runs another command of the binary against this sidecar, to its end.
    pub fn command(&self, arguments: &[&str]) -> Ended {
        let mut command = std::process::Command::new(binary::path());
        command.args(arguments).current_dir(self.directory.path()).stdin(Stdio::null()).env("NO_COLOR", "1");
        command.env_remove("POSTRIDER_CONFIG").env("POSTRIDER_ADMIN", self.admin_address().to_string());
        command
            .env("POSTRIDER_APP", self.app().to_string())
            .env("POSTRIDER_HEALTH", self.health().to_string());
        let ended = command.output().expect("the binary starts");
        let output = [ended.stdout, ended.stderr].concat();
        Ended { code: ended.status.code(), output: String::from_utf8_lossy(&output).into_owned() }
    }

    fn write_config(&self) {
        fs::write(self.config_path(), self.setup.text()).expect("the configuration can be written");
    }

    /// Starts it, after it was killed or stopped, and waits until it is ready.
    pub async fn start_again(&mut self) {
        self.launch();
        let began = Instant::now();
        loop {
            if self.get(self.setup.listen.health, "/readyz").await.is_ok_and(|answer| answer.status == 200) {
                return;
            }
            if let Some(status) = self.exited() {
                panic!("the sidecar ended with {status} instead of becoming ready:\n{}", self.output());
            }
            assert!(began.elapsed() < patience(), "the sidecar did not become ready:\n{}", self.output());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Changes the configuration for the next start.
    pub fn reconfigure(&mut self, change: impl FnOnce(Setup) -> Setup) {
        self.setup = change(self.setup.clone());
        self.write_config();
    }

    /// Sets a variable of its environment, from the next start on.
    pub fn set_environment(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Starts it without waiting for anything.
    pub fn launch(&mut self) {
        assert!(self.child.is_none(), "the sidecar runs already");
        let output =
            File::options().create(true).append(true).open(self.output_path()).expect("a file of our own");
        let mut command = binary::command();
        command.args(&self.arguments).current_dir(self.directory.path());
        // Nothing of the tester's environment decides what is tested.
        for name in
            ["POSTRIDER_CONFIG", "POSTRIDER_ADMIN", "PUBSUB_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS"]
        {
            command.env_remove(name);
        }
        command.env("NO_COLOR", "1");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null());
        command.stdout(output.try_clone().expect("a file can be opened twice")).stderr(output);
        self.child = Some(binary::spawn(command).expect("the binary starts"));
    }

    /// Starts it and waits until it ends by itself, as it does after a bad configuration.
    pub async fn run_to_its_end(&mut self) -> Ended {
        self.launch();
        self.wait_for_its_end().await
    }

    pub async fn wait_for_its_end(&mut self) -> Ended {
        let began = Instant::now();
        loop {
            if let Some(status) = self.exited() {
                self.child = None;
                return Ended { code: status.code(), output: self.output() };
            }
            assert!(began.elapsed() < patience(), "the sidecar did not end:\n{}", self.output());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// SIGKILL, now; returns when the process is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// SIGTERM, and waits until it has ended in good order.
    pub async fn stop(&mut self) -> Ended {
        self.terminate();
        self.wait_for_its_end().await
    }

    /// SIGTERM, and does not wait.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// SIGSTOP: it keeps its connections and does nothing, as in a machine that is paused.
    pub fn suspend(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT, after [`Postrider::suspend`].
    pub fn wake(&self) {
        self.signal(Signal::CONT);
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.as_ref().expect("the sidecar runs").id()
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal).expect("our own process can be signalled");
    }

    fn exited(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().expect("our own process can be waited for")
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub fn config_path(&self) -> PathBuf {
        self.directory.path().join("postrider.yaml")
    }

    fn output_path(&self) -> PathBuf {
        self.directory.path().join("output.log")
    }

    /// What it has written to standard output and error since it was first started.
    pub fn output(&self) -> String {
        fs::read(self.output_path())
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .unwrap_or_default()
    }

    pub fn app(&self) -> SocketAddr {
        self.setup.listen.app
    }

    pub fn admin_address(&self) -> SocketAddr {
        self.setup.listen.admin
    }

    pub fn health(&self) -> SocketAddr {
        self.setup.listen.health
    }

    /// The most memory it has held so far, where the system tells.
    pub fn memory_peak_bytes(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.as_ref()?.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib * 1024)
    }

    async fn get(&self, at: SocketAddr, path: &str) -> Result<Answer> {
        client::send(at, client::request(Method::GET, path, &[], "")).await
    }

    /// Sends a request to the app listener.
    pub async fn publish(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let request = client::request(Method::POST, path, headers, body.to_owned());
        client::send(self.app(), request).await.expect("the app listener answers")
    }

    /// Publishes a small event with an id and a key to `orders`, and insists that it is accepted.
    pub async fn publish_event(&self, id: &str, key: &str) {
        let headers = [
            ("ce-specversion", "1.0"),
            ("ce-id", id),
            ("ce-source", "/tests"),
            ("ce-type", "com.example.order.created"),
            ("content-type", "application/json"),
            ("postrider-key", key),
        ];
        let answer = self.publish("/v1/topics/orders/events", &headers, r#"{"a":1}"#).await;
        assert!(answer.status.is_success(), "{id} was not accepted: {} {}", answer.status, answer.text());
    }

    /// Sends a request to the admin listener and insists on a 2xx.
    pub async fn admin(&self, method: Method, path: &str) -> Value {
        let request = client::request(method.clone(), path, &[("content-type", "application/json")], "");
        let answer = client::send(self.admin_address(), request).await.expect("the admin listener answers");
        assert!(answer.status.is_success(), "{method} {path}: {} {}", answer.status, answer.text());
        answer.json()
    }

    /// A subscription as `/v1/subscriptions` shows it.
    pub async fn subscription(&self, name: &str) -> Value {
        let all = self.admin(Method::GET, "/v1/subscriptions").await;
        let list = all.as_array().or_else(|| all["subscriptions"].as_array()).cloned().unwrap_or_default();
        let found = list.into_iter().find(|subscription| subscription["name"] == json!(name));
        found.unwrap_or_else(|| panic!("/v1/subscriptions does not show {name}: {all:#}"))
    }

    /// Waits until a subscription is as it should be.
    pub async fn until_subscription(&self, name: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let now = self.subscription(name).await;
            if is_so(&now) {
                return now;
            }
            assert!(
                began.elapsed() < patience(),
                "{name} never came to have {what}: {now:#}\n{}",
                self.output()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until a subscription has settled everything.
    pub async fn until_settled(&self, name: &str) -> Value {
        let settled = |s: &Value| s["lag"] == json!(0) && s["in_flight"] == json!(0);
        self.until_subscription(name, "nothing left to do", settled).await
    }

    /// A subscription's dead letters.
    pub async fn dead_letters(&self, name: &str) -> Value {
        self.admin(Method::GET, &format!("/v1/subscriptions/{name}/dead-letters?limit=1000")).await
    }

    /// The ids of a subscription's dead letters.
    pub async fn dead_ids(&self, name: &str) -> Vec<String> {
        let letters = self.dead_letters(name).await;
        let list = letters["letters"].as_array().cloned().unwrap_or_default();
        list.iter().filter_map(|letter| letter["id"].as_str().map(str::to_owned)).collect()
    }
}

impl Drop for Postrider {
    #[expect(clippy::print_stderr, reason = "a failing test shows what the sidecar said")]
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- the sidecar's output\n{}", tail(&self.output(), 60));
        }
    }
}

/// The last lines of a text.
fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
