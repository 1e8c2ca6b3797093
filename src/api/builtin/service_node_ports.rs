//! The node ports of a Service: which of them it cannot have.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::ServicePort;

use super::service::{Written, protocol};
use super::{Faults, items};

/// A number that is another port's too, and where in the list it is refused.
struct Taken {
    at: usize,
    number: i32,
}

pub(super) fn check(service: &Written<'_>, faults: &mut Faults) {
    let ports = items(service.spec.ports.as_ref());
    let kind = service.kind();
    let numbers = ports.iter().map(own).enumerate();
    for (at, _) in numbers.filter(|(_, own)| own.is_some() && kind == "ClusterIP") {
        let message = "a Service of type ClusterIP has none: remove it, or write the type NodePort";
        faults.refuse_at(format!("ports/{at}/nodePort"), message);
    }
    let is_given_to_all = match kind {
        "LoadBalancer" => service.spec.allocate_load_balancer_node_ports != Some(false),
        _ => true,
    };
    let taken = match kind {
        "LoadBalancer" | "NodePort" => allocated(ports, is_given_to_all).err(),
        _ => None,
    };
    let taken = taken.map_or_else(|| repeated(ports), |first| vec![first]);
    for Taken { at, number } in taken {
        let message = format!("{number} is another port's too: remove it from one of them");
        faults.refuse_at(format!("ports/{at}/nodePort"), message);
    }
}

/// Gives each port its node port, in order: the same one to all of the same number (they differ by
/// protocol), and that is what one of them asks for.
///
/// # Errors
/// With the first that is taken: at it, a server ends.
fn allocated(ports: &[ServicePort], is_given_to_all: bool) -> Result<(), Taken> {
    let mut given: BTreeMap<i32, Option<i32>> = BTreeMap::new();
    let mut taken = BTreeSet::new();
    for (at, port) in ports.iter().enumerate() {
        let own = own(port);
        if own.is_none() && !is_given_to_all {
            continue;
        }
        let further = match given.get(&port.port) {
            Some(first) => own.filter(|_| own != *first),
            None => {
                let same = ports.iter().filter(|it| it.port == port.port);
                let first = same.filter_map(self::own).next();
                given.insert(port.port, first);
                first
            }
        };
        if let Some(number) = further.filter(|number| !taken.insert(*number)) {
            return Err(Taken { at, number });
        }
    }
    Ok(())
}

/// Numbers that a port of the same protocol has already.
fn repeated(ports: &[ServicePort]) -> Vec<Taken> {
    let mut known = BTreeSet::new();
    let numbers = ports.iter().enumerate();
    let numbers = numbers.filter_map(|(at, port)| Some((at, port, own(port)?)));
    let again = numbers.filter(|(_, port, number)| !known.insert((protocol(port), *number)));
    again.map(|(at, _, number)| Taken { at, number }).collect()
}

/// What is written; 0 is nothing.
fn own(port: &ServicePort) -> Option<i32> {
    port.node_port.filter(|number| *number != 0)
}
