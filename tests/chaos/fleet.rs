//! The endpoints of the moment: who serves, who is on the way out, and who is bad.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::SmallRng;

use crate::gateway::Gateway;
use crate::ledger::Ledger;
use crate::manifests::State;
use crate::namespace::{find, lose};
use crate::peer::Peer;
use crate::schedule::Fault;

/// Endpoints by slot, and what the gateway was told of them.
pub(crate) struct Fleet {
    peers: Vec<Peer>,
    attempts: usize,
    started: u16,
    gateway: Arc<Gateway>,
    ledger: Arc<Ledger>,
}

impl Fleet {
    pub(crate) fn new(gateway: &Arc<Gateway>, ledger: &Arc<Ledger>) -> Self {
        Self {
            peers: Vec::new(),
            attempts: 1,
            started: 0,
            gateway: Arc::clone(gateway),
            ledger: Arc::clone(ledger),
        }
    }

    /// So many endpoints, and so many attempts for each request.
    pub(crate) async fn resize(&mut self, endpoints: usize, attempts: usize) {
        while self.peers.len() < endpoints {
            let peer = self.another().await;
            self.peers.push(peer);
        }
        let leaving = self.peers.split_off(endpoints);
        self.attempts = attempts;
        self.publish(&[]).await;
        self.ledger.fence().await;
        drop(leaving);
    }

    /// Replaces an endpoint in good order: another one takes its place before it ends.
    pub(crate) async fn roll(&mut self, slot: usize) {
        let new = self.another().await;
        let old = std::mem::replace(&mut self.peers[slot], new);
        self.publish(&[old.socket()]).await;
        self.publish(&[]).await;
        // Nobody needs it any more.
        self.ledger.fence().await;
        drop(old);
    }

    /// Replaces an endpoint that is of no use any more.
    pub(crate) async fn replace(&mut self, slot: usize) {
        let new = self.another().await;
        let old = std::mem::replace(&mut self.peers[slot], new);
        self.publish(&[]).await;
        self.ledger.fence().await;
        drop(old);
    }

    /// Has an endpoint go wrong.
    pub(crate) async fn spoil(&self, slot: usize, fault: Fault) {
        let peer = &self.peers[slot];
        match fault {
            Fault::Refuse => peer.refuse().await,
            Fault::Vanish => lose(peer.address).await,
            Fault::Leave => peer.leave().await,
            Fault::Restart => peer.crash(true).await,
            answers => peer.answers(Some(answers)),
        }
    }

    /// Has an endpoint do right again.
    pub(crate) async fn heal(&self, slot: usize, fault: Fault) {
        let peer = &self.peers[slot];
        match fault {
            Fault::Vanish => find(peer.address).await,
            Fault::Leave => {}
            Fault::Refuse | Fault::Restart => peer.open().await,
            _ => peer.answers(None),
        }
    }

    /// Goes down and comes back, again and again.
    pub(crate) async fn keep_restarting(&self, slot: usize, rng: &mut SmallRng) {
        let peer = &self.peers[slot];
        loop {
            let pause = |rng: &mut SmallRng| Duration::from_millis(rng.random_range(50..300));
            tokio::time::sleep(pause(rng)).await;
            peer.open().await;
            tokio::time::sleep(pause(rng)).await;
            peer.crash(rng.random()).await;
        }
    }

    /// Has all of them go wrong.
    pub(crate) fn kill(&self, death: Fault) {
        for peer in &self.peers {
            peer.answers(Some(death));
        }
    }

    /// Has all of them do right again, but for one.
    pub(crate) fn revive_others(&self, last: usize) {
        for (slot, peer) in self.peers.iter().enumerate() {
            if slot != last {
                peer.answers(None);
            }
        }
    }

    /// The one that most of the next requests go to.
    pub(crate) async fn busiest(&self, requests: usize) -> usize {
        let executed = || self.peers.iter().map(Peer::executed);
        let before: Vec<usize> = executed().collect();
        self.ledger.flows(requests).await;
        let more = executed().zip(before).map(|(now, before)| now - before);
        more.enumerate().max_by_key(|(_, more)| *more).unwrap().0
    }

    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.peers.iter().map(Peer::socket).collect()
    }

    /// On an address that was never used before.
    async fn another(&mut self) -> Peer {
        let [high, low] = self.started.to_be_bytes();
        self.started += 1;
        Peer::start(Ipv4Addr::new(127, 1, high, low), &self.ledger).await
    }

    /// Tells the gateway who there is, and waits until that is in force.
    async fn publish(&self, terminating: &[SocketAddr]) {
        let ready = self.peers.iter().map(|peer| (peer.socket(), State::Ready));
        let ending = terminating.iter().map(|it| (*it, State::Terminating));
        let endpoints: Vec<_> = ready.chain(ending).collect();
        self.gateway.serve(&endpoints, self.attempts).await;
    }
}
