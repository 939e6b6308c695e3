//! What the bytes of streams travel on.

mod delivery;
mod home;
mod inbound;
mod outbound;

pub(super) use self::delivery::Delivery;
pub(super) use self::home::{Home, LITTLE_BYTES};
pub(super) use self::inbound::Received;
