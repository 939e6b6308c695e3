//! Requests to WebSocket listeners that are no upgrade, which JavaScript answers.

use ferroswarm_runtime::{HttpAnswer, HttpRequest};
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;

use crate::keys::{Failure, invalid};

/// A request.
#[napi(object, object_from_js = false)]
pub struct HttpRequestFacts {
    /// To be returned with the answer.
    pub ticket: f64,
    /// Its method.
    pub method: String,
    /// Its target.
    pub target: String,
    /// Names and values of its headers, in turn.
    pub headers: Vec<String>,
    /// Its body.
    pub body: Uint8Array,
    /// Local address.
    pub local_address: String,
    /// Remote address.
    pub remote_address: String,
    /// Whether it came over TLS.
    pub is_secure: bool,
}

/// An answer.
#[napi(object, object_to_js = false)]
pub struct HttpAnswerFacts {
    /// Its status, from 200 to 599.
    pub status: f64,
    /// The name of the status.
    pub reason: String,
    /// Names and values of its headers, in turn.
    pub headers: Vec<String>,
    /// Its body.
    pub body: Uint8Array,
}

/// Returns the facts of a request.
pub(crate) fn request_facts(ticket: u64, request: HttpRequest) -> HttpRequestFacts {
    let headers = request.head.headers.into_iter();
    HttpRequestFacts {
        // Tickets count from 0.
        ticket: ticket as f64,
        method: request.head.method.into_string(),
        target: request.head.target.into_string(),
        headers: headers
            .flat_map(|(name, value)| [name.into_string(), value.into_string()])
            .collect(),
        body: request.body.into(),
        local_address: request.local.to_string(),
        remote_address: request.remote.to_string(),
        is_secure: request.is_secure,
    }
}

impl TryFrom<HttpAnswerFacts> for HttpAnswer {
    type Error = Failure;

    fn try_from(facts: HttpAnswerFacts) -> Result<Self, Failure> {
        let (pairs, _) = facts.headers.as_chunks::<2>();
        let pairs = pairs.iter();
        let headers = pairs.map(|[name, value]| (name.as_str().into(), value.as_str().into()));
        // Out of range becomes 0, which is none.
        let status = facts.status as u16;
        Self::new(
            status,
            &facts.reason,
            headers.collect(),
            facts.body.to_vec(),
        )
        .ok_or_else(|| invalid("the answer is not one that can be sent"))
    }
}
