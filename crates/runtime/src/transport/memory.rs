//! Connections within the process, for tests.

use super::RawConnection;
use crate::testing::pipe;

/// Returns both ends of a connection that holds up to `capacity` bytes in each direction.
pub(crate) fn connected(capacity: usize) -> (RawConnection, RawConnection) {
    let (one, other) = pipe(capacity);
    let address = |number: u64| format!("/memory/{number}").parse().expect("an address");
    let left = RawConnection {
        pipe: Box::new(one),
        local: address(1),
        remote: address(2),
    };
    let right = RawConnection {
        pipe: Box::new(other),
        local: address(2),
        remote: address(1),
    };
    (left, right)
}
