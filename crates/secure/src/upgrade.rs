//! Connection upgrade: from raw bytes to a secured and multiplexed channel.
//!
//! ```text
//! security negotiation -> handshake -> secured -> muxer negotiation -> complete
//!                                      (pauses)
//! ```
//!
//! An [`Upgrade`] has no clock and no socket: the caller does I/O and enforces timeouts. It pauses
//! once the peer is authenticated, so that an unwanted peer costs no more than its handshake.

use std::mem;

use ferroswarm_proto::multistream::{Dialer, Mode, ProtocolId};

use self::negotiator::Negotiator;
use crate::error::UpgradeError;
use crate::handshake::{Handshake, HandshakeConfig, Role, Secured, Security};
use crate::identity::{PeerId, PublicKey};
use crate::record::{Channel, Opened};

mod negotiator;

/// Configuration of an upgrade.
#[derive(Debug)]
pub struct UpgradeConfig<'a> {
    /// The local role in the connection.
    pub role: Role,
    /// Security protocols, most preferred first.
    pub securities: &'a [Security],
    /// Method of agreement on one of them.
    pub agreement: Agreement,
    /// Its muxers are negotiated inside the channel if the handshake did not select one; without
    /// any, the upgrade is complete once secured.
    pub handshake: HandshakeConfig,
}

/// Method of agreement on a security protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// Agreed beforehand: the most preferred protocol.
    Assumed,
    /// By multistream-select; the dialer waits for the answer.
    Awaited,
    /// By multistream-select. A dialer with a single protocol sends its handshake right after the
    /// proposal, saving a round trip.
    Lazy,
}

/// The authenticated peer.
#[derive(Debug)]
pub struct SecuredPeer {
    /// Peer id, proven by the key.
    pub id: PeerId,
    /// Its identity key.
    pub key: PublicKey,
    /// Security protocol of the channel.
    pub security: Security,
    /// Muxer selected by the handshake, if any.
    pub muxer: Option<Box<str>>,
}

/// Result of a completed upgrade.
#[derive(Debug)]
pub struct Upgraded {
    /// The peer.
    pub peer: SecuredPeer,
    /// The channel; its next inbound record starts at the first unconsumed byte.
    pub channel: Channel,
    /// Plaintext after the muxer negotiation that arrived in the same record.
    pub plaintext: Vec<u8>,
}

/// Progress of an upgrade.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "moved a few times per connection, which boxing would not make cheaper"
)]
pub enum Progress {
    /// More input is needed, which the remote may send only after it receives the output.
    Waiting,
    /// The peer is authenticated. The next call starts the muxer negotiation.
    Secured,
    /// The upgrade is complete.
    Complete(Upgraded),
}

/// An upgrade in progress.
pub struct Upgrade {
    role: Role,
    config: HandshakeConfig,
    stage: Stage,
}

enum Stage {
    Choosing {
        negotiator: Negotiator,
        offered: Box<[Security]>,
    },
    Handshaking(Handshaking),
    Secured {
        peer: SecuredPeer,
        channel: Channel,
    },
    Muxing(Muxing),
    /// Complete or failed.
    Over,
}

struct Handshaking {
    security: Security,
    handshake: Handshake,
    /// A lazy proposal, whose answer precedes the handshake's bytes.
    unanswered: Option<Dialer>,
}

struct Muxing {
    peer: SecuredPeer,
    channel: Channel,
    negotiator: Negotiator,
    plaintext: Vec<u8>,
}

/// The next stage, and the progress to return to the caller; `None` continues.
type Step = Result<(Stage, Option<Progress>), UpgradeError>;

impl Upgrade {
    /// Starts an upgrade. A dialer has output immediately.
    ///
    /// # Errors
    /// If the handshake cannot start, or [`Agreement::Assumed`] has no protocol.
    pub fn new(config: UpgradeConfig<'_>) -> Result<Self, UpgradeError> {
        let UpgradeConfig {
            role,
            securities,
            agreement,
            handshake: config,
        } = config;
        let stage = match (agreement, role, securities) {
            (Agreement::Assumed, _, []) => return Err(UpgradeError::Unsupported),
            (Agreement::Assumed, _, &[first, ..]) => start_handshake(first, role, &config, None)?,
            (Agreement::Lazy, Role::Dialer, &[only]) => {
                let proposal = Dialer::new([protocol(only.protocol_id())].into(), Mode::Lazy);
                start_handshake(only, role, &config, Some(proposal))?
            }
            (Agreement::Awaited | Agreement::Lazy, _, offered) => {
                let names = offered.iter().map(|security| security.protocol_id());
                Stage::Choosing {
                    negotiator: Negotiator::new(role, names.map(protocol).collect()),
                    offered: offered.into(),
                }
            }
        };
        Ok(Self {
            role,
            config,
            stage,
        })
    }

    /// Consumes bytes from the front of `input` and appends bytes to send to `output`.
    ///
    /// Returns at each pause. Unconsumed bytes are for the next call or, once complete, the
    /// channel's.
    ///
    /// # Errors
    /// The reason why the connection must be closed; the output may still hold an alert for the
    /// remote. Errors and completion are final: later calls return [`UpgradeError::Over`].
    pub fn advance(
        &mut self,
        input: &mut Vec<u8>,
        output: &mut Vec<u8>,
    ) -> Result<Progress, UpgradeError> {
        loop {
            let (stage, progress) = match mem::replace(&mut self.stage, Stage::Over) {
                Stage::Choosing {
                    negotiator,
                    offered,
                } => self.choose(negotiator, offered, input, output),
                Stage::Handshaking(handshaking) => handshaking.advance(input, output),
                Stage::Secured { peer, channel } => Ok(self.resume(peer, channel)),
                Stage::Muxing(muxing) => muxing.advance(input, output),
                Stage::Over => Err(UpgradeError::Over),
            }?;
            self.stage = stage;
            if let Some(progress) = progress {
                return Ok(progress);
            }
        }
    }

    /// Returns the peer, from [`Progress::Secured`] until the upgrade is over.
    pub const fn peer(&self) -> Option<&SecuredPeer> {
        match &self.stage {
            Stage::Secured { peer, .. } | Stage::Muxing(Muxing { peer, .. }) => Some(peer),
            Stage::Choosing { .. } | Stage::Handshaking(_) | Stage::Over => None,
        }
    }

    /// Completes an upgrade that is [secured](Progress::Secured) and leaves the choice of a muxer to
    /// the caller, unless the handshake has selected one. `None` at any other moment.
    pub fn finish(self) -> Option<Upgraded> {
        match self.stage {
            Stage::Secured { peer, channel } => Some(Upgraded {
                peer,
                channel,
                plaintext: Vec::new(),
            }),
            Stage::Choosing { .. } | Stage::Handshaking(_) | Stage::Muxing(_) | Stage::Over => None,
        }
    }

    fn choose(
        &self,
        mut negotiator: Negotiator,
        offered: Box<[Security]>,
        input: &mut Vec<u8>,
        output: &mut Vec<u8>,
    ) -> Step {
        let consumed = negotiator.handle_input(input)?;
        input.drain(..consumed);
        negotiator.poll_output(output);
        let Some(chosen) = negotiator.outcome() else {
            let stage = Stage::Choosing {
                negotiator,
                offered,
            };
            return Ok((stage, Some(Progress::Waiting)));
        };
        let stage = start_handshake(offered[chosen], self.role, &self.config, None)?;
        Ok((stage, None))
    }

    /// Continues after the pause.
    fn resume(&self, peer: SecuredPeer, channel: Channel) -> (Stage, Option<Progress>) {
        let muxers = &self.config.muxers;
        if peer.muxer.is_some() || muxers.is_empty() {
            return complete(peer, channel, Vec::new());
        }
        let names = muxers.iter().map(|name| protocol(name));
        let muxing = Muxing {
            peer,
            channel,
            negotiator: Negotiator::new(self.role, names.collect()),
            plaintext: Vec::new(),
        };
        (Stage::Muxing(muxing), None)
    }
}

impl Handshaking {
    fn advance(mut self, input: &mut Vec<u8>, output: &mut Vec<u8>) -> Step {
        if let Some(proposal) = &mut self.unanswered {
            let consumed = proposal.handle_input(input)?;
            input.drain(..consumed);
            proposal.poll_output(output);
            if proposal.outcome().is_some() {
                self.unanswered = None;
            }
        }
        loop {
            let step = self.handshake.handle_input(input);
            self.handshake.poll_output(output);
            let consumed = step?;
            input.drain(..consumed);
            if self.handshake.is_complete() {
                return self.finish();
            }
            if consumed == 0 {
                return Ok((Stage::Handshaking(self), Some(Progress::Waiting)));
            }
        }
    }

    fn finish(self) -> Step {
        let Secured {
            peer_id,
            public_key,
            muxer,
            channel,
        } = self.handshake.finish()?;
        let peer = SecuredPeer {
            id: peer_id,
            key: public_key,
            security: self.security,
            muxer,
        };
        Ok((Stage::Secured { peer, channel }, Some(Progress::Secured)))
    }
}

impl Muxing {
    fn advance(mut self, input: &mut Vec<u8>, output: &mut Vec<u8>) -> Step {
        loop {
            self.seal_output(output)?;
            if self.negotiator.outcome().is_some() {
                return Ok(complete(self.peer, self.channel, self.plaintext));
            }
            match self.channel.open(input)? {
                Opened::Record {
                    plaintext,
                    consumed,
                } => {
                    self.plaintext.extend_from_slice(&input[plaintext]);
                    input.drain(..consumed);
                    let consumed = self.negotiator.handle_input(&self.plaintext)?;
                    self.plaintext.drain(..consumed);
                }
                Opened::Control { consumed } => {
                    input.drain(..consumed);
                    self.channel.poll_control(output)?;
                }
                Opened::Closed { .. } => return Err(UpgradeError::Ended),
                Opened::Incomplete { .. } => {
                    return Ok((Stage::Muxing(self), Some(Progress::Waiting)));
                }
            }
        }
    }

    /// Seals the negotiation's pending output in one record.
    fn seal_output(&mut self, output: &mut Vec<u8>) -> Result<(), UpgradeError> {
        let start = self.channel.begin(output);
        let body = output.len();
        self.negotiator.poll_output(output);
        if output.len() == body {
            output.truncate(start);
            return Ok(());
        }
        Ok(self.channel.seal(output, start)?)
    }
}

fn start_handshake(
    security: Security,
    role: Role,
    config: &HandshakeConfig,
    unanswered: Option<Dialer>,
) -> Result<Stage, UpgradeError> {
    Ok(Stage::Handshaking(Handshaking {
        security,
        handshake: Handshake::new(security, role, config)?,
        unanswered,
    }))
}

fn complete(peer: SecuredPeer, channel: Channel, plaintext: Vec<u8>) -> (Stage, Option<Progress>) {
    let upgraded = Upgraded {
        peer,
        channel,
        plaintext,
    };
    (Stage::Over, Some(Progress::Complete(upgraded)))
}

fn protocol(name: &str) -> ProtocolId {
    ProtocolId::new(name).expect("our own protocol names are valid")
}

#[cfg(test)]
mod tests;
