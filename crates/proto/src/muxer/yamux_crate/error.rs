//! Errors that end a session of the crate.

/// Error that ends a session; it takes no more input.
#[derive(Copy, Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EndError {
    /// The crate received a frame that violates the protocol and tried to send a GoAway with this
    /// code.
    #[error("frame against the rules of the session (GoAway {code})")]
    Violation {
        /// 1 for a protocol error, 2 for an internal one.
        code: u32,
    },
    /// The crate could not decode a frame, or its payload is longer than 1 MiB.
    #[error("frame that cannot be decoded")]
    Decode,
}

/// GoAway code for a violation of yamux itself, from its specification.
const GOAWAY_PROTOCOL_ERROR: u32 = 1;

impl EndError {
    /// Code for the GoAway frame sent to the remote.
    pub const fn goaway_code(self) -> u32 {
        match self {
            Self::Violation { code } => code,
            Self::Decode => GOAWAY_PROTOCOL_ERROR,
        }
    }
}
