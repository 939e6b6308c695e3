//! Nodes over every transport.

use std::io;
use std::time::Duration;

use ferroswarm_secure::Role;
use multiaddr::Multiaddr;

use crate::Node;
use crate::attempts::Attempt;
use crate::command::{AddressError, CommandError, ConnectError, Outcome};
use crate::dial::{DialRequest, PlannedAttempt};
use crate::hub::{Hub, Ready};
use crate::live::Bell;
use crate::single_node::options;
use crate::sync::Arc;

fn node() -> Node {
    let hub = Hub::new(Box::new(Bell(Arc::default())));
    Node::start(1, hub, options()).expect("threads")
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

#[test]
fn two_nodes_connect_over_every_transport() {
    for address in addresses() {
        let [dialer, listener] = [node(), node()];
        let (_, bound) = listen(&listener, &address).expect("a free address");
        let [remote, local] = dial(&dialer, &bound).expect("a listener");
        assert_eq!(remote, bound);
        assert!(!local.is_empty());
    }
}

#[test]
fn addresses_that_are_in_use_or_unknown_are_typed_errors() {
    let node = node();
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
