//! An endpoint that gives tokens to whoever asks (OAuth 2.0, client credentials), unsigned ones.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub(crate) struct Endpoint {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    life_s: u64,
    asked: AtomicU64,
    refuses: AtomicBool,
}

impl Endpoint {
    /// Its tokens expire after so many seconds. It ends with the process.
    pub(crate) fn start(life_s: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let state = Arc::new(State { life_s, ..State::default() });
        let serving = Arc::clone(&state);
        let serve = move || {
            for connection in listener.incoming().flatten() {
                drop(serving.answer(&connection));
            }
        };
        std::thread::Builder::new().name("tokens".into()).spawn(serve).expect("a thread");
        Self { address, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/token", self.address)
    }

    /// How many tokens were given.
    pub(crate) fn asked(&self) -> u64 {
        self.state.asked.load(Ordering::Relaxed)
    }

    pub(crate) fn refuse(&self, refuses: bool) {
        self.state.refuses.store(refuses, Ordering::Relaxed);
    }
}

impl State {
    fn answer(&self, connection: &TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(connection);
        let (mut line, mut length) = (String::new(), 0);
        while reader.read_line(&mut line)? > 2 {
            let header = line.to_ascii_lowercase();
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            line.clear();
        }
        reader.take(length).read_to_end(&mut Vec::new())?;
        let (status, body) = if self.refuses.load(Ordering::Relaxed) {
            ("401 Unauthorized", r#"{"error":"invalid_client"}"#.to_owned())
        } else {
            self.asked.fetch_add(1, Ordering::Relaxed);
            ("200 OK", format!(r#"{{"access_token":"{}","token_type":"Bearer"}}"#, self.token()))
        };
        write!(
            &mut &*connection,
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
    }

    fn token(&self) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let claims = format!(r#"{{"sub":"rider","iat":{now},"exp":{}}}"#, now + self.life_s);
        format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), URL_SAFE_NO_PAD.encode(claims))
    }
}
