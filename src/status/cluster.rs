//! Writing to a cluster what is wanted and not there yet.
//!
//! One task plans and writes, several objects at once (`writes`). It sleeps until objects or findings change, a
//! write is due, or a while has passed; it plans anew at most five times a second, however much
//! changes. What was written is remembered until the watch shows it, so that nothing is written
//! twice; another party that undoes it over and over is answered ever more slowly (`memory`). A replica
//! that is not the leader any more ends what it has begun and forgets all of it: whoever leads next looks for itself.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::sync::watch::error::RecvError;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, warn};

use memory::Memory;
use policies::Policies;
use writes::{Write, Writes, Written};

use super::queue::{Bucket, Queue};
use super::wanted::{self, AddressChange, Notes};
use super::{Observed, Publish};
use crate::diagnose::judge::Judged;
use crate::report::ObjectRef;
use crate::stores::Source;
use crate::stores::writer::{EventRecord, WriteError, Writer};

mod memory;
mod policies;
mod writes;

/// The least time between two plans.
const PLAN: Duration = Duration::from_millis(200);

/// The longest time between two plans: Events that still hold have to be said again.
const IDLE: Duration = Duration::from_secs(5);

/// For a write that the server would refuse again.
const REFUSED: Duration = Duration::from_secs(60);

/// What is written, and how fast.
#[derive(Clone, Debug)]
pub struct Settings {
    /// As what policies are spoken of: no other installation may be called so.
    pub installation: String,
    /// Which addresses Ingresses get.
    pub publish: Publish,
    /// Whether addresses are written at all; Events are in any case.
    pub update_status: bool,
    /// Writes per second, in the long run.
    pub writes_per_second: u32,
    /// Writes at once.
    pub burst: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            installation: String::new(),
            publish: Publish::Nothing,
            update_status: true,
            writes_per_second: 20,
            burst: 100,
        }
    }
}

/// What there is to tell.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// Of what is served.
    pub observed: watch::Receiver<Option<Arc<Observed>>>,
    /// Of requests, and of other replicas; absent until whoever leads has looked.
    pub judged: watch::Receiver<Option<Arc<Judged>>>,
    /// The addresses of the nodes of replicas, where these are published.
    pub nodes: Option<watch::Receiver<Vec<IpAddr>>>,
}

impl Inputs {
    /// Waits for something else to tell.
    pub(super) async fn changed(&mut self) -> Result<(), RecvError> {
        let nodes = async {
            match &mut self.nodes {
                Some(nodes) => nodes.changed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = self.observed.changed() => changed,
            changed = self.judged.changed() => changed,
            changed = nodes => changed,
        }
    }
}

/// Writes while `leading`, until one of the channels or the source ends. Nothing is written before
/// the first observation.
pub async fn run(
    settings: Settings,
    mut source: Source,
    writer: Writer,
    mut inputs: Inputs,
    mut leading: watch::Receiver<bool>,
) {
    let mut reporter = Reporter::new(settings, source.clone(), writer);
    loop {
        if !*leading.borrow_and_update() {
            reporter.finish().await;
            reporter.forget();
            if leading.changed().await.is_err() {
                return;
            }
            continue;
        }
        let wake = reporter.wake(Instant::now());
        let ended = tokio::select! {
            biased;
            changed = leading.changed() => changed.is_err(),
            changed = inputs.changed() => {
                reporter.see(&mut inputs);
                changed.is_err()
            }
            changed = source.changed() => {
                reporter.stale = true;
                changed.is_err()
            }
            Some(written) = reporter.writes.next() => {
                reporter.settle(written);
                false
            }
            () = sleep_until(wake) => {
                if reporter.observed.is_none() || reporter.judged.is_none() {
                    reporter.see(&mut inputs);
                }
                reporter.act();
                false
            }
        };
        if ended {
            return;
        }
    }
}

/// What a write is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Topic {
    Addresses(ObjectRef),
    Policy(ObjectRef),
    Event(ObjectRef, &'static str),
}

impl Topic {
    /// Whether it says why something fails: that is wanted sooner than what follows from it.
    fn explains(&self) -> bool {
        matches!(self, Self::Policy(_) | Self::Event(..))
    }
}

/// An Event that was written.
struct Said {
    record: EventRecord,
    at: Instant,
}

struct Reporter {
    settings: Settings,
    source: Source,
    writer: Writer,
    bucket: Bucket,
    observed: Option<Arc<Observed>>,
    judged: Option<Arc<Judged>>,
    nodes: Vec<IpAddr>,
    /// Whether something may have changed since the last plan.
    stale: bool,
    planned: Option<Instant>,
    queue: Queue<Topic>,
    writes: Writes,
    addresses: BTreeMap<ObjectRef, AddressChange>,
    notes: Notes,
    written: Memory<AddressChange>,
    said: HashMap<(ObjectRef, &'static str), Said>,
    policies: Policies,
}

impl Reporter {
    fn new(settings: Settings, source: Source, writer: Writer) -> Self {
        let bucket = Bucket::new(settings.writes_per_second, settings.burst, Instant::now());
        Self {
            settings,
            source,
            writer,
            bucket,
            observed: None,
            judged: None,
            nodes: Vec::new(),
            stale: true,
            planned: None,
            queue: Queue::new(),
            writes: Writes::new(),
            addresses: BTreeMap::new(),
            notes: Notes::new(),
            written: Memory::new(),
            said: HashMap::new(),
            policies: Policies::new(),
        }
    }

    fn see(&mut self, inputs: &mut Inputs) {
        self.observed
            .clone_from(&inputs.observed.borrow_and_update());
        self.judged.clone_from(&inputs.judged.borrow_and_update());
        if let Some(nodes) = &mut inputs.nodes {
            self.nodes.clone_from(&nodes.borrow_and_update());
        }
        self.stale = true;
    }

    /// Waits for what is under way.
    async fn finish(&mut self) {
        while let Some(written) = self.writes.next().await {
            self.settle(written);
        }
    }

    fn forget(&mut self) {
        self.queue.set(BTreeMap::new());
        self.written.clear();
        self.said.clear();
        self.policies.forget();
        self.judged = None;
        self.stale = true;
    }

    /// When there is something to do.
    fn wake(&mut self, now: Instant) -> Instant {
        let pause = if self.stale { PLAN } else { IDLE };
        let plan = self.planned.map_or(now, |planned| planned + pause);
        let due = self.queue.next_due().filter(|_| self.writes.have_room());
        let write = due.map(|due| due.max(self.bucket.ready(now)));
        write.map_or(plan, |write| write.min(plan))
    }

    /// Plans or begins to write, whichever is due.
    fn act(&mut self) {
        let now = Instant::now();
        let pause = if self.stale { PLAN } else { IDLE };
        if self.planned.is_none_or(|planned| now >= planned + pause) {
            self.plan(now);
        } else if self.writes.have_room()
            && let Some(topic) = self.queue.next(now, Topic::explains)
            && self.bucket.take(now)
        {
            match self.wanted(&topic) {
                Some(write) => {
                    self.queue.begun(&topic);
                    self.writes.begin(write, &self.writer);
                }
                None => self.queue.done(&topic),
            }
        }
    }

    fn plan(&mut self, now: Instant) {
        self.planned = Some(now);
        self.stale = false;
        let (Some(observed), Some(judged)) = (self.observed.clone(), self.judged.clone()) else {
            return;
        };
        let mut necessary = BTreeMap::new();
        self.addresses = BTreeMap::new();
        if self.settings.update_status {
            let find = |namespace: &str, name: &str| self.source.service(namespace, name);
            let ours: BTreeSet<ObjectRef> = observed.ingresses.iter().cloned().collect();
            self.addresses = wanted::address_changes(
                (&ours, &judged),
                &self.source.ingresses(),
                wanted::addresses(&self.settings.publish, find, &self.nodes),
                self.writer.field_manager(),
            );
        }
        for (ingress, change) in &self.addresses {
            let due = self.written.due(ingress, change, now);
            necessary.insert(Topic::Addresses(ingress.clone()), due);
        }
        let addresses = &self.addresses;
        self.written.prune(|it| addresses.contains_key(it), now);
        let policies = self.policies.plan(
            (&observed.policies, &judged),
            &self.source.policies(),
            (&self.settings.installation, self.writer.field_manager()),
            now,
        );
        necessary.extend(
            policies
                .into_iter()
                .map(|(it, due)| (Topic::Policy(it), due)),
        );
        self.notes = wanted::notes(&observed.findings, &judged);
        self.said.retain(|key, _| self.notes.contains_key(key));
        for key in self.notes.keys() {
            let Some(record) = self.record(key) else {
                continue;
            };
            let said = self.said.get(key).filter(|said| said.record == record);
            let due = said.map_or(now, |said| said.at + EventRecord::REFRESH);
            if due <= now {
                necessary.insert(Topic::Event(key.0.clone(), key.1), due);
            }
        }
        self.queue.set(necessary);
    }

    /// The Event for a note; absent once its object is gone.
    fn record(&self, key: &(ObjectRef, &'static str)) -> Option<EventRecord> {
        Some(EventRecord {
            object: key.0.clone(),
            uid: self.source.identity(&key.0)?.uid,
            reason: key.1,
            message: self.notes.get(key)?.message.clone(),
            warns: self.notes.get(key)?.warns,
        })
    }

    /// The write that is wanted about this; absent once its object is gone.
    fn wanted(&self, topic: &Topic) -> Option<Write> {
        Some(match topic {
            Topic::Addresses(ingress) => {
                Write::Addresses(ingress.clone(), self.addresses.get(ingress)?.clone())
            }
            Topic::Policy(policy) => {
                let status = self.policies.wanted(policy)?.clone();
                Write::Policy(policy.clone(), Box::new(status))
            }
            Topic::Event(object, reason) => Write::Event(self.record(&(object.clone(), *reason))?),
        })
    }

    fn settle(&mut self, Written { write, result }: Written) {
        let now = Instant::now();
        let topic = write.topic();
        // Since it began, something else may have become wanted.
        self.stale = true;
        let Err(error) = result else {
            self.queue.done(&topic);
            return self.remember(write, now);
        };
        let at_least = match &error {
            WriteError::Gone => return self.queue.done(&topic),
            WriteError::Retry(_) => Duration::ZERO,
            WriteError::Forbidden { .. } | WriteError::Refused(_) => REFUSED,
        };
        let (Topic::Addresses(object) | Topic::Policy(object) | Topic::Event(object, _)) = &topic;
        warn!(
            %object,
            error = &error as &dyn std::error::Error,
            "the status could not be written; trying again later"
        );
        self.queue.failed(&topic, now, at_least);
    }

    /// This was written: the watch will show it.
    fn remember(&mut self, write: Write, now: Instant) {
        match write {
            Write::Addresses(ingress, change) => {
                debug!(%ingress, ?change, "addresses written");
                if self.written.remember(&ingress, change, now) {
                    warn!(%ingress, "somebody else keeps writing other addresses here: writing ours less often");
                }
            }
            Write::Policy(policy, status) => {
                debug!(%policy, "status written");
                self.policies.remember(&policy, &status, now);
            }
            Write::Event(record) => {
                let key = (record.object.clone(), record.reason);
                self.said.insert(key, Said { record, at: now });
            }
        }
    }
}

#[cfg(test)]
mod tests;
