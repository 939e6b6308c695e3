//! The payload of pings.

use std::time::Duration;

use crate::Result;
use crate::bulk::{BLOCK, BLOCK_BYTES};

/// Bytes of one ping.
pub const PING_BYTES: usize = 32;

/// Time before a ping is due from which its sender spins instead of sleeping: a thread wakes late.
pub const SPIN: Duration = Duration::from_micros(100);

/// Returns the payload of this turn's ping, which differs from the next one's.
pub fn echoed(turn: usize) -> &'static [u8] {
    let at = turn % (BLOCK_BYTES - PING_BYTES);
    &BLOCK[at..at + PING_BYTES]
}

/// Checks that the answer is the payload sent.
///
/// # Errors
/// If it differs.
pub fn expect_echo(turn: usize, answer: &[u8]) -> Result<()> {
    if answer != echoed(turn) {
        return Err("a ping answer differs".into());
    }
    Ok(())
}
