//! `bywash probe URL`: does Bywash answer there?
//!
//! The image holds no other program, so that whatever has to ask from inside a cluster, such as `helm
//! test`, asks with this one. It needs no right and no kubeconfig. Where nothing answers it asks again: what
//! was only just installed may be ready before every node knows its way there.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::header::{HOST, HeaderName, SERVER};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::time::{sleep, timeout};

use crate::config::duration::GatewayDuration;
use crate::dns;

use super::Failure;

/// From an attempt that got no answer to the next.
const PAUSE: Duration = Duration::from_millis(250);

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Ask whether Bywash answers at a URL: by itself, or with what an application said
#[derive(Args, Debug)]
pub(super) struct Probe {
    /// For example http://bywash.bywash.svc/
    #[arg(value_name = "URL")]
    url: Uri,

    /// How long it may take; until then, it is asked again where nothing answers
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    timeout: GatewayDuration,
}

/// Why it does not.
#[derive(Debug, thiserror::Error)]
enum Silence {
    #[error("{0} cannot be asked: write it as http://HOST:PORT/PATH")]
    Address(Uri),
    #[error("{0} does not answer within {1:?}")]
    NoAnswer(Uri, Duration, #[source] Option<Error>),
    #[error("{0} answers {1}, and nothing says that this is Bywash: is another program there?")]
    Stranger(Uri, StatusCode),
}

impl Probe {
    pub(super) fn execute(self) -> Result<ExitCode, Failure> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::failed(&error))?;
        match runtime.block_on(self.ask()) {
            Ok(status) => {
                let told = writeln!(io::stdout(), "{} answers {status}", self.url);
                told.map_err(|error| Failure::failed(&error))?;
                Ok(ExitCode::SUCCESS)
            }
            Err(silence @ Silence::Address(_)) => Err(Failure::usage(&silence)),
            Err(silence) => Err(Failure::failed(&silence)),
        }
    }

    async fn ask(&self) -> Result<StatusCode, Silence> {
        let (Some("http"), Some(host)) = (self.url.scheme_str(), self.url.host()) else {
            return Err(Silence::Address(self.url.clone()));
        };
        let response = self
            .answer(host)
            .await
            .map_err(|error| Silence::NoAnswer(self.url.clone(), self.timeout.get(), error))?;
        match is_ours(&response) {
            true => Ok(response.status()),
            false => Err(Silence::Stranger(self.url.clone(), response.status())),
        }
    }

    /// The first answer; without one in time, why the last attempt that ended got none.
    async fn answer(&self, host: &str) -> Result<Response<Incoming>, Option<Error>> {
        let mut last = None;
        let asked = timeout(self.timeout.get(), async {
            loop {
                match get(&self.url, host).await {
                    Ok(response) => return response,
                    Err(error) => last = Some(error),
                }
                sleep(PAUSE).await;
            }
        })
        .await;
        asked.map_err(|_| last)
    }
}

async fn get(url: &Uri, host: &str) -> Result<Response<Incoming>, Error> {
    let found = dns::addresses(host.trim_matches(['[', ']']), url.port_u16().unwrap_or(80)).await?;
    let stream = TcpStream::connect(&found[..]).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let path = url.path_and_query().map_or("/", |it| it.as_str());
    let request = Request::get(path)
        .header(HOST, host)
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await;
    driver.abort();
    Ok(response?)
}

/// Its own answers carry its name in two fields; those of applications only where these name none.
fn is_ours<B>(response: &Response<B>) -> bool {
    let begins = |name: HeaderName| {
        let values = response.headers().get_all(name);
        values
            .iter()
            .any(|value| value.as_bytes().starts_with(b"bywash"))
    };
    begins(SERVER) || begins(HeaderName::from_static("proxy-status"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_its_own_says_so_and_one_of_another_server_does_not() {
        let answer =
            |name: &str, value: &str| Response::builder().header(name, value).body(()).unwrap();
        assert!(is_ours(&answer("server", "bywash")));
        assert!(is_ours(&answer(
            "proxy-status",
            "bywash; error=destination_not_found"
        )));
        assert!(!is_ours(&answer("server", "nginx")));
        assert!(!is_ours(&answer("proxy-status", "cdn; error=dns_error")));
    }
}
