//! Whether what an endpoint answered is an answer: as far as its body is here with its head, and
//! where the policy asks for it, whether it is what it says.

use http::Response;
use http_body::Body;
use hyper::body::Incoming;

use crate::upstream::classify::{body_failure, body_hint, detail};

use super::super::response_body::Lease;
use super::super::validate::{self, AnswerBody, Limits};
use super::{Attempts, Miss};

impl Attempts<'_> {
    /// The answer, some of it perhaps held back until it was found valid. One that comes before the
    /// request is out is seldom what was asked for, and is not looked at.
    pub(super) async fn validated(
        &self,
        response: Response<Incoming>,
        lease: &Lease,
    ) -> Result<Response<AnswerBody>, Box<Miss>> {
        if lease.is_uploading() {
            return Ok(response.map(AnswerBody::from));
        }
        let most = self.policy.response_validation.json;
        let claims_json = |_: &usize| validate::claims_json(&response, &self.head.method);
        let Some(most) = most.filter(claims_json) else {
            return self.begun(response);
        };
        let status = response.status().as_u16();
        let limits = Limits {
            most,
            memory: self.validation_memory,
            read: self.policy.timeouts.read,
        };
        // On the heap, since few answers get here.
        let validated = Box::pin(validate::json(response, limits)).await;
        validated.map_err(|(cause, detail)| {
            Box::new(Miss {
                status: Some(status),
                detail,
                ..cause.into()
            })
        })
    }

    /// An answer whose body fails together with its head: nothing of it was forwarded yet, so that it
    /// is a failed attempt like any other.
    fn begun(&self, response: Response<Incoming>) -> Result<Response<AnswerBody>, Box<Miss>> {
        let (head, incoming) = response.into_parts();
        let announced = incoming.size_hint().exact();
        match AnswerBody::begun(incoming) {
            Ok(body) => Ok(Response::from_parts(head, body)),
            Err(error) => {
                let cause = self.client_fault().unwrap_or_else(|| body_failure(&error));
                Err(Box::new(Miss {
                    status: Some(head.status.as_u16()),
                    detail: Some(detail(&error)),
                    hint: body_hint(cause, 0, announced).map(Box::new),
                    ..cause.into()
                }))
            }
        }
    }
}
