//! Connections without sockets: a pair over a bounded in-memory pipe, after a real handshake.
//!
//! Compiled for this crate's tests and, by path, for the model (`tests/model`).

pub(crate) mod pair;

pub(crate) use crate::memory_pipe::pipe;
pub(crate) use pair::{End, EndLimits, Streams, connect};
