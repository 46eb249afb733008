//! Who we are to Google.
//!
//! Google's credentials wait for a metadata server for as long as it takes, and ask no more once it has given an answer
//! that they take for final: a pod's identity may be granted a minute after the pod has started. Here nobody waits for
//! longer than [`ANSWER`], and credentials that have failed for good are made anew.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use broker::{Error, ErrorKind};
use google_cloud_auth::credentials::{
    Builder, CacheableResource, Credentials, CredentialsProvider, anonymous, external_account, impersonated,
    service_account, user_account,
};
use google_cloud_auth::errors::CredentialsError;
use http::{Extensions, HeaderMap};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::errors::{chain, no_token};
use crate::settings::{self, Settings};

/// How long a token is waited for. It is fetched on meanwhile, and found by who asks next.
const ANSWER: Duration = Duration::from_secs(2);
/// How long the start waits for the name of the cloud that they are of.
const UNIVERSE: Duration = Duration::from_secs(1);
/// How often credentials that have failed for good are made anew.
const ANEW: Duration = Duration::from_secs(10);
/// The variable that names a file in all of Google's tools.
const VARIABLE: &str = "GOOGLE_APPLICATION_CREDENTIALS";

/// What to do where there are none.
pub(crate) const HINT: &str =
    "set GOOGLE_APPLICATION_CREDENTIALS or `credentials.file`, or run where Workload Identity gives some";

const HINT_FILE: &str = "put one of Google's credentials files there, or name none (neither in `credentials.file` nor in \
     GOOGLE_APPLICATION_CREDENTIALS) where Workload Identity gives credentials";

/// Credentials as they are configured. A file that cannot be used is told at once; a server of tokens is not asked yet.
pub(crate) async fn make(settings: &Settings) -> Result<Credentials, Error> {
    if settings.emulator.is_some() {
        return Ok(anonymous::Builder::new().build());
    }
    let source = settings.credentials.clone();
    let refused = |why: String| {
        let hint = if file(&source).is_some() { HINT_FILE } else { HINT };
        Error::new(ErrorKind::Denied, format!("{}: {why}; {hint}", unusable(&source)))
    };
    let credentials = build(&source).map_err(refused)?;
    if signs_by_itself(&source)
        && let Err(error) = credentials.headers(Extensions::new()).await
    {
        return Err(refused(no_token(&error)));
    }
    let made = Mutex::new(Made { credentials, at: Instant::now() });
    Ok(Credentials::from(Lasting { source, made, universe: OnceCell::new() }))
}

/// The beginning of a sentence.
fn unusable(source: &settings::Credentials) -> String {
    match (source, file(source)) {
        (settings::Credentials::File(path), _) => {
            format!("the credentials in {} cannot be used", path.display())
        }
        (settings::Credentials::Default, Some(path)) => {
            format!("the credentials in {}, as {VARIABLE} has it, cannot be used", path.display())
        }
        (settings::Credentials::Default, None) => "there are no application-default credentials".to_owned(),
    }
}

/// The file that was named, here or in the environment.
fn file(source: &settings::Credentials) -> Option<PathBuf> {
    match source {
        settings::Credentials::File(path) => Some(path.clone()),
        settings::Credentials::Default => {
            std::env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from)
        }
    }
}

/// A service account's key is all that its tokens take: nobody is asked for them, and a key that cannot sign never will.
fn signs_by_itself(source: &settings::Credentials) -> bool {
    file(source).and_then(|path| read(&path).ok()).is_some_and(|json| kind(&json) == "service_account")
}

fn build(source: &settings::Credentials) -> Result<Credentials, String> {
    match source {
        settings::Credentials::Default => Builder::default().build().map_err(|error| chain(&error)),
        settings::Credentials::File(path) => from_file(path),
    }
}

fn read(path: &Path) -> Result<Value, String> {
    let text = std::fs::read(path).map_err(|error| error.to_string())?;
    serde_json::from_slice(&text).map_err(|error| format!("it is no JSON: {error}"))
}

fn kind(json: &Value) -> &str {
    json.get("type").and_then(Value::as_str).unwrap_or_default()
}

/// A credentials file says what kind it is.
fn from_file(path: &Path) -> Result<Credentials, String> {
    let json = read(path)?;
    let built = match kind(&json) {
        "service_account" => service_account::Builder::new(json).build(),
        "authorized_user" => user_account::Builder::new(json).build(),
        "external_account" => external_account::Builder::new(json).build(),
        "impersonated_service_account" => impersonated::Builder::new(json).build(),
        other => return Err(format!("its `type` is `{other}`, which is none of Google's")),
    };
    built.map_err(|error| chain(&error))
}

/// Google's credentials, of which no failure is final.
#[derive(Debug)]
struct Lasting {
    source: settings::Credentials,
    made: Mutex<Made>,
    /// Each of the clients asks for it.
    universe: OnceCell<Option<String>>,
}

#[derive(Debug)]
struct Made {
    credentials: Credentials,
    at: Instant,
}

impl Lasting {
    fn current(&self) -> Credentials {
        self.made.lock().credentials.clone()
    }

    /// They ask no more: who asks next finds others.
    fn renew(&self) {
        let mut made = self.made.lock();
        if made.at.elapsed() < ANEW {
            return;
        }
        made.at = Instant::now();
        match build(&self.source) {
            Ok(credentials) => made.credentials = credentials,
            Err(why) => tracing::warn!("{}: {why}", unusable(&self.source)),
        }
    }
}

impl CredentialsProvider for Lasting {
    async fn headers(
        &self,
        extensions: Extensions,
    ) -> Result<CacheableResource<HeaderMap>, CredentialsError> {
        let Ok(answer) = tokio::time::timeout(ANSWER, self.current().headers(extensions)).await else {
            let message = format!("the server that gives tokens has not answered within {ANSWER:?}");
            return Err(CredentialsError::from_msg(true, message));
        };
        if answer.as_ref().is_err_and(|error| !error.is_transient()) {
            self.renew();
        }
        answer
    }

    async fn universe_domain(&self) -> Option<String> {
        // Google's own, where nobody says otherwise.
        let asked =
            async || tokio::time::timeout(UNIVERSE, self.current().universe_domain()).await.ok().flatten();
        self.universe.get_or_init(asked).await.clone()
    }
}
