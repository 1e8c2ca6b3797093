//! What a client of the proxy does, on plain connections of its own.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, bail};
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Reply {
    /// The pod that answered with 200.
    pub(crate) fn pod(&self) -> &str {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        &self.body
    }
}

pub(crate) fn request(host: &str, path: &str) -> Request<Full<Bytes>> {
    let request = Request::get(path).header(header::HOST, host);
    request.body(Full::default()).unwrap()
}

/// One keep-alive connection.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.context("connect")?;
        stream.set_nodelay(true)?;
        Self::over(stream).await
    }

    async fn over<S>(stream: S) -> anyhow::Result<Self>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender })
    }

    /// Whether the server has left the connection open.
    pub(crate) async fn is_open(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> anyhow::Result<Reply> {
        self.sender.ready().await.context("before the request")?;
        let response = self.sender.send_request(request).await.context("head")?;
        whole(response).await
    }

    /// The same; nothing if the server had closed the connection before a byte was written.
    pub(crate) async fn send_if_open(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> anyhow::Result<Option<Reply>> {
        if !self.is_open().await {
            return Ok(None);
        }
        match self.sender.try_send_request(request).await {
            Ok(response) => whole(response).await.map(Some),
            Err(unsent) if unsent.message().is_some() => Ok(None),
            Err(error) => Err(error.into_error()).context("head"),
        }
    }
}

async fn whole(response: Response<Incoming>) -> anyhow::Result<Reply> {
    let (head, body) = response.into_parts();
    let body = body.collect().await.context("body")?.to_bytes();
    Ok(Reply {
        status: head.status,
        headers: head.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

/// One request on a new connection.
pub(crate) async fn send(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
) -> anyhow::Result<Reply> {
    Connection::open(address).await?.send(request).await
}

/// One request over TLS: the certificate that was presented for `host`, and the reply.
pub(crate) async fn send_tls(
    address: SocketAddr,
    host: &str,
    path: &str,
) -> anyhow::Result<(CertificateDer<'static>, Reply)> {
    let stream = secured(address, host, &[]).await?;
    let presented = stream.get_ref().1.peer_certificates();
    let presented = presented.and_then(<[_]>::first).context("certificate")?;
    let presented = presented.clone().into_owned();
    let mut connection = Connection::over(stream).await?;
    Ok((presented, connection.send(request(host, path)).await?))
}

/// A connection with TLS, over which one of these protocols is spoken (RFC 7301).
pub(crate) async fn secured(
    address: SocketAddr,
    host: &str,
    protocols: &[&[u8]],
) -> anyhow::Result<TlsStream<TcpStream>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone(provider)))
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|it| it.to_vec()).collect();
    let stream = TcpStream::connect(address).await.context("connect")?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(host.to_owned())?;
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(name, stream).await.context("TLS")
}

/// Takes any certificate: the tests compare the one they were given with the one they expect.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// A WebSocket whose other end echoes.
pub(crate) struct WebSocket {
    stream: WebSocketStream<TcpStream>,
}

/// What a WebSocket says next.
#[derive(Debug, PartialEq)]
pub(crate) enum Said {
    Text(String),
    /// It ends, and says with this code why.
    Close(CloseCode),
}

impl WebSocket {
    pub(crate) async fn open(address: SocketAddr, host: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.context("connect")?;
        stream.set_nodelay(true)?;
        let opened = tokio_tungstenite::client_async(format!("ws://{host}/"), stream);
        let (stream, _) = opened.await.context("handshake")?;
        Ok(Self { stream })
    }

    pub(crate) async fn say(&mut self, text: &str) -> anyhow::Result<()> {
        let said = self.stream.send(Message::text(text)).await;
        said.context("message that is sent")
    }

    /// A Close is answered; an end without one is an error.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Said> {
        loop {
            let message = self.stream.next().await.context("end without a Close")?;
            match message.context("message to come")? {
                Message::Text(text) => return Ok(Said::Text(text.as_str().to_owned())),
                Message::Close(frame) => {
                    let _gone = self.stream.flush().await;
                    let code = frame.map_or(CloseCode::Status, |frame| frame.code);
                    return Ok(Said::Close(code));
                }
                _ => {}
            }
        }
    }

    /// Says the text and hears it back.
    pub(crate) async fn echo(&mut self, text: &str) -> anyhow::Result<String> {
        self.say(text).await?;
        match self.next().await? {
            Said::Text(back) => Ok(back),
            Said::Close(code) => bail!("closed with {code}"),
        }
    }
}
