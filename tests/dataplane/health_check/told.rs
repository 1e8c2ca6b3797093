//! What the log says of probes: each change once, and why.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex};

use bywash::faults::Fault;

use super::{BAD, DOWN, check, http, probing, start};

/// The lines of all tests: which level is of interest is known for the whole process only.
static LOG: LazyLock<Lines> = LazyLock::new(|| {
    let lines = Lines::default();
    let writer = lines.clone();
    tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .init();
    lines
});

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// Those about an endpoint.
    fn about(&self, endpoint: SocketAddr, text: &str) -> Vec<String> {
        let bytes = self.0.lock().unwrap().clone();
        let lines = String::from_utf8(bytes).unwrap();
        let endpoint = format!(" endpoint={endpoint}");
        let lines = lines.lines();
        let lines = lines.filter(|line| line.contains(text) && line.contains(&endpoint));
        lines.map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn each_change_is_told_once_and_why() {
    let log = &*LOG;
    let peer = start(Fault::Unavailable).await;
    let gateway = probing(&[peer.address()], check(http())).start();
    gateway.until_metric(BAD, |count| count >= 6.0).await;
    let told = |text| log.about(peer.address(), text);
    let down = told("endpoint is down by its probe");
    assert_eq!(down.len(), 1, "{down:?}");
    for part in [
        " WARN ",
        "upstream=shop/shop:80",
        "why=it answered with status 503",
    ] {
        assert!(down[0].contains(part), "{part} in {down:?}");
    }
    peer.from_now_on(Fault::Echo);
    gateway.until_metric(DOWN, |down| down == 0.0).await;
    assert_eq!(told("endpoint is up again by its probe").len(), 1);
    assert_eq!(told("endpoint is down by its probe").len(), 1);
}
