//! Connections without sockets: a pair over a bounded pipe in memory, behind a real handshake.
//!
//! Compiled for this crate's tests and, by path, for the model (`tests/model`).

mod pair;
mod pipe;

pub(crate) use pair::{End, connect, connect_alone};
pub(crate) use pipe::{FakePipe, pipe};
