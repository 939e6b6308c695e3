//! What pings carry.

use std::time::Duration;

use crate::Result;
use crate::bulk::{BLOCK, BLOCK_BYTES};

/// Bytes of one echo.
pub const PING_BYTES: usize = 32;

/// How long before it is due a ping is no longer slept for: a thread wakes late.
pub const SPIN: Duration = Duration::from_micros(100);

/// What goes out in this turn; the next turn's is another.
pub fn echoed(turn: usize) -> &'static [u8] {
    let at = turn % (BLOCK_BYTES - PING_BYTES);
    &BLOCK[at..at + PING_BYTES]
}

/// Whether the answer is what went out.
///
/// # Errors
/// That it is not.
pub fn expect_echo(turn: usize, answer: &[u8]) -> Result<()> {
    if answer != echoed(turn) {
        return Err("a ping answer differs".into());
    }
    Ok(())
}
