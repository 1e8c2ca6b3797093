//! What is nobody's failure behind the gateway.

use crate::failure::{Cause, ClientFault};

use super::situation::{Situation, capital};
use super::{Advice, Code};

pub(super) fn explain(it: &Situation<'_>) -> Advice {
    match it.problem.cause {
        Cause::NoRoute => Advice::of(
            Code::NoRule,
            "No rule of an Ingress of this class has this host and path. Add a rule or a default backend, \
             and check ingressClassName."
                .to_owned(),
        ),
        Cause::LoopDetected => {
            let sentence = format!(
                "Requests to {} come back to Bywash. Correct its external name or EndpointSlice, which \
                 lead to Bywash or to what stands before it, or the app that sends them on.",
                it.service()
            );
            Advice::of(Code::Loop, sentence)
        }
        Cause::Maintenance => Advice::of(
            Code::UnderMaintenance,
            "A GatewayPolicy has maintenance.enabled, so that requests are answered 503. Set it to false \
             when the work is done."
                .to_owned(),
        ),
        Cause::RetriedStatus(status) => {
            let seen = it.problem.samples.iter().find_map(|sample| sample.status);
            let status = seen.unwrap_or(status);
            let sentence = format!(
                "{} itself answered {status}, which retry.on lists. Bywash passes it on after the last \
                 attempt: see {}.",
                it.app(),
                it.log()
            );
            Advice::of(Code::AppAnswered, sentence)
        }
        cause => client(cause),
    }
}

fn client(cause: Cause) -> Advice {
    let sentence = match cause {
        Cause::BadRequest(ClientFault::BodyTimeout) => {
            "Clients stop sending inside their requests' bodies. Nothing is wrong behind Bywash: look at \
             the clients, or at a slow network before it."
                .to_owned()
        }
        Cause::CallerDeadline => {
            "Callers of gRPC allow less time than the answers take. Compare their deadlines with the durations \
             in the access log."
                .to_owned()
        }
        Cause::BadRequest(_) => format!(
            "Clients send what cannot be forwarded safely: {}. Correct the client.",
            cause.sentence()
        ),
        _ => "Clients leave before their answer is complete. If many do, the answers take longer than \
              they wait: compare the client's own time limit with the durations in the access log."
            .to_owned(),
    };
    Advice::of(Code::ClientsDoing, capital(&sentence))
}
