//! What the streams of a connection ask of QUIC.

use std::time::Duration;

use ferroswarm_proto::muxer::{MemoryBudget, OpenError, StreamErrorCode, StreamKey, yamux};
use ferroswarm_proto::stream::Pipe;

use crate::connection::link::{Framed, Left, StreamLink};

use super::Quic;

/// Bytes of a stream taken before the next stream has its turn.
const TURN_BYTES: usize = 16 << 10;

impl StreamLink for Quic {
    fn open(&mut self) -> Result<StreamKey, OpenError> {
        self.session.open().ok_or(OpenError::TooMany)
    }

    /// The remote has allowed it in advance.
    fn is_acknowledged(&self, _key: StreamKey) -> bool {
        true
    }

    /// Streams are accepted by what is sent on them.
    fn accept(&mut self, _key: StreamKey) {}

    fn consumed(
        &mut self,
        key: StreamKey,
        bytes: u32,
        now: Duration,
        budget: &mut dyn MemoryBudget,
    ) -> u32 {
        self.session.consumed(key, bytes, now, budget).max(1)
    }

    /// The remote of a stream that is closed as a whole is not told at once.
    fn discard(&mut self, key: StreamKey, left: Left, now: Duration) -> bool {
        match left {
            Left::Reading => self.session.stop(key, StreamErrorCode::NoError as u32),
            Left::Both => self.session.leave(key, now),
        }
        self.added += 1;
        true
    }

    fn reset(&mut self, key: StreamKey, code: u32) {
        self.session.reset(key, code);
        self.added += 1;
    }

    fn turn_away(&mut self, key: StreamKey, code: StreamErrorCode) {
        if !self.refusals.spend(self.session.now()) {
            self.excess = Some(yamux::ProtocolError::RefusalFlood);
        }
        self.session.reset(key, code as u32);
        self.session.remove(key);
    }

    fn remove(&mut self, key: StreamKey) {
        self.session.remove(key);
    }

    /// Measured by every acknowledgement.
    fn measure(&mut self, _now: Duration) {}

    fn has_room(&self) -> bool {
        self.added < self.budget
    }

    fn put_control(&mut self) {}

    fn send(&mut self, key: StreamKey, bytes: &Pipe) -> Framed {
        let mut framed = Framed {
            count: 0,
            is_blocked: false,
        };
        for piece in bytes.pieces() {
            let piece = &piece[..piece.len().min(TURN_BYTES - framed.count)];
            let written = self.session.write(key, piece);
            framed.count += written.count;
            framed.is_blocked = written.is_blocked;
            if written.is_blocked || framed.count == TURN_BYTES {
                break;
            }
        }
        self.added += framed.count;
        framed
    }

    fn finish(&mut self, key: StreamKey) -> bool {
        self.session.finish(key);
        if self.session.is_inbound(key) {
            self.resets.earn(1);
        }
        self.added += 1;
        true
    }
}
