//! Incremental decoding of frames, in place.

use std::ops::Range;

use crate::Role;
use crate::control::ControlPayload;
use crate::error::FrameError;
use crate::frame::{HEADER_BYTES_MAX, Header, Opcode};
use crate::mask;

/// Decodes the frames of one direction, whose bytes may be split anywhere.
pub(crate) struct Decoder {
    sender: Role,
    /// Whether a message has started and its final frame has not.
    in_message: bool,
    stage: Stage,
}

enum Stage {
    Header {
        bytes: [u8; HEADER_BYTES_MAX],
        filled: usize,
    },
    Payload {
        remaining: usize,
        mask: Option<[u8; 4]>,
    },
    Control {
        kind: Control,
        header: Header,
        payload: ControlPayload,
    },
}

const HEADER: Stage = Stage::Header {
    bytes: [0; HEADER_BYTES_MAX],
    filled: 0,
};

/// Kind of a control frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    Close,
    Ping,
    Pong,
}

/// A piece of the input.
pub(crate) enum Piece {
    /// Payload of a data frame, unmasked; never empty.
    Payload(Range<usize>),
    /// A control frame.
    Control(Control, ControlPayload),
}

impl Decoder {
    /// Creates a decoder of what `sender` sends.
    pub(crate) const fn new(sender: Role) -> Self {
        Self {
            sender,
            in_message: false,
            stage: HEADER,
        }
    }

    /// Decodes the front of `input`: returns its first piece and the number of bytes up to the end
    /// of that; `None` if all bytes are consumed and yield none.
    ///
    /// Errors are final: the caller must not continue.
    pub(crate) fn decode(
        &mut self,
        input: &mut [u8],
    ) -> Result<Option<(Piece, usize)>, FrameError> {
        let mut at = 0;
        while at < input.len() {
            match &mut self.stage {
                Stage::Header { bytes, filled } => {
                    bytes[*filled] = input[at];
                    *filled += 1;
                    at += 1;
                    if let Some((header, _)) = Header::decode(&bytes[..*filled], self.sender)? {
                        self.stage = self.begin(header)?;
                    }
                }
                Stage::Payload { remaining, mask } => {
                    let end = at + (*remaining).min(input.len() - at);
                    *remaining -= end - at;
                    if let Some(key) = mask {
                        mask::apply(&mut input[at..end], *key);
                        *key = mask::advance(*key, end - at);
                    }
                    if *remaining == 0 {
                        self.stage = HEADER;
                    }
                    return Ok(Some((Piece::Payload(at..end), end)));
                }
                Stage::Control {
                    header, payload, ..
                } => at += payload.fill(&input[at..], header.length),
            }
            if let Some(control) = self.take_control() {
                return Ok(Some((control, at)));
            }
        }
        Ok(None)
    }

    /// Checks a header against the frames before it; returns the stage of its payload.
    fn begin(&mut self, header: Header) -> Result<Stage, FrameError> {
        let kind = match header.opcode {
            Opcode::Close => Some(Control::Close),
            Opcode::Ping => Some(Control::Ping),
            Opcode::Pong => Some(Control::Pong),
            Opcode::Continuation if !self.in_message => return Err(FrameError::NothingToContinue),
            Opcode::Text | Opcode::Binary if self.in_message => {
                return Err(FrameError::MessageWithinMessage);
            }
            // Text is bytes, as go-libp2p takes it.
            Opcode::Continuation | Opcode::Text | Opcode::Binary => None,
        };
        if let Some(kind) = kind {
            let payload = ControlPayload::EMPTY;
            return Ok(Stage::Control {
                kind,
                header,
                payload,
            });
        }
        self.in_message = !header.is_final;
        Ok(match header.length {
            0 => HEADER,
            remaining => Stage::Payload {
                remaining,
                mask: header.mask,
            },
        })
    }

    /// Takes the control frame once its payload is complete.
    fn take_control(&mut self) -> Option<Piece> {
        let Stage::Control {
            kind,
            header,
            payload,
        } = &mut self.stage
        else {
            return None;
        };
        if payload.as_ref().len() < header.length {
            return None;
        }
        if let Some(key) = header.mask {
            mask::apply(payload.as_mut(), key);
        }
        let piece = Piece::Control(*kind, *payload);
        self.stage = HEADER;
        Some(piece)
    }
}
