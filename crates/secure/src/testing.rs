//! Helpers shared by the unit tests of several modules.

use std::sync::Arc;

use crate::{
    Channel, Handshake, HandshakeConfig, HandshakeError, Identity, KeyType, Keypair, Opened, Role,
    Secured, Security,
};

pub(crate) fn identity() -> Arc<Identity> {
    let keypair = Keypair::generate(KeyType::Ed25519).unwrap();
    Arc::new(Identity::new(keypair).unwrap())
}

pub(crate) fn config(identity: &Arc<Identity>, muxers: &[&str]) -> HandshakeConfig {
    HandshakeConfig {
        identity: Arc::clone(identity),
        muxers: muxers.iter().map(|&muxer| muxer.into()).collect(),
        expected_peer: None,
    }
}

/// Runs a handshake that must succeed; returns both channels.
pub(crate) fn pair(security: Security) -> (Channel, Channel) {
    let mut dialer = Handshake::new(security, Role::Dialer, &config(&identity(), &[])).unwrap();
    let mut listener = Handshake::new(security, Role::Listener, &config(&identity(), &[])).unwrap();
    run(&mut dialer, &mut listener, usize::MAX).unwrap();
    let (dialer, listener): (Secured, Secured) =
        (dialer.finish().unwrap(), listener.finish().unwrap());
    (dialer.channel, listener.channel)
}

/// Carries bytes both ways, `chunk` at a time, until neither end has output.
pub(crate) fn run(
    dialer: &mut Handshake,
    listener: &mut Handshake,
    chunk: usize,
) -> Result<(), (Role, HandshakeError)> {
    let (mut to_listener, mut to_dialer) = (Vec::new(), Vec::new());
    loop {
        dialer.poll_output(&mut to_listener);
        listener.poll_output(&mut to_dialer);
        if to_listener.is_empty() && to_dialer.is_empty() {
            return Ok(());
        }
        deliver(listener, &mut to_listener, chunk).map_err(|error| (Role::Listener, error))?;
        deliver(dialer, &mut to_dialer, chunk).map_err(|error| (Role::Dialer, error))?;
    }
}

fn deliver(end: &mut Handshake, bytes: &mut Vec<u8>, chunk: usize) -> Result<(), HandshakeError> {
    let mut bytes = std::mem::take(bytes);
    for part in bytes.chunks_mut(chunk.min(1 << 20)) {
        assert_eq!(end.handle_input(part)?, part.len());
    }
    Ok(())
}

/// Returns a sealed record of `plaintext`.
pub(crate) fn sealed(channel: &mut Channel, plaintext: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let start = channel.begin(&mut out);
    out.extend_from_slice(plaintext);
    channel.seal(&mut out, start).unwrap();
    out
}

/// Asserts that `record` opens to `plaintext`.
pub(crate) fn assert_opens(channel: &mut Channel, record: &mut [u8], plaintext: &[u8]) {
    match channel.open(record).unwrap() {
        Opened::Record {
            plaintext: range,
            consumed,
        } => {
            assert_eq!(consumed, record.len());
            assert_eq!(&record[range], plaintext);
        }
        other => panic!("expected a record, found {other:?}"),
    }
}

/// Returns the test vectors of a file: the words of each line, without comments.
pub(crate) fn vectors(text: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_whitespace().collect())
}

pub(crate) fn hex(text: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap()
}
