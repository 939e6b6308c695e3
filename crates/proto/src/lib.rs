//! The sans-io core of ferroswarm: bytes in, events and bytes out.
//!
//! No sockets, threads, clocks or randomness: time is passed as a [`std::time::Duration`] since an
//! epoch of the caller's choice, input as slices, and output is written to the caller's buffers.
//! Everything here is tested without a network.
#![forbid(unsafe_code)]

pub mod framing;
pub mod multistream;
pub mod stream;

pub mod muxer;

pub mod resource;
