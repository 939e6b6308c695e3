//! Why connections end, and the codes with which they and their streams do.

use quinn_proto::TransportErrorCode as Code;
use quinn_proto::{ConnectionError, VarInt};

/// Code of libp2p for one that does not fit 32 bits.
const CODE_OUT_OF_RANGE: u32 = 0x1009;

/// Reason for the end of a connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// We have closed it.
    #[error("closed here")]
    Local,
    /// The remote has closed it with this code of libp2p.
    #[error("closed by the remote with code {0}")]
    Remote(u32),
    /// The remote has been silent for too long.
    #[error("the remote is silent")]
    TimedOut,
    /// The remote has lost its state, or was restarted.
    #[error("the remote does not know the connection")]
    Reset,
    /// The remote has no room for a connection, or refuses it.
    #[error("the remote refuses the connection")]
    Refused,
    /// The remote has failed the TLS handshake with this alert.
    #[error("the tls handshake failed with alert {0}")]
    Alert(u8),
    /// The remote supports no version of QUIC that we support.
    #[error("the remote does not speak quic version 1")]
    Version,
    /// One side has broken the protocol, or we have failed the TLS handshake.
    #[error("{0}")]
    Protocol(Box<str>),
}

/// Returns a code of the wire, which may have 62 bits, as libp2p's.
pub(crate) fn code_of(code: VarInt) -> u32 {
    u32::try_from(code.into_inner()).unwrap_or(CODE_OUT_OF_RANGE)
}

/// TLS alerts are codes of their own: the alert is the low byte (RFC 9001, section 4.8).
const ALERTS: u64 = 0x100;

impl From<ConnectionError> for CloseReason {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::LocallyClosed => Self::Local,
            ConnectionError::ApplicationClosed(close) => Self::Remote(code_of(close.error_code)),
            ConnectionError::TimedOut => Self::TimedOut,
            ConnectionError::Reset => Self::Reset,
            ConnectionError::VersionMismatch => Self::Version,
            ConnectionError::CidsExhausted => Self::Refused,
            ConnectionError::TransportError(error) => Self::Protocol(error.to_string().into()),
            ConnectionError::ConnectionClosed(close) => match close.error_code {
                Code::CONNECTION_REFUSED => Self::Refused,
                // Of an application that closes during the handshake (RFC 9000, section 10.2.3).
                Code::APPLICATION_ERROR | Code::NO_ERROR => Self::Remote(0),
                code if u64::from(code) & !0xff == ALERTS => {
                    Self::Alert((u64::from(code) & 0xff) as u8)
                }
                _ => Self::Protocol(close.to_string().into()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_of_more_than_32_bits_is_reported_as_out_of_range() {
        let code = VarInt::from_u64(1 << 40).expect("62 bits");
        assert_eq!(code_of(code), CODE_OUT_OF_RANGE);
        assert_eq!(code_of(VarInt::from_u32(u32::MAX)), u32::MAX);
    }
}
