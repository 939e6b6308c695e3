//! The TLS 1.3 handshake: rustls over our buffers, one record at a time.

use rustls::InvalidMessage;
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::{Acceptor, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, InsufficientSizeError, UnbufferedConnectionCommon,
    UnbufferedStatus,
};

use super::certificate::{Certificate, CertificateError};
use super::records::{Kernel, TlsRecords};
use super::verifier::into_handshake_error;
use crate::error::HandshakeError;
use crate::handshake::{HandshakeConfig, Role, Secured, fill};
use crate::identity::{PeerId, PublicKey};
use crate::record::Channel;

/// One side of a TLS handshake.
pub(crate) struct TlsHandshake {
    config: HandshakeConfig,
    connection: Connection,
    /// Records that rustls still needs; the last one may be partial.
    inbound: Vec<u8>,
    /// Length of the complete records in `inbound`.
    whole: usize,
    outbound: Vec<u8>,
    peer: Option<Peer>,
}

enum Connection {
    /// A listener that has not received the ClientHello.
    AwaitHello,
    Dialer(UnbufferedClientConnection),
    Listener(UnbufferedServerConnection),
}

struct Peer {
    id: PeerId,
    public_key: PublicKey,
    muxer: Option<Box<str>>,
}

/// Next action requested by rustls.
enum Next {
    Continue,
    Input,
}

impl TlsHandshake {
    pub(crate) fn new(role: Role, config: &HandshakeConfig) -> Result<Self, HandshakeError> {
        let connection = match role {
            Role::Listener => Connection::AwaitHello,
            Role::Dialer => {
                let identity = &config.identity;
                let settings =
                    identity
                        .tls
                        .dialer(*identity.peer_id(), config.expected_peer, &config.muxers);
                // rustls requires a name. Addresses are not sent as SNI; our verifier ignores it.
                let name = ServerName::IpAddress(UNSPECIFIED.into());
                Connection::Dialer(UnbufferedClientConnection::new(settings, name)?)
            }
        };
        let mut handshake = Self {
            config: config.clone(),
            connection,
            inbound: Vec::new(),
            whole: 0,
            outbound: Vec::new(),
            peer: None,
        };
        if role == Role::Dialer {
            handshake.advance()?;
        }
        Ok(handshake)
    }

    pub(crate) fn handle_input(&mut self, input: &[u8]) -> Result<usize, HandshakeError> {
        let mut consumed = 0;
        // rustls gets one record at a time, so that it never consumes one of the channel's.
        while self.peer.is_none() && consumed < input.len() {
            let target = self.record_end();
            consumed += fill(&mut self.inbound, &input[consumed..], target);
            self.check_header()?;
            if self.has_whole_record() {
                // rustls tolerates a few of these alerts before the version is negotiated.
                if matches!(
                    self.inbound[self.whole..],
                    [CONTENT_TYPE_ALERT, _, _, 0, 2, _, ALERT_CLOSE_NOTIFY]
                ) {
                    return Err(HandshakeError::ClosedByPeer);
                }
                self.whole = self.inbound.len();
                self.advance()?;
            }
        }
        Ok(consumed)
    }

    pub(crate) fn poll_output(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.outbound);
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.peer.is_some() && self.outbound.is_empty()
    }

    pub(crate) fn finish(self) -> Result<Secured, HandshakeError> {
        let Some(peer) = self.peer else {
            return Err(HandshakeError::Incomplete);
        };
        let (secrets, kernel) = match self.connection {
            Connection::AwaitHello => return Err(HandshakeError::Incomplete),
            Connection::Dialer(connection) => {
                let (secrets, kernel) = connection.dangerous_into_kernel_connection()?;
                (secrets, Kernel::Dialer(kernel))
            }
            Connection::Listener(connection) => {
                let (secrets, kernel) = connection.dangerous_into_kernel_connection()?;
                (secrets, Kernel::Listener(kernel))
            }
        };
        Ok(Secured {
            peer_id: peer.id,
            public_key: peer.public_key,
            muxer: peer.muxer,
            channel: Channel::tls(Box::new(TlsRecords::new(secrets, kernel))),
        })
    }

    /// Returns the end of the record being received, or of its header while that is incomplete.
    fn record_end(&self) -> usize {
        let header = self.inbound[self.whole..].first_chunk::<HEADER_LENGTH>();
        let length = header.map_or(0, |header| {
            u16::from_be_bytes([header[3], header[4]]).into()
        });
        self.whole + HEADER_LENGTH + length
    }

    fn has_whole_record(&self) -> bool {
        self.inbound.len() >= self.whole + HEADER_LENGTH && self.inbound.len() == self.record_end()
    }

    /// Rejects invalid and overlong records as soon as their header arrives.
    fn check_header(&self) -> Result<(), HandshakeError> {
        match self.inbound.get(self.whole) {
            None | Some(CONTENT_TYPE_FIRST..=CONTENT_TYPE_LAST) => {}
            Some(_) => {
                let error = rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType);
                return Err(HandshakeError::Tls(error));
            }
        }
        let length = self.record_end();
        if length > PENDING_LENGTH_MAX {
            return Err(HandshakeError::MessageTooLong {
                length,
                limit: PENDING_LENGTH_MAX,
            });
        }
        Ok(())
    }

    /// Runs rustls until it needs another record or the handshake is over.
    fn advance(&mut self) -> Result<(), HandshakeError> {
        if matches!(self.connection, Connection::AwaitHello) {
            self.connection = Connection::Listener(self.accept()?);
        }
        let result = loop {
            match self.step() {
                Ok(Next::Continue) => {}
                Ok(Next::Input) => break self.complete(),
                Err(error) => break Err(error),
            }
        };
        if result.is_err() {
            self.take_alert();
        }
        result
    }

    /// Creates the listener's connection, with our muxers in the client's order of preference.
    ///
    /// rustls would use our order, which remains the fallback if the first record does not hold the
    /// whole ClientHello or the ClientHello is invalid; the connection then rejects the latter with
    /// an alert.
    fn accept(&self) -> Result<UnbufferedServerConnection, HandshakeError> {
        let ours = &self.config.muxers;
        let mut theirs = Vec::new();
        if ours.len() > 1 {
            let mut acceptor = Acceptor::default();
            let read = acceptor.read_tls(&mut &self.inbound[..self.whole]);
            if read.is_ok()
                && let Ok(Some(accepted)) = acceptor.accept()
                && let Some(alpn) = accepted.client_hello().alpn()
            {
                theirs.extend(alpn.map(<[u8]>::to_vec));
            }
        }
        let rank = |muxer: &str| {
            theirs
                .iter()
                .position(|name| name == muxer.as_bytes())
                .unwrap_or(theirs.len())
        };
        let mut muxers: Vec<&str> = ours.iter().map(|muxer| &**muxer).collect();
        muxers.sort_by_key(|muxer| rank(muxer));
        let settings = self.config.identity.tls.listener(muxers.into_iter());
        Ok(UnbufferedServerConnection::new(settings)?)
    }

    fn step(&mut self) -> Result<Next, HandshakeError> {
        let records = &mut self.inbound[..self.whole];
        let (discard, next) = match &mut self.connection {
            Connection::AwaitHello => return Ok(Next::Input),
            Connection::Dialer(connection) => {
                take_status(connection.process_tls_records(records), &mut self.outbound)
            }
            Connection::Listener(connection) => {
                take_status(connection.process_tls_records(records), &mut self.outbound)
            }
        };
        self.inbound.drain(..discard);
        self.whole -= discard;
        next
    }

    /// Records the verified peer if rustls has completed the handshake.
    fn complete(&mut self) -> Result<(), HandshakeError> {
        let outcome = match &self.connection {
            Connection::AwaitHello => None,
            Connection::Dialer(connection) => negotiated(connection)?,
            Connection::Listener(connection) => negotiated(connection)?,
        };
        if let Some((public_key, alpn)) = outcome {
            let id = PeerId::from_public_key(&public_key);
            self.config.check_peer(id)?;
            let muxer = self
                .config
                .muxers
                .iter()
                .find(|muxer| muxer.as_bytes() == alpn)
                .cloned();
            self.peer = Some(Peer {
                id,
                public_key,
                muxer,
            });
        }
        Ok(())
    }

    /// Collects the alert for the peer after an error.
    fn take_alert(&mut self) {
        // While rustls has output it does not read its input, which it must not process again.
        while self.has_output() && matches!(self.step(), Ok(Next::Continue)) {}
    }

    fn has_output(&self) -> bool {
        match &self.connection {
            Connection::AwaitHello => false,
            Connection::Dialer(connection) => connection.wants_write(),
            Connection::Listener(connection) => connection.wants_write(),
        }
    }
}

/// Handles the state of rustls; returns the bytes to discard and the next action.
fn take_status<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    outbound: &mut Vec<u8>,
) -> (usize, Result<Next, HandshakeError>) {
    let next = match status.state {
        Err(error) => Err(into_handshake_error(error)),
        Ok(ConnectionState::EncodeTlsData(mut state)) => {
            let start = outbound.len();
            let mut encode = |out: &mut Vec<u8>| state.encode(&mut out[start..]);
            match encode(outbound) {
                Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => {
                    outbound.resize(start + required_size, 0);
                    let written = encode(outbound).unwrap_or(0);
                    outbound.truncate(start + written);
                }
                Ok(_) | Err(EncodeError::AlreadyEncoded) => {}
            }
            Ok(Next::Continue)
        }
        Ok(ConnectionState::TransmitTlsData(state)) => {
            state.done();
            Ok(Next::Continue)
        }
        Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_)) => Ok(Next::Input),
        Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => {
            Err(HandshakeError::ClosedByPeer)
        }
        // Application data is not valid during the handshake, and 0-RTT is never accepted.
        Ok(_) => Err(HandshakeError::Tls(rustls::Error::HandshakeNotComplete)),
    };
    (status.discard, next)
}

/// Returns the verified peer's key and the application protocol once the handshake is over.
fn negotiated<Data>(
    connection: &UnbufferedConnectionCommon<Data>,
) -> Result<Option<(PublicKey, &[u8])>, HandshakeError> {
    if connection.is_handshaking() {
        return Ok(None);
    }
    let [certificate] = connection.peer_certificates().unwrap_or_default() else {
        return Err(CertificateError::ChainLength { count: 0 }.into());
    };
    let certificate = Certificate::parse(certificate)?;
    let alpn = connection
        .alpn_protocol()
        .ok_or(HandshakeError::MissingAlpn)?;
    Ok(Some((certificate.public_key, alpn)))
}

const UNSPECIFIED: core::net::Ipv4Addr = core::net::Ipv4Addr::UNSPECIFIED;
const HEADER_LENGTH: usize = 5;
/// From change_cipher_spec to application_data.
const CONTENT_TYPE_FIRST: u8 = 20;
const CONTENT_TYPE_LAST: u8 = 23;
const CONTENT_TYPE_ALERT: u8 = 21;
const ALERT_CLOSE_NOTIFY: u8 = 0;
/// Maximum bytes buffered for an incomplete message. The longest legitimate one, a certificate with
/// RSA keys of 8,192 bits, takes less than 6 KiB.
const PENDING_LENGTH_MAX: usize = 16_384;

#[cfg(test)]
mod tests;
