//! The sans-io core of ferroswarm: bytes in, events and bytes out.
//!
//! No sockets, no threads, no clock, no randomness: time comes in as a [`std::time::Duration`]
//! since an epoch of the caller's choice, bytes come in as slices and go out into buffers of the
//! caller. Everything here is tested without a network.
#![forbid(unsafe_code)]

pub mod framing;
pub mod multistream;
pub mod stream;

pub mod muxer;
