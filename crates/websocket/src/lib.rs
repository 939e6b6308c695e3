//! WebSocket (RFC 6455) as a carrier of bytes: the upgrade of HTTP in both roles, and frames that
//! are decoded in place.
//!
//! Everything here is sans-io: bytes in, bytes out, no socket and no clock. Messages are of no
//! concern to libp2p: a [`Session`] yields the payload of data frames as one stream of bytes, piece
//! by piece as it arrives, and never gathers a frame. The one exception to sans-io is the
//! randomness of [`MaskKeys::random`] and [`UpgradeRequest::new`], from aws-lc-rs.
#![forbid(unsafe_code)]

pub use close::Close;
pub use error::{FrameError, RandomnessError, RequestError, ResponseError, SendError};
pub use frame::{FRAME_BYTES_MAX, HEADER_BYTES_MAX};
pub use mask::MaskKeys;
pub use session::{Received, Session};
pub use upgrade::{
    ANSWER_BODY_BYTES_MAX, Answer, CONTINUE, HEAD_BYTES_MAX, HEADERS_MAX, PlainRequest,
    REQUEST_BODY_BYTES_MAX, Request, RequestKind, RequestReader, Status, UpgradeRequest,
    append_answer, append_refusal, append_switch,
};

mod close;
mod control;
mod decoder;
mod error;
mod frame;
mod mask;
mod session;
mod upgrade;

/// Our role in the upgrade, which decides who masks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// RFC 6455's client: it masks what it sends.
    Dialer,
    /// RFC 6455's server.
    Listener,
}
