//! Whether what an endpoint answered is what it says, where the policy asks for that.

use http::Response;
use hyper::body::Incoming;

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
    ) -> Result<Response<AnswerBody>, Miss> {
        let Some(most) = self.policy.response_validation.json else {
            return Ok(response.map(AnswerBody::Flowing));
        };
        if lease.is_uploading() || !validate::claims_json(&response, &self.head.method) {
            return Ok(response.map(AnswerBody::Flowing));
        }
        let status = response.status().as_u16();
        let limits = Limits {
            most,
            memory: self.validation_memory,
            read: self.policy.timeouts.read,
        };
        // On the heap, since few answers get here.
        let validated = Box::pin(validate::json(response, limits)).await;
        validated.map_err(|(cause, detail)| Miss {
            status: Some(status),
            detail,
            ..cause.into()
        })
    }
}
