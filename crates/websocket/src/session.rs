//! A WebSocket connection after its upgrade: a stream of bytes each way, and the control frames
//! between them.

use std::ops::Range;

use crate::Role;
use crate::close::{self, Close};
use crate::control::ControlPayload;
use crate::decoder::{Control, Decoder, Piece};
use crate::error::{FrameError, RandomnessError, SendError};
use crate::frame::{FRAME_BYTES_MAX, Header, Opcode};
use crate::mask::{self, MaskKeys};

/// A WebSocket connection after its upgrade.
///
/// It answers pings and close frames: [`poll_output`](Self::poll_output) has the answers. Of several
/// pings only the latest is answered, as RFC 6455 permits, so that a remote cannot make us keep or
/// send more than one pong per output.
pub struct Session {
    /// `None` for a listener, which does not mask.
    keys: Option<MaskKeys>,
    decoder: Decoder,
    pong: Option<ControlPayload>,
    remote_close: Option<Close>,
    local_close: LocalClose,
    failure: Option<FrameError>,
}

/// Our close frame.
enum LocalClose {
    None,
    /// To be sent, with this code.
    Pending(Option<u16>),
    Sent,
}

/// Result of input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// Bytes of the stream.
    Payload {
        /// Their range in the input, unmasked in place; never empty.
        payload: Range<usize>,
        /// Input up to their end; the rest must be passed again.
        consumed: usize,
    },
    /// All input is consumed and has no more of the stream.
    Incomplete,
    /// The remote has sent its close frame. What follows is ignored.
    Closed,
}

impl Session {
    /// Creates the session of a dialer, which masks by `keys`.
    pub const fn dialer(keys: MaskKeys) -> Self {
        Self::new(Some(keys), Role::Listener)
    }

    /// Creates the session of a listener.
    pub const fn listener() -> Self {
        Self::new(None, Role::Dialer)
    }

    const fn new(keys: Option<MaskKeys>, remote: Role) -> Self {
        Self {
            keys,
            decoder: Decoder::new(remote),
            pong: None,
            remote_close: None,
            local_close: LocalClose::None,
            failure: None,
        }
    }

    /// Decodes the front of `input` in place.
    ///
    /// # Errors
    /// The remote has violated RFC 6455. Errors are final; the output then has the close frame that
    /// says so.
    pub fn handle_input(&mut self, input: &mut [u8]) -> Result<Received, FrameError> {
        if let Some(error) = self.failure {
            return Err(error);
        }
        self.decode(input).inspect_err(|error| {
            self.failure = Some(*error);
            self.close_with(Some(error.close_code()));
        })
    }

    fn decode(&mut self, input: &mut [u8]) -> Result<Received, FrameError> {
        let mut at = 0;
        while self.remote_close.is_none() {
            let Some((piece, consumed)) = self.decoder.decode(&mut input[at..])? else {
                return Ok(Received::Incomplete);
            };
            let start = at;
            at += consumed;
            match piece {
                Piece::Payload(payload) => {
                    return Ok(Received::Payload {
                        payload: start + payload.start..start + payload.end,
                        consumed: at,
                    });
                }
                Piece::Control(Control::Ping, payload) => self.pong = Some(payload),
                Piece::Control(Control::Pong, _) => {}
                Piece::Control(Control::Close, payload) => {
                    let close = Close::decode(payload.as_ref())?;
                    self.close_with(close.echo());
                    self.remote_close = Some(close);
                }
            }
        }
        Ok(Received::Closed)
    }

    /// Returns whether [`poll_output`](Self::poll_output) has a frame.
    pub const fn has_output(&self) -> bool {
        match self.local_close {
            LocalClose::None => self.pong.is_some(),
            LocalClose::Pending(_) => true,
            LocalClose::Sent => false,
        }
    }

    /// Appends pending control frames to `out`.
    ///
    /// # Errors
    /// There is no mask key.
    pub fn poll_output(&mut self, out: &mut Vec<u8>) -> Result<(), RandomnessError> {
        if matches!(self.local_close, LocalClose::Sent) {
            return Ok(());
        }
        if let Some(payload) = self.pong.take() {
            self.append(Opcode::Pong, payload.as_ref(), out)?;
        }
        if let LocalClose::Pending(code) = self.local_close {
            let code = code.map(u16::to_be_bytes);
            self.append(
                Opcode::Close,
                code.as_ref().map_or(&[], |code| &code[..]),
                out,
            )?;
            self.local_close = LocalClose::Sent;
        }
        Ok(())
    }

    /// Appends `payload` to `out` in one frame; nothing if it is empty.
    ///
    /// # Errors
    /// The connection is closing, the payload exceeds [`FRAME_BYTES_MAX`], or there is no mask key.
    pub fn send(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), SendError> {
        self.check_send(payload.len())?;
        if !payload.is_empty() {
            self.append(Opcode::Binary, payload, out)?;
        }
        Ok(())
    }

    const fn check_send(&self, length: usize) -> Result<(), SendError> {
        match self.local_close {
            LocalClose::None if length <= FRAME_BYTES_MAX => Ok(()),
            LocalClose::None => Err(SendError::TooLarge(length)),
            LocalClose::Pending(_) | LocalClose::Sent => Err(SendError::Closing),
        }
    }

    /// Ends our direction: the output has a close frame of code 1000. Does nothing after the first
    /// close frame of ours.
    pub fn close(&mut self) {
        self.close_with(Some(close::NORMAL));
    }

    const fn close_with(&mut self, code: Option<u16>) {
        if matches!(self.local_close, LocalClose::None) {
            self.local_close = LocalClose::Pending(code);
        }
    }

    /// Returns the remote's close frame once it has arrived.
    pub const fn remote_close(&self) -> Option<&Close> {
        self.remote_close.as_ref()
    }

    fn append(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), RandomnessError> {
        let mask = match &mut self.keys {
            Some(keys) => Some(keys.next_key()?),
            None => None,
        };
        let header = Header {
            is_final: true,
            opcode,
            length: payload.len(),
            mask,
        };
        header.encode(out);
        let start = out.len();
        out.extend_from_slice(payload);
        if let Some(key) = mask {
            mask::apply(&mut out[start..], key);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
