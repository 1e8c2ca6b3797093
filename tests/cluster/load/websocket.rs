//! WebSockets, one message after the other.

use std::net::SocketAddr;

use anyhow::{bail, ensure};
use futures::FutureExt;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::{Client, Tally, in_time};
use crate::client::{Said, WebSocket};

pub(super) struct Talker {
    address: SocketAddr,
    host: String,
    open: Option<WebSocket>,
    /// Messages so far, so that no two are alike.
    said: u64,
}

impl Talker {
    pub(super) fn new(address: SocketAddr, host: &str) -> Self {
        Self {
            address,
            host: host.to_owned(),
            open: None,
            said: 0,
        }
    }

    /// A server that goes away says so; then the message goes on a new connection, at once.
    async fn talk(&mut self, tally: &Tally) -> anyhow::Result<()> {
        self.said += 1;
        let text = format!("message {}", self.said);
        if let Some(open) = &mut self.open {
            if went_away_meanwhile(open)? {
                self.open = None;
            } else if heard(open, &text).await? {
                return Ok(());
            } else {
                tally.again();
            }
        }
        tally.connects();
        let new = WebSocket::open(self.address, &self.host).await?;
        let heard = heard(self.open.insert(new), &text).await?;
        ensure!(heard, "a new connection was closed");
        Ok(())
    }
}

impl Client for Talker {
    async fn exchange(&mut self, tally: &Tally) {
        match in_time(self.talk(tally)).await {
            Ok(()) => tally.answered(),
            Err(error) => {
                self.open = None;
                tally.failed(error);
            }
        }
    }
}

fn went_away_meanwhile(socket: &mut WebSocket) -> anyhow::Result<bool> {
    match socket.next().now_or_never() {
        None => Ok(false),
        Some(said) => goes_away(said?),
    }
}

/// Whether the message came back, and not a Close.
async fn heard(socket: &mut WebSocket, text: &str) -> anyhow::Result<bool> {
    socket.say(text).await?;
    match socket.next().await? {
        Said::Text(back) if back == text => Ok(true),
        said => goes_away(said).map(|away| !away),
    }
}

fn goes_away(said: Said) -> anyhow::Result<bool> {
    match said {
        Said::Close(CloseCode::Away) => Ok(true),
        said => bail!("{said:?} was not to be said"),
    }
}
