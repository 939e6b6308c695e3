//! Nodes over every transport, and private networks over each.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use ferroswarm_pnet::{Encryptor, KEY_LENGTH, NONCE_LENGTH, PreSharedKey};
use ferroswarm_secure::Role;
use multiaddr::Multiaddr;

use crate::attempts::Attempt;
use crate::command::{AddressError, CommandError, ConnectError, Outcome, Stage};
use crate::dial::{DialRequest, PlannedAttempt};
use crate::hub::{Hub, Ready};
use crate::live::Bell;
use crate::single_node::options;
use crate::sync::Arc;
use crate::{Limits, Node};

const KEY: [u8; KEY_LENGTH] = *b"the key of the network in a test";

/// The header of multistream-select.
const HEADER: &[u8] = b"\x13/multistream/1.0.0\n";

fn node(psk: Option<[u8; KEY_LENGTH]>) -> Node {
    start(psk, Limits::default())
}

fn start(psk: Option<[u8; KEY_LENGTH]>, limits: Limits) -> Node {
    let hub = Hub::new(Box::new(Bell(Arc::default())));
    let mut options = options();
    options.psk = psk.map(PreSharedKey::new);
    options.limits = limits;
    Node::start(1, hub, options).expect("threads")
}

/// Waits for the outcome of a command.
fn outcome(node: &Node, request: u32) -> Outcome {
    loop {
        match node.shared().hub.take() {
            Some(Ready::Completion(completion)) if completion.request == request => {
                return completion.outcome;
            }
            Some(_) => {}
            None => std::thread::yield_now(),
        }
    }
}

fn listen(node: &Node, address: &str) -> Result<(u32, Multiaddr), CommandError> {
    node.listen(1, address.parse().expect("an address"));
    match outcome(node, 1) {
        Outcome::Listening {
            listener,
            mut addresses,
        } => Ok((listener, addresses.remove(0))),
        Outcome::Failed(error) => Err(error),
        _ => panic!("expected a listener"),
    }
}

/// Dials; returns the addresses of the connection, the remote's first.
fn dial(node: &Node, address: &Multiaddr) -> Result<[Multiaddr; 2], Attempt> {
    let attempt = PlannedAttempt {
        address: address.clone(),
        peer: None,
        host: None,
        delay: Duration::ZERO,
        timeout: Duration::from_secs(60),
        hold: Duration::ZERO,
    };
    let request = DialRequest {
        plan: vec![attempt],
        identity: None,
        securities: None,
        parallel: 1,
        role: Role::Dialer,
    };
    node.dial(2, request);
    match outcome(node, 2) {
        Outcome::Dialled(connection) => {
            let facts = connection.facts();
            Ok([facts.remote_address.clone(), facts.local_address.clone()])
        }
        Outcome::DialFailed(mut failed) => Err(failed.remove(0)),
        _ => panic!("expected a dial"),
    }
}

/// Returns addresses to listen on, one of each transport, and the file of one of them.
fn addresses() -> Vec<String> {
    let mut addresses = vec!["/ip4/127.0.0.1/tcp/0".to_owned(), "/memory/0".to_owned()];
    #[cfg(unix)]
    addresses.push(super::unix::testing::Scratch::new("nodes").address());
    addresses
}

// go 168
#[test]
fn two_nodes_connect_over_every_transport_with_a_key_and_without() {
    for address in addresses() {
        for key in [None, Some(KEY)] {
            let [dialer, listener] = [node(key), node(key)];
            let (_, bound) = listen(&listener, &address).expect("a free address");
            let [remote, local] = dial(&dialer, &bound).expect("one network");
            assert_eq!(remote, bound);
            assert!(!local.is_empty());
        }
    }
}

// A144, A145, go 168
#[test]
fn nodes_of_other_networks_do_not_connect() {
    let mut other = KEY;
    other[17] ^= 1;
    for address in addresses() {
        for keys in [
            [Some(KEY), Some(other)],
            [Some(KEY), None],
            [None, Some(KEY)],
        ] {
            let [dialer, listener] = keys.map(node);
            let (_, bound) = listen(&listener, &address).expect("a free address");
            let attempt = dial(&dialer, &bound).expect_err("other networks");
            let left = attempt.error.is_departure();
            let is_noise = match keys {
                // Without a key it cannot know that it hears a private network.
                [None, _] => matches!(attempt.error, ConnectError::Negotiation(_)),
                _ => matches!(attempt.error, ConnectError::OtherNetwork),
            };
            assert!(left || is_noise, "{keys:?} {:?}", attempt.error);
            if keys[0].is_some() {
                assert_eq!(attempt.stage, Stage::Psk);
            }
        }
    }
}

/// Connects to a listener with [`KEY`], sends `bytes`, and returns everything that it answers.
fn answer_to(limits: Limits, bytes: &[u8]) -> Vec<u8> {
    let listener = start(Some(KEY), limits);
    let (_, bound) = listen(&listener, "/ip4/127.0.0.1/tcp/0").expect("a port");
    let text = bound.to_string();
    let port = text.rsplit('/').next().expect("a port");
    let mut socket = TcpStream::connect(format!("127.0.0.1:{port}")).expect("a listener");
    let mut answer = vec![0; NONCE_LENGTH];
    // Before anything is sent: a close with unread bytes is a reset, which discards the answer.
    socket.read_exact(&mut answer).expect("a nonce");
    socket.write_all(bytes).expect("it reads");
    match socket.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
        Err(error) => panic!("{error}"),
    }
    answer
}

// A144, A145
#[test]
fn a_stranger_gets_a_nonce_and_a_closed_socket() {
    let protected = |mut key: [u8; KEY_LENGTH], bit: u8| {
        key[0] ^= bit;
        let key = PreSharedKey::new(key);
        let (mut encryptor, nonce) = Encryptor::new(&key).expect("randomness");
        let mut line = HEADER.to_vec();
        encryptor.encrypt(&mut line);
        [&nonce[..], &line].concat()
    };
    // At a multiple of its nonce: what it hears next starts the stream.
    let plain = [HEADER, b"\x07/noise\n", HEADER, HEADER].concat();
    for bytes in [
        plain,
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        protected(KEY, 1),
    ] {
        assert_eq!(answer_to(Limits::default(), &bytes).len(), NONCE_LENGTH);
    }
    // A member is answered, although this one says nothing further.
    let limits = Limits {
        inbound_upgrade_timeout: Duration::from_millis(200),
        ..Limits::default()
    };
    let answered = answer_to(limits, &protected(KEY, 0));
    assert_eq!(answered.len(), NONCE_LENGTH + HEADER.len());
}

// A146
#[test]
fn a_nonce_that_stalls_is_closed_at_the_deadline() {
    let limits = Limits {
        inbound_upgrade_timeout: Duration::from_millis(100),
        ..Limits::default()
    };
    assert_eq!(
        answer_to(limits, &[7; NONCE_LENGTH - 1]).len(),
        NONCE_LENGTH
    );
}

#[test]
fn a_private_network_refuses_what_its_key_cannot_protect() {
    let address = "/ip4/127.0.0.1/udp/4001/quic-v1";
    let node = node(Some(KEY));
    let refused = listen(&node, address).expect_err("no byte pipe");
    assert!(refused.to_string().contains(address), "{refused}");
    let attempt = dial(&node, &address.parse().expect("an address")).expect_err("no byte pipe");
    let ConnectError::Address(AddressError::Unprotected(refused)) = attempt.error else {
        panic!("{}", attempt.error);
    };
    assert_eq!(refused.to_string(), address);
}

#[test]
fn addresses_that_are_in_use_or_unknown_are_typed_errors() {
    let node = node(None);
    let (first, bound) = listen(&node, "/memory/0").expect("a free number");
    let (_, next) = listen(&node, "/memory/0").expect("another free number");
    assert_ne!(bound, next);
    let is_io = |outcome: Result<_, CommandError>, kind| match outcome {
        Err(CommandError::Io(error)) => error.kind() == kind,
        _ => false,
    };
    let again = listen(&node, &bound.to_string());
    assert!(is_io(again, io::ErrorKind::AddrInUse));
    node.unlisten(3, first);
    assert!(matches!(outcome(&node, 3), Outcome::Done));
    let attempt = dial(&node, &bound).expect_err("nobody listens");
    let ConnectError::Io(error) = attempt.error else {
        panic!("{}", attempt.error);
    };
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    listen(&node, &bound.to_string()).expect("a free number");
    for (address, part) in [("/memory/1/tcp/2", "/tcp/2"), ("/unix/a/tcp/2", "/tcp/2")] {
        let refused = listen(&node, address);
        let Err(CommandError::Address(AddressError::NoTransport(rest))) = refused else {
            panic!("{address} was taken");
        };
        assert_eq!(rest.to_string(), part);
    }
}
