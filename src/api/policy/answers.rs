//! The sections about what clients are answered: error pages, and which answers are taken for valid.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::values::Quantity;

use super::upstream::ConfigMapReference;

/// What clients get with an error status (nginx: error_page). A page supplies a body, never the status.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ErrorPage {
    /// For which statuses: "503", or from one to another as "502-504". Default: all from 400 to 599.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 32),
        inner(
            length(max = 7),
            regex(pattern = r"^[45][0-9][0-9](-[45][0-9][0-9])?$")
        )
    )]
    pub statuses: Option<Vec<String>>,
    /// Whose errors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<PageSource>,
    /// A ConfigMap in the namespace of the policy, with the label bywash.dev/error-pages=true. Its keys
    /// say what a page is for: 502.html, 5xx.html, 502.json, 502.problem.json, 502.txt. Left out, and
    /// where it has no page for a status and a form: the built-in page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapReference>,
}

/// Whose errors: those that the Gateway makes itself, those of the Upstream (the application's own, whose
/// body is replaced; gRPC is left alone), or All. Default: Gateway.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[schemars(inline)]
pub enum PageSource {
    /// Those made here.
    Gateway,
    /// Those of the application.
    Upstream,
    /// Both.
    All,
}

/// Which answers of the application are not passed on as they are.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ResponseValidation {
    /// An answer whose Content-Type is application/json, or ends in +json, and whose body is no JSON text
    /// is a failed attempt, in the end a 502. Left out: not looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<JsonValidation>,
}

/// How JSON is looked at. An answer to HEAD, with Content-Encoding, or with status 204, 205, 206 or 304
/// never is.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct JsonValidation {
    /// So much of a body is held back until it is whole, as a quantity of bytes from 1 to 16Mi; a longer
    /// one is passed on unseen, and so is one for which no memory is left (64Mi in each replica).
    /// Default: 1Mi.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<Quantity>,
}
