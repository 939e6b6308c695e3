//! Records do not allocate once the channel is established and the buffers have grown.

#[path = "../../proto/tests/counting/mod.rs"]
mod counting;

use std::sync::Arc;

use ferroswarm_secure::{
    Channel, Handshake, HandshakeConfig, Identity, KeyType, Keypair, Opened, Role, Security,
};

use counting::counts;

fn channels(security: Security) -> (Channel, Channel) {
    let config = || HandshakeConfig {
        identity: Arc::new(Identity::new(Keypair::generate(KeyType::Ed25519).unwrap()).unwrap()),
        muxers: Arc::new([]),
        expected_peer: None,
    };
    let mut dialer = Handshake::new(security, Role::Dialer, &config()).unwrap();
    let mut listener = Handshake::new(security, Role::Listener, &config()).unwrap();
    let mut bytes = Vec::new();
    while !(dialer.is_complete() && listener.is_complete()) {
        dialer.poll_output(&mut bytes);
        listener.handle_input(&mut bytes).unwrap();
        bytes.clear();
        listener.poll_output(&mut bytes);
        dialer.handle_input(&mut bytes).unwrap();
        bytes.clear();
    }
    (
        dialer.finish().unwrap().channel,
        listener.finish().unwrap().channel,
    )
}

fn exchange(sender: &mut Channel, receiver: &mut Channel, buffer: &mut Vec<u8>, length: usize) {
    buffer.clear();
    let start = sender.begin(buffer);
    buffer.resize(start + buffer.len() + length, 7);
    sender.seal(buffer, start).unwrap();
    assert!(matches!(receiver.open(buffer), Ok(Opened::Record { .. })));
}

#[test]
fn records_do_not_allocate() {
    for security in [Security::Noise, Security::Tls] {
        let (mut dialer, mut listener) = channels(security);
        let mut buffer = Vec::with_capacity(Channel::PLAINTEXT_MAX + dialer.overhead());
        exchange(&mut dialer, &mut listener, &mut buffer, 1);
        let before = counts().0;
        for _ in 0..1_000 {
            exchange(&mut dialer, &mut listener, &mut buffer, 1);
            exchange(
                &mut listener,
                &mut dialer,
                &mut buffer,
                Channel::PLAINTEXT_MAX,
            );
        }
        assert_eq!(counts().0 - before, 0, "{security:?}");
    }
}
