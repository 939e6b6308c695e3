//! The control plane: one synchronous method per command.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ferroswarm_runtime::{
    Attempt, AttemptUnderWay, AttemptsSoFar, CommandError, ConnectError, DialRequest, Direction,
    DuplexRequest, Handler, Multiaddr, Muxer, Node, OpenedScope, Others, Outcome, PeerId,
    PlannedAttempt, ProtocolTable, RecordKind, Role, Security, Stack, Stage, causes,
};
use napi::bindgen_prelude::{Either, Uint8Array};
use napi_derive::napi;

use crate::attached;
use crate::attachment::Attachment;
use crate::error_code::ErrorCode;
use crate::gate::{NativeGate, ticket_of};
use crate::http::{HttpAnswerFacts, HttpRequestFacts, request_facts};
use crate::keys::{Failure, failure, invalid};
use crate::number::{milliseconds, whole};
use crate::options::{
    DialOptions, NodeCertificate, NodeOptions, UpgradeOptions, securities, security,
};
use crate::resources::{
    NativeResources, RefusalFacts, bits, direction_of, host, refusal, scope_id,
};

/// One protocol that a node serves.
#[napi(object, object_to_js = false)]
pub struct HandlerEntry {
    /// Its number.
    pub protocol: f64,
    /// Maximum concurrent inbound streams of it per connection.
    pub inbound_max: f64,
    /// Number of the service that its streams are charged to; 0 for none.
    pub service: f64,
}

/// A failed attempt of a dial.
#[napi(object)]
pub struct AttemptResult {
    /// Index of the dial's entry.
    pub index: u32,
    /// `dial`, `security` or `muxer`.
    pub stage: String,
    /// An error code.
    pub code: u32,
    /// Reason, as one clause.
    pub detail: String,
    /// Duration.
    pub elapsed_ms: f64,
    /// The refusal of a limit of ours.
    pub refusal: Option<RefusalFacts>,
}

/// A dial attempt in progress.
#[napi(object)]
pub struct AttemptProgress {
    /// Index of the dial's entry.
    pub index: u32,
    /// `dial`, `security` or `muxer`.
    pub stage: String,
    /// Time since it started.
    pub elapsed_ms: f64,
}

/// Progress of a dial's attempts.
#[napi(object)]
pub struct AttemptsResult {
    /// Failed attempts not yet taken.
    pub failed: Vec<AttemptResult>,
    /// Attempts in progress.
    pub under_way: Vec<AttemptProgress>,
}

/// Result of a command; a code of 0 is success.
#[napi(object)]
#[derive(Default)]
pub struct CommandResult {
    /// An error code, or 0.
    pub code: u32,
    /// Reason, as one clause.
    pub detail: Option<String>,
    /// The listener that was bound.
    pub listener: Option<u32>,
    /// Its addresses.
    pub addresses: Option<Vec<String>>,
    /// Failed attempts of a dial not yet taken.
    pub attempts: Option<Vec<AttemptResult>>,
    /// The records that were found.
    pub records: Option<Vec<String>>,
    /// The number of texts left out of them.
    pub omitted: Option<u32>,
    /// Entries of a store.
    pub page: Option<Uint8Array>,
}

/// Immutable facts about a connection, in the order of `NativeConnectionFacts` in `ts/native/addon.ts`.
/// JavaScript retains them with the connection, so they consist of types that take little memory there:
/// strings and small integers. An array, as a property costs a string for its name too.
type ConnectionFacts = Vec<Either<String, u32>>;

/// A node. Methods that take a request id complete with a record, and a result to take.
#[napi]
pub struct NativeNode {
    node: Arc<Node>,
    attachment: Rc<Attachment>,
    /// The request whose completion stops the threads.
    closing: Cell<Option<u32>>,
}

#[napi]
impl NativeNode {
    /// Starts a node in the current environment. Without a gate, it refuses nobody.
    #[napi(constructor, catch_unwind)]
    pub fn new(options: NodeOptions, gate: Option<&NativeGate>) -> Result<Self, Failure> {
        let attachment = attached(options.attachment)?;
        let gate = gate.map_or_else(Arc::default, NativeGate::shared);
        let options = options.with_gate(gate)?;
        let hub = Arc::clone(attachment.environment.borrow().hub());
        let node = Node::start(attachment.next_node(), hub, options)
            .map_err(|error| failure(error.kind().into(), error))?;
        let node = Arc::new(node);
        attachment.keep(&node);
        Ok(Self {
            node,
            attachment,
            closing: Cell::new(None),
        })
    }

    /// Returns its number in `connectionOpened` records.
    #[napi(getter, catch_unwind)]
    pub fn id(&self) -> u32 {
        self.node.id()
    }

    /// Returns its peer id in base58btc.
    #[napi(getter, catch_unwind)]
    pub fn peer_id(&self) -> String {
        self.node.identity().peer_id().to_string()
    }

    /// Returns its public key as libp2p protobuf.
    #[napi(getter, catch_unwind)]
    pub fn public_key(&self) -> Uint8Array {
        self.node.identity().keypair().public().to_protobuf().into()
    }

    /// Replaces the table of protocols served; with `ask`, JavaScript is queried about any other.
    #[napi(catch_unwind)]
    pub fn set_handlers(&self, entries: Vec<HandlerEntry>, ask: bool) -> Result<(), Failure> {
        let mut table = ProtocolTable::default();
        for entry in entries {
            let protocol = whole(entry.protocol)?;
            let name = self.attachment.names.name(protocol);
            let name = name.ok_or_else(|| invalid("no such protocol"))?;
            let inbound_max = whole(entry.inbound_max)?;
            let handler = Handler {
                protocol,
                inbound_max,
                service: whole(entry.service)?,
            };
            table.insert(name, handler);
        }
        table.set_others(if ask { Others::Ask } else { Others::Refuse });
        self.node.handlers().set(table);
        Ok(())
    }

    /// Returns its resource accounting.
    #[napi(catch_unwind)]
    pub fn resources(&self) -> NativeResources {
        NativeResources::new(&self.node)
    }

    /// Returns the scope of a live connection or stream; null for a stale handle, and for a stream that is over.
    #[napi(catch_unwind)]
    pub fn scope_of(&self, handle: f64) -> Result<Option<f64>, Failure> {
        let scope = self
            .attachment
            .environment
            .borrow()
            .scope_of(whole(handle)?);
        Ok(scope.map(bits))
    }

    /// Returns what the transport of a connection that has just ended said of it: the reason of the remote's close frame,
    /// or the remote's violation; null if nothing.
    #[napi(catch_unwind)]
    pub fn end_text(&self, connection: f64) -> Result<Option<String>, Failure> {
        let environment = self.attachment.environment.borrow();
        Ok(environment.end_text(whole(connection)?))
    }

    /// Takes the refusal by which a stream has failed after its negotiation; without one, the refusal behind the
    /// last error of a call to open a stream.
    #[napi(catch_unwind)]
    pub fn take_refusal(&self, stream: Option<f64>) -> Result<Option<RefusalFacts>, Failure> {
        let environment = self.attachment.environment.borrow();
        let taken = match stream {
            Some(stream) => environment.take_refusal(whole(stream)?),
            None => environment.hub().take_refusal(),
        };
        Ok(taken.as_ref().map(refusal))
    }

    /// Sets whether every inbound stream is passed on without negotiation.
    #[napi(catch_unwind)]
    pub fn set_raw(&self, on: bool) {
        self.node.handlers().set_raw(on);
    }

    /// Replaces the certificates that WebSocket listeners present, from the next handshake on.
    #[napi(catch_unwind)]
    pub fn set_certificates(&self, certificates: Vec<NodeCertificate>) -> Result<(), Failure> {
        let pems: Vec<_> = certificates.into_iter().map(Into::into).collect();
        self.node.certificates().replace(&pems).map_err(invalid)
    }

    /// Returns the requests to WebSocket listeners that wait to be answered, oldest first; each is returned once.
    #[napi(catch_unwind)]
    pub fn take_requests(&self) -> Vec<HttpRequestFacts> {
        let requests = self.node.take_requests().into_iter();
        requests
            .map(|(ticket, request)| request_facts(ticket, request))
            .collect()
    }

    /// Answers a request; returns false if its connection was given up.
    #[napi(catch_unwind)]
    pub fn answer_request(&self, ticket: f64, answer: HttpAnswerFacts) -> Result<bool, Failure> {
        let ticket = ticket_of(ticket)?;
        Ok(self.node.answer_request(ticket, answer.try_into()?))
    }

    /// Binds a listener; with `reuse_port`, other processes may bind its port too.
    #[napi(catch_unwind)]
    pub fn listen(&self, request: f64, address: String, reuse_port: bool) -> Result<(), Failure> {
        let (request, address) = (whole(request)?, parse_address(&address)?);
        if reuse_port {
            self.node.listen_shared(request, address);
        } else {
            self.node.listen(request, address);
        }
        Ok(())
    }

    /// Closes a listener.
    #[napi(catch_unwind)]
    pub fn unlisten(&self, request: f64, listener: f64) -> Result<(), Failure> {
        self.node.unlisten(whole(request)?, whole(listener)?);
        Ok(())
    }

    /// Looks up the records of a name: `A`, `AAAA` or `TXT`.
    #[napi(catch_unwind)]
    pub fn resolve(&self, request: f64, name: String, kind: String) -> Result<(), Failure> {
        let kind = match kind.as_str() {
            "A" => RecordKind::A,
            "AAAA" => RecordKind::Aaaa,
            "TXT" => RecordKind::Txt,
            _ => return Err(invalid("the type of records is not one of A, AAAA, TXT")),
        };
        self.node.resolve(whole(request)?, name, kind);
        Ok(())
    }

    /// Dials one set of concrete addresses, each with the peer that the remote must be, or an empty string, and its times
    /// in milliseconds: delay, timeout, hold. Arrays, as a property costs a string for its name too.
    #[napi(catch_unwind)]
    pub fn dial(
        &self,
        request: f64,
        addresses: Vec<String>,
        peers: Vec<String>,
        times: Vec<f64>,
        parallel: f64,
        options: Option<DialOptions>,
    ) -> Result<(), Failure> {
        let (times, rest) = times.as_chunks::<3>();
        if (peers.len(), times.len(), rest) != (addresses.len(), addresses.len(), &[]) {
            return Err(invalid("expected a peer and three times for each address"));
        }
        let mut plan = addresses
            .iter()
            .zip(&peers)
            .zip(times)
            .map(|((address, peer), times)| planned_attempt(address, peer, *times))
            .collect::<Result<Vec<_>, _>>()?;
        let DialOptions {
            security,
            initiator,
            hosts,
        } = options.unwrap_or_default();
        for (attempt, host) in plan.iter_mut().zip(hosts.into_iter().flatten()) {
            attempt.host = Some(host.into_boxed_str()).filter(|host| !host.is_empty());
        }
        self.node.dial(
            whole(request)?,
            DialRequest {
                plan,
                identity: None,
                securities: securities(security.as_deref())?,
                parallel: whole(parallel)? as usize,
                role: if initiator == Some(false) {
                    Role::Listener
                } else {
                    Role::Dialer
                },
            },
        );
        Ok(())
    }

    /// Upgrades a duplex of the application; returns the handle of the pipe to and from which JavaScript carries its
    /// bytes.
    #[napi(catch_unwind)]
    pub fn upgrade(&self, request: f64, options: UpgradeOptions) -> Result<u32, Failure> {
        let request = whole(request)?;
        let endpoint = options.endpoint.as_deref().map(host).transpose()?;
        let direction = direction_of(options.direction)?;
        let peer = expected_peer(options.peer.as_deref())?;
        let stack = stack(&options)?;
        let opened = self.attachment.environment.borrow_mut().open_pipe();
        let (handle, pipe) = opened.map_err(|error| failure(error.into(), error))?;
        self.node.upgrade(
            request,
            DuplexRequest {
                pipe,
                direction,
                remote: known_address(&options.remote_address),
                local: known_address(&options.local_address),
                endpoint,
                scope: options.scope.map(|scope| OpenedScope {
                    id: scope_id(scope),
                    has_peer: options.is_charged_to_peer,
                }),
                peer,
                stack,
            },
        );
        Ok(handle)
    }

    /// Answers the question about an accepted connection: its upgrade becomes a command, with the result of a duplex's.
    #[napi(catch_unwind)]
    pub fn accept(&self, request: f64, ticket: f64) -> Result<(), Failure> {
        self.node.accept(whole(request)?, ticket_of(ticket)?);
        Ok(())
    }

    /// Returns the progress of a dial's attempts, until its result is taken.
    #[napi(catch_unwind)]
    pub fn take_attempts(&self, request: f64) -> Result<AttemptsResult, Failure> {
        let request = whole(request)?;
        let environment = self.attachment.environment.borrow();
        let reported = environment.attempts(request).map(Arc::clone);
        // JavaScript may call this before it has drained the record of the first failure.
        let attempts = reported.or_else(|| self.node.attempts(request));
        let so_far = attempts.map_or_else(AttemptsSoFar::default, |attempts| attempts.take());
        Ok(AttemptsResult {
            failed: so_far.failed.iter().map(attempt).collect(),
            under_way: so_far.under_way.iter().map(progress).collect(),
        })
    }

    /// Cancels a command.
    #[napi(catch_unwind)]
    pub fn cancel(&self, request: f64) -> Result<(), Failure> {
        self.node.cancel(whole(request)?);
        Ok(())
    }

    /// Returns the immutable facts about a connection.
    #[napi(
        catch_unwind,
        ts_return_type = "[string, string, string, string, number, string, string, string, number, number, number, number]"
    )]
    pub fn connection(&self, handle: f64) -> Result<ConnectionFacts, Failure> {
        let handle = whole(handle)?;
        let environment = self.attachment.environment.borrow();
        let connection = environment
            .connection(handle)
            .map_err(|error| failure(error.into(), error))?;
        let facts = connection.facts();
        let direction = match facts.direction {
            Direction::Inbound => 1,
            Direction::Outbound => 2,
        };
        Ok(vec![
            Either::A(facts.remote_peer.to_string()),
            // One character per byte: a typed array takes eight times the memory.
            Either::A(characters(&facts.remote_key.to_protobuf())),
            Either::A(facts.remote_address.to_string()),
            Either::A(facts.local_address.to_string()),
            Either::B(direction),
            Either::A(facts.security.map_or("", Security::protocol_id).to_owned()),
            Either::A(facts.muxer.map_or("", Muxer::protocol_id).to_owned()),
            Either::A(facts.muxer.map_or("", Muxer::name).to_owned()),
            Either::B(facts.early_muxer.into()),
            Either::B(in_microseconds(facts.stages.connect)),
            Either::B(in_microseconds(facts.stages.security)),
            Either::B(in_microseconds(facts.stages.muxer)),
        ])
    }

    /// Takes the result of a completed command; it can be taken once.
    #[napi(catch_unwind)]
    pub fn take_result(&self, request: f64) -> Result<CommandResult, Failure> {
        let request = whole(request)?;
        let taken = take_result(&self.attachment, request)?;
        if self.closing.get() == Some(request) {
            self.node.stop();
        }
        Ok(taken)
    }

    /// Stops accepting: new connections and inbound streams are refused.
    #[napi(catch_unwind)]
    pub fn stop_accepting(&self) {
        self.node.stop_accepting();
    }

    /// Completes when all written bytes and ends of streams have been sent.
    #[napi(catch_unwind)]
    pub fn drain(&self, request: f64, timeout_ms: f64) -> Result<(), Failure> {
        self.node.drain(whole(request)?, milliseconds(timeout_ms)?);
        Ok(())
    }

    /// Closes every connection, immediately once the timeout is over; its completion stops the threads.
    #[napi(catch_unwind)]
    pub fn close(&self, request: f64, timeout_ms: f64) -> Result<(), Failure> {
        let (request, timeout) = (whole(request)?, milliseconds(timeout_ms)?);
        self.closing.set(Some(request));
        self.node.close(request, timeout);
        Ok(())
    }
}

/// Takes the result of a completed command.
pub(crate) fn take_result(attachment: &Attachment, request: u32) -> Result<CommandResult, Failure> {
    let outcome = attachment.environment.borrow_mut().take_outcome(request);
    outcome.map(result).ok_or_else(|| invalid("no such result"))
}

fn parse_address(text: &str) -> Result<Multiaddr, Failure> {
    text.parse().map_err(|_| invalid("not a multiaddr"))
}

/// Parses the address of a duplex, which serves diagnostics: TypeScript knows more forms of addresses, and keeps them.
fn known_address(text: &str) -> Multiaddr {
    text.parse().unwrap_or_else(|_| Multiaddr::empty())
}

fn stack(options: &UpgradeOptions) -> Result<Stack, Failure> {
    if options.muxer_only == Some(true) {
        return Ok(Stack::MuxerOnly);
    }
    match (&options.agreed, &options.security) {
        (Some(agreed), None) => Ok(Stack::Agreed(security(agreed)?)),
        (None, offered) => Ok(Stack::Secured(securities(offered.as_deref())?)),
        (Some(_), Some(_)) => Err(invalid("security is either agreed on or offered")),
    }
}

fn expected_peer(text: Option<&str>) -> Result<Option<PeerId>, Failure> {
    let parse = |text: &str| text.parse::<PeerId>().map_err(invalid);
    text.map(parse).transpose()
}

fn planned_attempt(address: &str, peer: &str, times: [f64; 3]) -> Result<PlannedAttempt, Failure> {
    let [delay, timeout, hold] = times.map(milliseconds);
    Ok(PlannedAttempt {
        address: parse_address(address)?,
        peer: expected_peer(Some(peer).filter(|peer| !peer.is_empty()))?,
        host: None,
        delay: delay?,
        timeout: timeout?,
        hold: hold?,
    })
}

/// Maps each byte to the character with that code point.
fn characters(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

fn in_microseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

fn in_milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

fn result(outcome: Outcome) -> CommandResult {
    match outcome {
        Outcome::Done | Outcome::Dialled(_) => CommandResult::default(),
        Outcome::Listening {
            listener,
            addresses,
        } => CommandResult {
            listener: Some(listener),
            addresses: Some(addresses.iter().map(ToString::to_string).collect()),
            ..CommandResult::default()
        },
        Outcome::UpgradeFailed(failed) => CommandResult {
            code: ErrorCode::ERR_UPGRADE.word(),
            attempts: Some(vec![attempt(&failed)]),
            ..CommandResult::default()
        },
        Outcome::DialFailed(attempts) => CommandResult {
            code: ErrorCode::ERR_DIAL_ALL_FAILED.word(),
            attempts: Some(attempts.iter().map(attempt).collect()),
            ..CommandResult::default()
        },
        Outcome::Resolved(records) => CommandResult {
            records: Some(records.values),
            omitted: Some(records.omitted),
            ..CommandResult::default()
        },
        Outcome::Page(page) => CommandResult {
            page: Some(page.into()),
            ..CommandResult::default()
        },
        Outcome::Failed(error) => failed(&error),
    }
}

fn failed(error: &CommandError) -> CommandResult {
    CommandResult {
        code: ErrorCode::from(error).word(),
        detail: Some(error.to_string()),
        ..CommandResult::default()
    }
}

/// Converts an index into a JavaScript array, which has less than 2^32 elements.
fn index_word(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

fn stage_name(stage: Stage) -> String {
    let name = match stage {
        Stage::Connect => "connect",
        Stage::Psk => "psk",
        Stage::Security => "security",
        Stage::Muxer => "muxer",
    };
    name.to_owned()
}

fn progress(attempt: &AttemptUnderWay) -> AttemptProgress {
    AttemptProgress {
        index: index_word(attempt.index),
        stage: stage_name(attempt.stage),
        elapsed_ms: in_milliseconds(attempt.elapsed),
    }
}

fn attempt(attempt: &Attempt) -> AttemptResult {
    AttemptResult {
        index: index_word(attempt.index),
        stage: stage_name(attempt.stage),
        code: ErrorCode::from(&attempt.error).word(),
        detail: causes(&attempt.error),
        elapsed_ms: in_milliseconds(attempt.elapsed),
        refusal: match &attempt.error {
            ConnectError::Refused(by) => Some(refusal(by)),
            _ => None,
        },
    }
}
