//! Validation of JavaScript numbers. These include fractions, NaN and infinities, which Node-API's conversion
//! to integers silently truncates and wraps.

use std::time::Duration;

use crate::keys::{Failure, invalid};

/// Upper bound of a time, to which longer ones are clamped: the maximum of JavaScript timers, some 25 days.
const TIME_MAX_MS: f64 = 2_147_483_647.0;

/// Returns `value` as an integer if it is a whole 32-bit number.
pub(crate) fn exact(value: f64) -> Option<u32> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast that changes the value, NaN included, is refused"
    )]
    let number = value as u32;
    (f64::from(number) == value).then_some(number)
}

/// Converts a whole 32-bit number; fails for any other.
pub(crate) fn whole(value: f64) -> Result<u32, Failure> {
    exact(value).ok_or_else(|| {
        invalid(format!(
            "expected a whole number of 32 bits, received {value}"
        ))
    })
}

/// Converts a non-negative time in milliseconds, which may be infinite.
pub(crate) fn milliseconds(value: f64) -> Result<Duration, Failure> {
    if value.is_nan() || value < 0.0 {
        return Err(invalid(format!(
            "expected milliseconds of 0 or more, received {value}"
        )));
    }
    Duration::try_from_secs_f64(value.min(TIME_MAX_MS) / 1_000.0).map_err(invalid)
}
