//! A client of the API server.
//!
//! It is kube's own stack of layers, except that names are looked up by [`dns`](crate::dns) and nothing
//! is logged: each error is returned, and whoever asked says what it means.

use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ClientBuilder, ConfigExt};
use kube::{Client, Config, Result};
use tower::{BoxError, ServiceBuilder};

use crate::dns;

/// Prepares a client. Does not talk to the server yet.
///
/// # Errors
/// When what the configuration says of TLS or of credentials cannot be used.
pub(super) fn of(config: Config) -> Result<Client> {
    if config.proxy_url.is_some() {
        // Says that a proxy is not supported, in kube's words.
        return Client::try_from(config);
    }
    let https = config.rustls_https_connector_with_connector(dns::connector())?;
    let mut connector = TimeoutConnector::new(https);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    connector.set_reset_reader_on_write(config.reset_reader_on_write);
    let http: HyperClient<_, Body> = HyperClient::builder(TokioExecutor::new()).build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(http);
    Ok(ClientBuilder::new(service, config.default_namespace).build())
}
