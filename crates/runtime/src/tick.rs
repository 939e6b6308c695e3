//! Inline sends and reads of JavaScript's thread in a tick of its event loop.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::connection::{CloseManner, CloseRequest, Connection, Scratch};
use crate::error::ConnectionFault;
use crate::loop_sockets::{LoopSockets, READS_PER_POLL};
use crate::sync::Arc;

/// Limits of a flush on the JavaScript thread: larger ones are left to the I/O threads, whose cores
/// would idle while JavaScript encrypts. One flush answers all connections read by one poll.
const INLINE_CONNECTIONS_MAX: usize = READS_PER_POLL;
const INLINE_BYTES_MAX: usize = 16 << 10;

/// Number of most recently touched connections that are searched for a duplicate.
const RECENT: usize = 4;

/// The current tick.
#[derive(Default)]
pub(crate) struct Tick {
    /// Connections to flush.
    touched: Vec<Arc<Connection>>,
    bytes: usize,
    scratch: Scratch,
}

impl Tick {
    /// Marks a connection for the next flush, with `bytes` to send.
    pub(crate) fn touch(&mut self, connection: &Arc<Connection>, bytes: usize) {
        self.bytes += bytes;
        let mut recent = self.touched.iter().rev().take(RECENT);
        if !recent.any(|known| Arc::ptr_eq(known, connection)) {
            self.touched.push(Arc::clone(connection));
        }
    }

    /// Reads the loop sockets that are ready. Their connections' own frames go out with the next
    /// flush. Returns how long the event loop may busy-poll afterwards.
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

    /// Leaves the tick's output to the I/O threads.
    pub(crate) fn hand_over(&mut self) {
        for connection in self.touched.drain(..) {
            connection.flush_later();
        }
    }

    /// Sends the tick's output: inline if there is little of it, else on the I/O threads. Returns whether
    /// a connection has ended with it.
    pub(crate) fn flush(&mut self) -> bool {
        let bytes = std::mem::take(&mut self.bytes);
        if self.touched.len() > INLINE_CONNECTIONS_MAX || bytes > INLINE_BYTES_MAX {
            self.hand_over();
            return false;
        }
        let mut has_ended = false;
        for connection in self.touched.drain(..) {
            contained(&connection, || {
                has_ended |= connection.flush_inline(&mut self.scratch);
            });
        }
        has_ended
    }
}

/// Runs `work` on a connection; a panic ends only that connection.
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
