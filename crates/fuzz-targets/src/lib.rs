//! Bodies of the fuzz targets.
//!
//! The targets in `fuzz/` are one line each and call these functions; so does `cargo test`, with
//! the seeds in `fuzz/seeds/`. A target panics if a parser panics or an invariant is violated: the
//! result does not depend on how the input is split, tampered input is rejected, and a remote stays
//! within its limits.
#![forbid(unsafe_code)]

pub use framing::{msgio, varint};
pub use multistream::{multistream_dialer, multistream_listener};
pub use pnet::{protected_stream, swarm_key};
pub use secure::{identity, noise_handshake, noise_transport, tls_certificate};
pub use upgrade::upgrade;
pub use websocket::{websocket_frames, websocket_upgrade};
pub use yamux::{yamux_bytes, yamux_frames};

mod framing;
mod multistream;
mod pnet;
mod secure;
mod tampering;
mod upgrade;
mod websocket;
mod yamux;

/// A function that accepts arbitrary bytes.
pub type Target = fn(&[u8]);

/// Every target, by the name of its binary and seed folder.
pub const TARGETS: &[(&str, Target)] = &[
    ("identity", identity),
    ("msgio", msgio),
    ("multistream_dialer", multistream_dialer),
    ("multistream_listener", multistream_listener),
    ("noise_handshake", noise_handshake),
    ("noise_transport", noise_transport),
    ("protected_stream", protected_stream),
    ("swarm_key", swarm_key),
    ("tls_certificate", tls_certificate),
    ("upgrade", upgrade),
    ("varint", varint),
    ("websocket_frames", websocket_frames),
    ("websocket_upgrade", websocket_upgrade),
    ("yamux_bytes", yamux_bytes),
    ("yamux_frames", yamux_frames),
];

/// Splits off the first `N` bytes of the input, which configure the run; padded with zeros.
fn settings<const N: usize>(data: &[u8]) -> ([u8; N], &[u8]) {
    let (front, rest) = data.split_at(N.min(data.len()));
    let mut settings = [0; N];
    settings[..front.len()].copy_from_slice(front);
    (settings, rest)
}

/// Maps a byte to the size of the pieces that the input is split into; zero means no split.
fn piece(choice: u8) -> usize {
    match choice {
        0 => usize::MAX,
        few => few.into(),
    }
}
