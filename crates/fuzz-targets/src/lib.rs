//! What each fuzz target does with its input.
//!
//! The targets of `fuzz/` are one line each and call these functions; so does `cargo test`, with the
//! seeds of `fuzz/seeds/`. A target panics when a parser does, and when what it promises does not hold:
//! that cutting the input elsewhere changes nothing, that what was altered is not admitted, that a
//! remote stays within its limits.
#![forbid(unsafe_code)]

pub use framing::{msgio, varint};
pub use multistream::{multistream_dialer, multistream_listener};
pub use secure::{identity, noise_handshake, noise_transport, tls_certificate};
pub use upgrade::upgrade;
pub use yamux::{yamux_bytes, yamux_frames};

mod framing;
mod multistream;
mod secure;
mod tampering;
mod upgrade;
mod yamux;

/// A function that takes any bytes.
pub type Target = fn(&[u8]);

/// Every target by the name of its binary and of its folder of seeds.
pub const TARGETS: &[(&str, Target)] = &[
    ("identity", identity),
    ("msgio", msgio),
    ("multistream_dialer", multistream_dialer),
    ("multistream_listener", multistream_listener),
    ("noise_handshake", noise_handshake),
    ("noise_transport", noise_transport),
    ("tls_certificate", tls_certificate),
    ("upgrade", upgrade),
    ("varint", varint),
    ("yamux_bytes", yamux_bytes),
    ("yamux_frames", yamux_frames),
];

/// The front of the input, which tells how the rest is used; zeros where it is too short.
fn settings<const N: usize>(data: &[u8]) -> ([u8; N], &[u8]) {
    let (front, rest) = data.split_at(N.min(data.len()));
    let mut settings = [0; N];
    settings[..front.len()].copy_from_slice(front);
    (settings, rest)
}

/// Sizes of pieces from one byte up to everything.
fn piece(choice: u8) -> usize {
    match choice {
        0 => usize::MAX,
        few => few.into(),
    }
}
