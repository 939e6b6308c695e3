//! Connection upgrades, from the first byte to a multiplexed channel.

use std::sync::{Arc, LazyLock};

use arbitrary::{Arbitrary, Unstructured};
use ferroswarm_secure::{
    Agreement, Channel, HandshakeConfig, Identity, KeyType, Keypair, Opened, PeerId, Progress,
    Role, Security, Upgrade, UpgradeConfig, UpgradeError, Upgraded,
};

use crate::tampering::Tampering;
use crate::{piece, settings};

const YAMUX: &str = "/yamux/1.0.0";

static IDENTITIES: LazyLock<[Arc<Identity>; 2]> = LazyLock::new(|| {
    [(); 2].map(|()| {
        let keypair = Keypair::generate(KeyType::Ed25519).expect("key generation succeeds");
        Arc::new(Identity::new(keypair).expect("credentials can be created"))
    })
});

/// Two nodes, or one node and an untrusted peer; the first byte selects their protocols.
///
/// Over a faithful link two nodes agree whenever they have a protocol in common, however the bytes
/// are split. Over a tampering link, an authenticated peer is still the other end. Arbitrary bytes
/// in place of the muxer's negotiation are rejected or accepted, never followed by a second pause.
pub fn upgrade(data: &[u8]) {
    let ([shape, cut], rest) = settings(data);
    match shape >> 6 {
        0 => agree(shape, piece(cut)),
        1 => tamper(shape, piece(cut), rest),
        2 => secure_with(shape, piece(cut), rest),
        _ => mux_with(shape, piece(cut), rest),
    }
}

/// One node, with its pending input and output.
struct End {
    upgrade: Upgrade,
    other: PeerId,
    input: Vec<u8>,
    output: Vec<u8>,
    paused: bool,
    result: Option<Result<Upgraded, UpgradeError>>,
}

impl End {
    fn new(role: Role, agreement: Agreement, securities: &[Security], muxers: &[&str]) -> Self {
        let [dialer, listener] = &*IDENTITIES;
        let (own, other) = match role {
            Role::Dialer => (dialer, listener),
            Role::Listener => (listener, dialer),
        };
        let config = UpgradeConfig {
            role,
            securities,
            agreement,
            handshake: HandshakeConfig {
                identity: Arc::clone(own),
                muxers: muxers.iter().map(|&muxer| muxer.into()).collect(),
                expected_peer: None,
            },
        };
        Self {
            upgrade: Upgrade::new(config).expect("a handshake can start"),
            other: *other.peer_id(),
            input: Vec::new(),
            output: Vec::new(),
            paused: false,
            result: None,
        }
    }

    /// Advances as far as the input allows; checks that nothing follows completion or failure.
    fn advance(&mut self) {
        while self.result.is_none() {
            match self.upgrade.advance(&mut self.input, &mut self.output) {
                Ok(Progress::Waiting) => return,
                Ok(Progress::Secured) => {
                    assert!(!self.paused);
                    self.paused = true;
                    let peer = self.upgrade.peer().expect("the peer is authenticated");
                    assert_eq!(peer.id, self.other);
                }
                Ok(Progress::Complete(upgraded)) => {
                    assert!(self.paused);
                    assert_eq!(upgraded.peer.id, self.other);
                    self.result = Some(Ok(upgraded));
                }
                Err(error) => self.result = Some(Err(error)),
            }
        }
        let after = self.upgrade.advance(&mut self.input, &mut self.output);
        assert!(matches!(after, Err(UpgradeError::Over)));
    }

    fn receive(&mut self, bytes: &[u8], cut: usize) {
        for piece in bytes.chunks(cut) {
            self.input.extend_from_slice(piece);
            self.advance();
        }
    }

    fn channel(self) -> Channel {
        let upgraded = self.result.expect("the upgrade has ended");
        upgraded.expect("the upgrade is complete").channel
    }
}

fn agreement(shape: u8) -> Agreement {
    if shape & 1 == 0 {
        Agreement::Awaited
    } else {
        Agreement::Lazy
    }
}

fn role(shape: u8) -> Role {
    if shape & 2 == 0 {
        Role::Dialer
    } else {
        Role::Listener
    }
}

fn securities(choice: u8) -> &'static [Security] {
    match choice & 3 {
        0 => &[Security::Tls, Security::Noise],
        1 => &[Security::Noise, Security::Tls],
        2 => &[Security::Tls],
        _ => &[Security::Noise],
    }
}

fn nodes(shape: u8) -> [End; 2] {
    let [dialer, listener] = [securities(shape >> 2), securities(shape >> 4)];
    [
        End::new(
            Role::Dialer,
            agreement(shape),
            dialer,
            &["/mplex/6.7.0", YAMUX],
        ),
        End::new(Role::Listener, agreement(shape), listener, &[YAMUX]),
    ]
}

/// Carries each end's output to the other, until neither has any.
fn run(
    [dialer, listener]: &mut [End; 2],
    cut: usize,
    mut transmit: impl FnMut(Vec<u8>) -> Vec<u8>,
) {
    dialer.advance();
    listener.advance();
    while !(dialer.output.is_empty() && listener.output.is_empty()) {
        let bytes = transmit(std::mem::take(&mut dialer.output));
        listener.receive(&bytes, cut);
        let bytes = transmit(std::mem::take(&mut listener.output));
        dialer.receive(&bytes, cut);
    }
}

fn agree(shape: u8, cut: usize) {
    let mut ends = nodes(shape);
    run(&mut ends, cut, |bytes| bytes);
    let [offered, supported] = [securities(shape >> 2), securities(shape >> 4)];
    let chosen = offered.iter().find(|security| supported.contains(security));
    let [dialer, listener] = ends.map(|end| end.result);
    let (Some(Ok(mut dialer)), Some(Ok(mut listener))) = (dialer, listener) else {
        return assert!(chosen.is_none());
    };
    for end in [&dialer, &listener] {
        assert_eq!(Some(&end.peer.security), chosen);
        assert_eq!(end.peer.muxer.as_deref(), Some(YAMUX));
    }
    let mut record = sealed(&mut dialer.channel, b"data");
    let opened = listener.channel.open(&mut record);
    assert!(matches!(opened, Ok(Opened::Record { .. })));
}

fn tamper(shape: u8, cut: usize, rest: &[u8]) {
    let mut input = Unstructured::new(rest);
    run(&mut nodes(shape), cut, |bytes| {
        let mut pieces = vec![bytes];
        if let Ok(tampering) = Tampering::arbitrary(&mut input) {
            tampering.apply(&mut pieces);
        }
        pieces.concat()
    });
}

/// A peer that sends arbitrary bytes is never authenticated.
fn secure_with(shape: u8, cut: usize, rest: &[u8]) {
    let mut end = End::new(
        role(shape),
        agreement(shape),
        securities(shape >> 2),
        &[YAMUX],
    );
    end.receive(rest, cut);
    assert!(!end.paused);
}

/// A peer that offers no muxer in its handshake and sends arbitrary bytes after it.
fn mux_with(shape: u8, cut: usize, rest: &[u8]) {
    let common = [securities(shape >> 2)[0]];
    let muxers: [&[&str]; 2] = match role(shape) {
        Role::Dialer => [&[YAMUX], &[]],
        Role::Listener => [&[], &[YAMUX]],
    };
    let mut ends = [
        End::new(Role::Dialer, agreement(shape), &common, muxers[0]),
        End::new(Role::Listener, agreement(shape), &common, muxers[1]),
    ];
    run(&mut ends, cut, |bytes| bytes);
    let [dialer, listener] = ends;
    let (mut node, peer) = match role(shape) {
        Role::Dialer => (dialer, listener),
        Role::Listener => (listener, dialer),
    };
    assert!(node.paused && node.result.is_none());
    let mut channel = peer.channel();
    for plaintext in rest.chunks(cut.min(Channel::PLAINTEXT_MAX)) {
        let record = sealed(&mut channel, plaintext);
        node.receive(&record, cut);
    }
    if let Some(Ok(upgraded)) = &node.result {
        assert!(upgraded.plaintext.len() < rest.len());
    }
}

fn sealed(channel: &mut Channel, plaintext: &[u8]) -> Vec<u8> {
    let mut record = Vec::new();
    let start = channel.begin(&mut record);
    record.extend_from_slice(plaintext);
    channel
        .seal(&mut record, start)
        .expect("the length is valid");
    record
}
