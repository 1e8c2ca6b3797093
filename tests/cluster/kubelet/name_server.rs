//! The names of Services, for Pods: `NAME.NAMESPACE.svc.cluster.local`, asked for at the node.
//!
//! A resolver goes through the search list of a Pod first, so that it matters that names which nobody has are
//! refused at once.

use std::net::Ipv4Addr;

use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use k8s_openapi::api::core::v1::Service;
use kube::{Api, Client};
use tokio::net::UdpSocket;

/// What every Service's name ends in.
pub(super) const DOMAIN: &str = "cluster.local";
const PORT: u16 = 53;
const TTL: u32 = 5;

/// Never ends by itself.
pub(super) async fn run(client: Client, address: Ipv4Addr) {
    let socket = UdpSocket::bind((address, PORT))
        .await
        .expect("a port for names");
    let mut buffer = [0; 4096];
    loop {
        let (length, from) = socket
            .recv_from(&mut buffer)
            .await
            .expect("a port for names");
        if let Ok(query) = Message::from_vec(&buffer[..length]) {
            let answer = answer(&client, &query).await.to_vec();
            let _ = socket.send_to(&answer.expect("an answer"), from).await;
        }
    }
}

async fn answer(client: &Client, query: &Message) -> Message {
    let mut answer = Message::response(query.metadata.id, OpCode::Query);
    answer.metadata.recursion_desired = query.metadata.recursion_desired;
    answer.metadata.recursion_available = true;
    for question in &query.queries {
        answer.add_query(question.clone());
        match address_of(client, question.name()).await {
            Some(address) if question.query_type() == RecordType::A => {
                let data = RData::A(address.into());
                answer.add_answer(Record::from_rdata(question.name().clone(), TTL, data));
            }
            // It has no other record.
            Some(_) => {}
            None => answer.metadata.response_code = ResponseCode::NXDomain,
        }
    }
    answer
}

async fn address_of(client: &Client, name: &Name) -> Option<Ipv4Addr> {
    let name = name.to_lowercase().to_ascii();
    let name = name
        .trim_end_matches('.')
        .strip_suffix(&format!(".svc.{DOMAIN}"))?;
    let (service, namespace) = name
        .split_once('.')
        .filter(|(_, rest)| !rest.contains('.'))?;
    let api = Api::<Service>::namespaced(client.clone(), namespace);
    let service = api.get_opt(service).await.ok().flatten()?;
    service.spec?.cluster_ip?.parse().ok()
}
