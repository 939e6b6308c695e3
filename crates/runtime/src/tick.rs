//! What JavaScript's thread sends and reads itself in a tick of its event loop.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::connection::{CloseManner, CloseRequest, Connection, Scratch};
use crate::error::ConnectionFault;
use crate::loop_sockets::{LoopSockets, READS_PER_POLL};
use crate::sync::Arc;

/// What a flush on the JavaScript thread may touch: more is left to the I/O threads, whose cores
/// would idle while JavaScript encrypts. What a look at the loop sockets has read is answered by one flush.
const INLINE_CONNECTIONS_MAX: usize = READS_PER_POLL;
const INLINE_BYTES_MAX: usize = 16 << 10;

/// Connections touched last that are looked through for one that is touched again.
const RECENT: usize = 4;

/// The present tick.
#[derive(Default)]
pub(crate) struct Tick {
    /// Connections that have something to send.
    touched: Vec<Arc<Connection>>,
    bytes: usize,
    scratch: Scratch,
}

impl Tick {
    /// Takes note of a connection to flush, for the sake of so many bytes.
    pub(crate) fn touch(&mut self, connection: &Arc<Connection>, bytes: usize) {
        self.bytes += bytes;
        let mut recent = self.touched.iter().rev().take(RECENT);
        if !recent.any(|known| Arc::ptr_eq(known, connection)) {
            self.touched.push(Arc::clone(connection));
        }
    }

    /// Reads the sockets of loop sockets that have news. What their connections have to say themselves goes out
    /// with the flush. Returns how long the event loop may poll behind them.
    pub(crate) fn read(&mut self, loop_sockets: &LoopSockets) -> Duration {
        let mut busy_poll = Duration::ZERO;
        for (connection, may_stay) in loop_sockets.take_ready() {
            contained(&connection, || {
                connection.read_inline(&mut self.scratch, may_stay);
            });
            busy_poll = busy_poll.max(connection.busy_poll());
            self.touch(&connection, 0);
        }
        busy_poll
    }

    /// Sends what the tick has posted: here where that is little, else on the I/O threads.
    pub(crate) fn flush(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let inline = self.touched.len() <= INLINE_CONNECTIONS_MAX && bytes <= INLINE_BYTES_MAX;
        for connection in self.touched.drain(..) {
            if inline {
                contained(&connection, || connection.flush_inline(&mut self.scratch));
            } else {
                connection.flush_later();
            }
        }
    }
}

/// A panic of a connection ends that connection.
fn contained(connection: &Connection, work: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(work)).is_err() {
        let fault = ConnectionFault::Internal;
        connection.close(CloseRequest {
            code: 0,
            fault,
            manner: CloseManner::AtOnce,
        });
    }
}
