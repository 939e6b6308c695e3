//! What both ends say before the first stream: from raw bytes to a secured and multiplexed channel.
//!
//! ```text
//! security negotiation -> handshake -> secured -> muxer negotiation -> complete
//!                                      (pauses)
//! ```
//!
//! An [`Upgrade`] has no clock and no socket: whoever drives it reads, sends and measures. It pauses as soon
//! as the peer is proven, so that a peer that is not wanted costs no more than its handshake.

use std::mem;

use ferroswarm_proto::multistream::{Dialer, Mode, ProtocolId};

use self::negotiator::Negotiator;
use crate::error::UpgradeError;
use crate::handshake::{Handshake, HandshakeConfig, Role, Secured, Security};
use crate::identity::{PeerId, PublicKey};
use crate::record::{Channel, Opened};

mod negotiator;

/// What an upgrade has to know.
#[derive(Debug)]
pub struct UpgradeConfig<'a> {
    /// Which end of the connection this is.
    pub role: Role,
    /// Security protocols, most preferred first.
    pub securities: &'a [Security],
    /// How the ends agree on one of them.
    pub agreement: Agreement,
    /// Its muxers are negotiated inside the channel where the handshake has not settled one; without any,
    /// the upgrade is complete once it is secured.
    pub handshake: HandshakeConfig,
}

/// How the ends agree on a security protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// They have agreed before, on the most preferred one.
    Assumed,
    /// By multistream-select, of which the dialer awaits the answer.
    Awaited,
    /// By multistream-select. A dialer with one protocol alone begins the handshake behind its proposal: a
    /// round trip less.
    Lazy,
}

/// Who is at the other end.
#[derive(Debug)]
pub struct SecuredPeer {
    /// Proven to hold the key.
    pub id: PeerId,
    /// Its identity key.
    pub key: PublicKey,
    /// What secures the channel to it.
    pub security: Security,
    /// The muxer that the handshake has settled.
    pub muxer: Option<Box<str>>,
}

/// What an upgrade leaves.
#[derive(Debug)]
pub struct Upgraded {
    /// The peer.
    pub peer: SecuredPeer,
    /// The channel; its next record begins with the first byte that was not consumed.
    pub channel: Channel,
    /// Bytes behind the muxer's negotiation that came in one record with it.
    pub plaintext: Vec<u8>,
}

/// How far an upgrade has come.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "it is moved a few times per connection, which a box would not make cheaper"
)]
pub enum Progress {
    /// It can go on when there is more input, for which the remote may have to see the output first.
    Waiting,
    /// The peer is proven. The muxer's negotiation begins with the next call.
    Secured,
    /// It is over.
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
    /// A lazy proposal, the answer to which comes before anything of the handshake.
    unanswered: Option<Dialer>,
}

struct Muxing {
    peer: SecuredPeer,
    channel: Channel,
    negotiator: Negotiator,
    plaintext: Vec<u8>,
}

/// The stage that follows, and what the caller is told; nothing while there is more to do.
type Step = Result<(Stage, Option<Progress>), UpgradeError>;

impl Upgrade {
    /// Starts an upgrade. A dialer has output at once.
    ///
    /// # Errors
    /// If the handshake cannot begin, or there is nothing to agree on.
    pub fn new(config: UpgradeConfig<'_>) -> Result<Self, UpgradeError> {
        let UpgradeConfig {
            role,
            securities,
            agreement,
            handshake: config,
        } = config;
        let stage = match (agreement, role, securities) {
            (Agreement::Assumed, _, []) => return Err(UpgradeError::Unsupported),
            (Agreement::Assumed, _, &[first, ..]) => shake_hands(first, role, &config, None)?,
            (Agreement::Lazy, Role::Dialer, &[only]) => {
                let proposal = Dialer::new([protocol(only.protocol_id())].into(), Mode::Lazy);
                shake_hands(only, role, &config, Some(proposal))?
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

    /// Takes what it understands off the front of `input` and appends what is to be sent to `output`.
    ///
    /// It returns at each pause; bytes that it leaves wait for the next call or, once it is complete, are
    /// the channel's.
    ///
    /// # Errors
    /// Why the connection has to end; the output may be an alert for the remote even so. Every error is
    /// final, and so is completion.
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

    /// Who is at the other end, from [`Progress::Secured`] until the upgrade is over.
    pub const fn peer(&self) -> Option<&SecuredPeer> {
        match &self.stage {
            Stage::Secured { peer, .. } | Stage::Muxing(Muxing { peer, .. }) => Some(peer),
            Stage::Choosing { .. } | Stage::Handshaking(_) | Stage::Over => None,
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
        let stage = shake_hands(offered[chosen], self.role, &self.config, None)?;
        Ok((stage, None))
    }

    /// Goes on behind the pause.
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

    /// Seals what the negotiation has to say, in one record.
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

fn shake_hands(
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
