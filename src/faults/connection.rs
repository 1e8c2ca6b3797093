//! One connection of a peer: its script, step by step.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::describe;
use super::ledger::Shared;
use super::request::{Head, Rest, Wire};
use super::script::Step;
use super::websocket;

/// What a step leaves of the connection.
#[derive(PartialEq)]
enum After {
    /// It goes on.
    Open,
    /// It is over.
    Ended,
    /// The other side has ended it.
    Left,
}

/// Serves a connection to its end; whether the other side ended it.
///
/// # Errors
/// When the other side breaks it; the caller only counts that.
pub(super) async fn serve(stream: TcpStream, shared: &Shared, index: usize) -> io::Result<bool> {
    stream.set_nodelay(true)?;
    let mut wire = Wire::new(stream, shared, index);
    if let Some(script) = shared.script_on_connection() {
        let mut rest = Some(Rest::default());
        for step in &script.on_connection {
            let after = run(step, &mut wire, shared, &Head::default(), &mut rest).await?;
            if after != After::Open {
                return Ok(after == After::Left);
            }
        }
    }
    while let Some(head) = wire.head().await? {
        shared.requested(index);
        let mut rest = None;
        let Some(script) = shared.script_on_request() else {
            return Ok(false);
        };
        for step in &script.on_request {
            let after = run(step, &mut wire, shared, &head, &mut rest).await?;
            if after != After::Open {
                return Ok(after == After::Left);
            }
        }
        if head.closes() {
            finish(&mut wire).await?;
            return Ok(false);
        }
    }
    Ok(true)
}

async fn run(
    step: &Step,
    wire: &mut Wire<'_>,
    shared: &Shared,
    head: &Head,
    rest: &mut Option<Rest>,
) -> io::Result<After> {
    match step {
        Step::Send(bytes) => write(wire, shared, bytes).await?,
        Step::Stream(bytes) => stream(wire, shared, *bytes).await?,
        Step::ReadBody => match wire.rest(head).await? {
            Some(whole) => *rest = Some(whole),
            None => return Ok(After::Left),
        },
        Step::Echo => return echo(wire, shared, head, rest).await,
        Step::Gate => shared.gate().await,
        Step::AwaitBytes => {
            if !wire.await_bytes().await? {
                return Ok(After::Left);
            }
        }
        Step::Linger(time) => {
            let Ok(more) = tokio::time::timeout(*time, wire.await_bytes()).await else {
                finish(wire).await?;
                return Ok(After::Ended);
            };
            if !more? {
                return Ok(After::Left);
            }
        }
        Step::Drain => {
            wire.drain().await?;
            return Ok(After::Left);
        }
        Step::Freeze => std::future::pending().await,
        Step::Finish => {
            finish(wire).await?;
            return Ok(After::Ended);
        }
        Step::FinishUnread => {
            wire.stream.shutdown().await?;
            std::future::pending().await
        }
        Step::Close => return Ok(After::Ended),
        Step::Reset => {
            socket2::SockRef::from(&wire.stream).set_linger(Some(Duration::ZERO))?;
            return Ok(After::Ended);
        }
    }
    Ok(After::Open)
}

async fn finish(wire: &mut Wire<'_>) -> io::Result<()> {
    wire.stream.shutdown().await?;
    wire.drain().await
}

async fn write(wire: &mut Wire<'_>, shared: &Shared, bytes: &[u8]) -> io::Result<()> {
    wire.stream.write_all(bytes).await?;
    shared.sent(bytes.len());
    Ok(())
}

async fn stream(wire: &mut Wire<'_>, shared: &Shared, bytes: u64) -> io::Result<()> {
    static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
    let mut left = bytes;
    while left > 0 {
        let now = usize::try_from(left).unwrap_or(usize::MAX);
        let block = ZEROS.get(..now).unwrap_or(&ZEROS);
        write(wire, shared, block).await?;
        left -= block.len() as u64;
    }
    Ok(())
}

async fn echo(
    wire: &mut Wire<'_>,
    shared: &Shared,
    head: &Head,
    rest: &mut Option<Rest>,
) -> io::Result<After> {
    if let Some(answer) = describe::upgrade(head) {
        write(wire, shared, answer.as_bytes()).await?;
        if websocket::is_asked_for(head) {
            if websocket::echo(wire).await? {
                return Ok(After::Left);
            }
            finish(wire).await?;
            return Ok(After::Ended);
        }
        loop {
            let bytes = wire.take_unread();
            write(wire, shared, &bytes).await?;
            if !wire.fill().await? {
                return Ok(After::Left);
            }
        }
    }
    if rest.is_none() {
        if head.field("expect").is_some() {
            write(wire, shared, b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        *rest = wire.rest(head).await?;
    }
    let Some(rest) = rest else {
        return Ok(After::Left);
    };
    let answer = describe::answer(shared.name(), head, rest);
    write(wire, shared, answer.as_bytes()).await?;
    Ok(After::Open)
}
