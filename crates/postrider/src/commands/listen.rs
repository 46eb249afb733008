//! `postrider listen`: forward a topic's new events to a URL, for trying a handler. It keeps no cursor and retries
//! nothing: what must not be lost is a subscription's work.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Uri};

use crate::cli::ListenArgs;
use crate::client::{self, Client};
use crate::commands::tail::Lines;
use crate::failure::Failure;
use crate::output;

pub(crate) async fn run(args: ListenArgs) -> Result<(), Failure> {
    let target = Target::parse(&args.forward_to)?;
    let mut lines = Lines::open(&args.admin.admin, &args.topic, &args.from, true).await?;
    output::line(&format!("forwarding {} to {}; end with Ctrl-C", args.topic, args.forward_to))?;
    while let Some(line) = lines.next().await? {
        let position = line["position"].as_str().unwrap_or("-").to_owned();
        let event = match event::json::from_bytes(Bytes::from(line["event"].to_string())) {
            Ok(event) => event,
            Err(malformed) => {
                output::line(&format!("{position}  not forwarded: {malformed}"))?;
                continue;
            }
        };
        let began = std::time::Instant::now();
        let result = match target.forward(&event, &args.topic, line["key"].as_str()).await {
            Ok(status) => status.to_string(),
            Err(error) => format!("{error:#}"),
        };
        let id = output::printable(event.id());
        output::line(&format!("{position}  {id}  → {result}  ({} ms)", began.elapsed().as_millis()))?;
    }
    Ok(())
}

#[derive(Debug)]
struct Target {
    client: Client,
    path: String,
}

impl Target {
    fn parse(url: &str) -> Result<Self, Failure> {
        let wrong =
            || Failure::usage(format!("{url:?} is no URL to forward to; write http://HOST:PORT/PATH"));
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let host = uri.host().filter(|_| uri.scheme_str() == Some("http")).ok_or_else(wrong)?;
        let path = uri.path_and_query().map_or("/", |p| p.as_str()).to_owned();
        Ok(Self { client: Client::new(&format!("{host}:{}", uri.port_u16().unwrap_or(80))), path })
    }

    async fn forward(
        &self,
        event: &event::Event,
        topic: &str,
        key: Option<&str>,
    ) -> anyhow::Result<http::StatusCode> {
        let mut headers = HeaderMap::new();
        let body = if event::http::fits_binary(event) {
            event::http::to_binary(event, event::http::Encoding::Percent, &mut headers)
        } else {
            headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(event::http::STRUCTURED));
            event::http::to_structured(event)
        };
        headers.insert("postrider-topic", HeaderValue::from_str(topic)?);
        if let Some(key) = key {
            client::put_key(&mut headers, key);
        }
        let headers = client::pairs(&headers)?;
        let answer = self.client.send(Method::POST, &self.path, &headers, client::full(body)).await?;
        Ok(answer.bytes().await?.0)
    }
}
