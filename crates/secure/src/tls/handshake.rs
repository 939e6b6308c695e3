//! The TLS 1.3 handshake: rustls over buffers of ours, one record at a time.

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
use super::verifier::reason;
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
    /// Length of the whole records in `inbound`.
    whole: usize,
    outbound: Vec<u8>,
    peer: Option<Peer>,
}

enum Connection {
    /// A listener that has not seen the client's preferences.
    Unmet,
    Dialer(UnbufferedClientConnection),
    Listener(UnbufferedServerConnection),
}

struct Peer {
    id: PeerId,
    public_key: PublicKey,
    muxer: Option<Box<str>>,
}

/// What rustls wants next.
enum Next {
    Continue,
    Input,
}

impl TlsHandshake {
    pub(crate) fn new(role: Role, config: &HandshakeConfig) -> Result<Self, HandshakeError> {
        let connection = match role {
            Role::Listener => Connection::Unmet,
            Role::Dialer => {
                let identity = &config.identity;
                let settings =
                    identity
                        .tls
                        .dialer(*identity.peer_id(), config.expected_peer, &config.muxers);
                // rustls wants a name; for an address it sends no SNI, and our verifier ignores it.
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
        // rustls gets record after record, so that it never swallows one that belongs to the channel.
        while self.peer.is_none() && consumed < input.len() {
            let target = self.record_end();
            consumed += fill(&mut self.inbound, &input[consumed..], target);
            self.check_header()?;
            if self.has_whole_record() {
                // rustls lets a few of them pass before it knows the version.
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
            Connection::Unmet => return Err(HandshakeError::Incomplete),
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

    /// End of the record being received, or of its header while that is not there.
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

    /// Refuses what is no record, or too long, as soon as its header shows it.
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

    /// Lets rustls work until it needs another record or the handshake is over.
    fn advance(&mut self) -> Result<(), HandshakeError> {
        if matches!(self.connection, Connection::Unmet) {
            self.connection = Connection::Listener(self.meet()?);
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

    /// Makes the listener's connection, with our muxers in the order that the client prefers.
    ///
    /// rustls would go by our order. A client whose first record does not hold its whole hello gets
    /// that; so does one whose hello is refused, by the connection itself and with an alert.
    fn meet(&self) -> Result<UnbufferedServerConnection, HandshakeError> {
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
            Connection::Unmet => return Ok(Next::Input),
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

    /// Takes over when rustls has nothing left to do for the handshake.
    fn complete(&mut self) -> Result<(), HandshakeError> {
        let facts = match &self.connection {
            Connection::Unmet => None,
            Connection::Dialer(connection) => negotiated(connection)?,
            Connection::Listener(connection) => negotiated(connection)?,
        };
        if let Some((public_key, alpn)) = facts {
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

    /// After an error: collects the alert that tells the peer.
    fn take_alert(&mut self) {
        // As long as rustls has something to send it does not look at its input, which it must not
        // see again.
        while self.has_output() && matches!(self.step(), Ok(Next::Continue)) {}
    }

    fn has_output(&self) -> bool {
        match &self.connection {
            Connection::Unmet => false,
            Connection::Dialer(connection) => connection.wants_write(),
            Connection::Listener(connection) => connection.wants_write(),
        }
    }
}

/// Discards, and what to do next, by the state rustls is in.
fn take_status<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    outbound: &mut Vec<u8>,
) -> (usize, Result<Next, HandshakeError>) {
    let next = match status.state {
        Err(error) => Err(reason(error)),
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
        // Application data cannot come before the handshake is over, and 0-RTT is never accepted.
        Ok(_) => Err(HandshakeError::Tls(rustls::Error::HandshakeNotComplete)),
    };
    (status.discard, next)
}

/// The verified peer's key and the application protocol, once the handshake is over.
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
/// Most bytes held for a message that is not there in full. The longest honest one, a certificate
/// with RSA keys of 8,192 bits, takes less than 6 KiB.
const PENDING_LENGTH_MAX: usize = 16_384;

#[cfg(test)]
mod tests;
