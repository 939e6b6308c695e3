//! Numbers of JavaScript's, checked where they cross. It has one kind of them, with fractions, NaN and infinities;
//! what Node-API converts to an integer is cut off and wrapped round without a word.

use std::time::Duration;

use crate::keys::{Failure, invalid};

/// The longest time that is taken as it is: what timers of JavaScript take, some 25 days. Longer ones are as good.
const TIME_MAX_MS: f64 = 2_147_483_647.0;

/// Whether `value` is a whole number of 32 bits, and which.
pub(crate) fn exact(value: f64) -> Option<u32> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast that changes the value, NaN included, is refused"
    )]
    let number = value as u32;
    (f64::from(number) == value).then_some(number)
}

/// A whole number of 32 bits.
pub(crate) fn whole(value: f64) -> Result<u32, Failure> {
    exact(value).ok_or_else(|| {
        invalid(format!(
            "expected a whole number of 32 bits, received {value}"
        ))
    })
}

/// A time from now on, infinity included.
pub(crate) fn milliseconds(value: f64) -> Result<Duration, Failure> {
    if value.is_nan() || value < 0.0 {
        return Err(invalid(format!(
            "expected milliseconds of 0 or more, received {value}"
        )));
    }
    Duration::try_from_secs_f64(value.min(TIME_MAX_MS) / 1_000.0).map_err(invalid)
}
