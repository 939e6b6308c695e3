//! The gate of a node: lists of networks, and the questions that JavaScript answers.

use std::sync::Arc;

use ferroswarm_runtime::resource::Network;
use ferroswarm_runtime::{Direction, Gate, Hook, LIST_MAX, List, Question, Security};
use napi_derive::napi;

use crate::keys::{Failure, invalid};
use crate::number::whole;
use crate::resources::host;
use crate::tables::numbers;

numbers! {
    /// The lists.
    LISTS:
    LIST_ALLOW = 0,
    LIST_DENY = 1,
}

/// Hooks by name, as their bits.
pub(crate) const HOOKS: &[(&str, u32)] = &[
    ("HOOK_ACCEPT", Hook::Accept as u32),
    ("HOOK_SECURED", Hook::Secured as u32),
    ("HOOK_UPGRADED", Hook::Upgraded as u32),
];

/// The largest number of a ticket: 2^53 - 1, up to which JavaScript's numbers are exact.
const TICKET_MAX: f64 = 9_007_199_254_740_991.0;

/// A question about a connection that is being set up.
#[napi(object)]
pub struct GateQuestion {
    /// To be returned with the answer.
    pub ticket: f64,
    /// Bit of the hook.
    pub hook: u32,
    /// Request of the dial or the upgrade; 0 for an accepted connection.
    pub request: u32,
    /// The listener of an accepted connection; 0 for others.
    pub listener: u32,
    /// 1 inbound, 2 outbound.
    pub direction: u32,
    /// Local address.
    pub local_address: String,
    /// Remote address.
    pub remote_address: String,
    /// The authenticated peer; empty before that.
    pub peer: String,
    /// Protocol id of the security protocol; empty before the upgrade is complete.
    pub security: String,
    /// Protocol id of the muxer; empty before the upgrade is complete.
    pub muxer: String,
}

/// The gate of one node; it may exist before the node, and after its close.
#[napi]
pub struct NativeGate {
    gate: Arc<Gate>,
}

#[napi]
impl NativeGate {
    /// Creates a gate without lists; `hooks` is the sum of the bits of those that JavaScript answers.
    #[napi(constructor, catch_unwind)]
    pub fn new(hooks: f64) -> Result<Self, Failure> {
        let gate = Arc::new(Gate::new(whole(hooks)?));
        Ok(Self { gate })
    }

    /// Returns the gate of the runtime.
    pub(crate) fn shared(&self) -> Arc<Gate> {
        Arc::clone(&self.gate)
    }

    /// Adds networks to a list, all of them or, beyond the maximum of the list, none; returns whether it did.
    #[napi(catch_unwind)]
    pub fn add(&self, list: f64, networks: Vec<String>) -> Result<bool, Failure> {
        if networks.len() > LIST_MAX {
            return Ok(false);
        }
        Ok(self.gate.add(list_of(list)?, &parsed(&networks)?))
    }

    /// Removes networks from a list; returns how many it had.
    #[napi(catch_unwind)]
    pub fn remove(&self, list: f64, networks: Vec<String>) -> Result<u32, Failure> {
        let removed = self.gate.remove(list_of(list)?, &parsed(&networks)?);
        // At most as many as a list may hold.
        Ok(removed as u32)
    }

    /// Returns the networks of a list; single addresses are without a prefix.
    #[napi(catch_unwind)]
    pub fn networks(&self, list: f64) -> Result<Vec<String>, Failure> {
        let networks = self.gate.networks(list_of(list)?).into_iter();
        Ok(networks.map(text).collect())
    }

    /// Returns the rule that refuses a remote, or null; its address is unknown if left out.
    #[napi(catch_unwind)]
    pub fn rule_of(&self, address: Option<String>) -> Result<Option<String>, Failure> {
        let host = address.as_deref().map(host).transpose()?;
        Ok(self.gate.rule_of(host).map(|rule| rule.to_string()))
    }

    /// Returns the questions that wait to be asked, oldest first; each is returned once.
    #[napi(catch_unwind)]
    pub fn take_questions(&self) -> Vec<GateQuestion> {
        let questions = self.gate.take_questions().into_iter();
        questions
            .map(|(ticket, it)| question(ticket, &it))
            .collect()
    }

    /// Answers a question: with the reason of a refusal, or nothing to allow. Returns false if its connection was given
    /// up.
    #[napi(catch_unwind)]
    pub fn answer(&self, ticket: f64, refusal: Option<String>) -> Result<bool, Failure> {
        let refusal = refusal.map(String::into_boxed_str);
        Ok(self.gate.answer(ticket_of(ticket)?, refusal))
    }
}

pub(crate) fn ticket_of(number: f64) -> Result<u64, Failure> {
    if (0.0..=TICKET_MAX).contains(&number) && number.fract() == 0.0 {
        Ok(number as u64)
    } else {
        Err(invalid("not a ticket"))
    }
}

fn question(ticket: u64, question: &Question) -> GateQuestion {
    let peer = question.peer.as_ref().map(ToString::to_string);
    GateQuestion {
        ticket: ticket as f64,
        hook: question.hook as u32,
        request: question.request,
        listener: question.listener,
        direction: match question.direction {
            Direction::Inbound => 1,
            Direction::Outbound => 2,
        },
        local_address: question.local.to_string(),
        remote_address: question.remote.to_string(),
        peer: peer.unwrap_or_default(),
        security: question
            .security
            .map_or("", Security::protocol_id)
            .to_owned(),
        muxer: question.muxer.as_deref().unwrap_or_default().to_owned(),
    }
}

fn list_of(number: f64) -> Result<List, Failure> {
    match whole(number)? {
        LIST_ALLOW => Ok(List::Allow),
        LIST_DENY => Ok(List::Deny),
        _ => Err(invalid("no such list")),
    }
}

fn parsed(networks: &[String]) -> Result<Vec<Network>, Failure> {
    let networks = networks.iter();
    networks.map(|it| it.parse().map_err(invalid)).collect()
}

fn text(network: Network) -> String {
    if network.is_host() {
        network.address().to_string()
    } else {
        network.to_string()
    }
}
