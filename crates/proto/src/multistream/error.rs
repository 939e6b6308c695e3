//! Why a negotiation failed.

use thiserror::Error;

use crate::framing::VarintError;

/// Why a negotiation failed.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NegotiationError {
    /// A line's length is no varint.
    #[error("length of a line: {0}")]
    Length(#[from] VarintError),
    /// A line is longer than [`LINE_BYTES_MAX`](super::LINE_BYTES_MAX).
    #[error("line of {length} bytes exceeds limit of 1024")]
    LineTooLong {
        /// Its length.
        length: u64,
    },
    /// A line is empty or does not end in a newline.
    #[error("line without newline")]
    NoNewline,
    /// The first line is not `/multistream/1.0.0`.
    #[error("unknown version of multistream-select")]
    Version,
    /// The answer is a protocol that was not proposed.
    #[error("answer to another proposal")]
    UnexpectedAnswer,
    /// Every proposal was refused.
    #[error("every proposed protocol was refused")]
    Refused,
    /// More proposals than [`PROPOSALS_MAX`](super::PROPOSALS_MAX).
    #[error("more than 32 proposals")]
    TooManyProposals,
    /// More was asked for than is worth answering.
    #[error("more listings than allowed")]
    TooManyListings,
    /// The remote ended in the middle.
    #[error("ended during negotiation")]
    Ended,
}
