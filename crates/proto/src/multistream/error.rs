//! Negotiation errors.

use thiserror::Error;

use crate::framing::VarintError;

/// Reason for a failed negotiation.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NegotiationError {
    /// The length of a line is not a valid varint.
    #[error("invalid line length: {0}")]
    Length(#[from] VarintError),
    /// A line is longer than [`LINE_BYTES_MAX`](super::LINE_BYTES_MAX).
    #[error("line of {length} bytes exceeds limit of 1024")]
    LineTooLong {
        /// Length of the line.
        length: u64,
    },
    /// A line is empty or does not end in a newline.
    #[error("line without newline")]
    NoNewline,
    /// The first line is not `/multistream/1.0.0`.
    #[error("unknown version of multistream-select")]
    Version,
    /// The answer is a protocol that was not proposed.
    #[error("answer does not match the proposal")]
    UnexpectedAnswer,
    /// Every proposal was refused.
    #[error("every proposed protocol was refused")]
    Refused,
    /// More proposals than [`PROPOSALS_MAX`](super::PROPOSALS_MAX).
    #[error("more than 32 proposals")]
    TooManyProposals,
    /// More listings requested, in number or bytes, than are answered.
    #[error("more listings than allowed")]
    TooManyListings,
    /// The remote ended its half before agreement.
    #[error("ended during negotiation")]
    Ended,
}
