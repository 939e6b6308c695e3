//! Connections within the process, for tests.

use super::RawConnection;
use crate::testing::pipe;

/// Returns both ends of a connection that holds up to `capacity` bytes in each direction.
pub(crate) fn connected(capacity: usize) -> (RawConnection, RawConnection) {
    let (one, other) = pipe(capacity);
    let address = |number: u64| format!("/memory/{number}").parse().expect("an address");
    (
        RawConnection::over(one, address(1), address(2)),
        RawConnection::over(other, address(2), address(1)),
    )
}
