//! Nodes without JavaScript against go-libp2p and rust-libp2p, both ways, over both security
//! protocols: the contract of interop/contract.md.
//!
//! A missing peer fails its tests where `CI` is set; elsewhere they report it and pass. Between two of
//! our nodes, and raw sockets: WebSocket.

mod driver;
mod peers;
mod websocket;

use std::io::Write as _;

use ferroswarm_runtime::Security;

use driver::{Driver, Exchange};
use peers::{Client, Server};

const PING: &str = "/ipfs/ping/1.0.0";
const REQUEST: &str = "/bench/rr/1.0.0";
const ECHO: &str = "/bench/echo/1.0.0";

const PING_BYTES: usize = 32;
const ECHO_BYTES: usize = 4 << 20;
const REQUEST_BYTES: usize = 1_024;
const REQUESTS_AT_ONCE: usize = 100;

#[test]
fn dials_go_over_noise_if_available() {
    dials("go", Security::Noise);
}

#[test]
fn dials_go_over_tls_if_available() {
    dials("go", Security::Tls);
}

#[test]
fn dials_rust_libp2p_over_noise_if_available() {
    dials("rust", Security::Noise);
}

#[test]
fn dials_rust_libp2p_over_tls_if_available() {
    dials("rust", Security::Tls);
}

#[test]
fn serves_go_over_noise_if_available() {
    serves("go", Security::Noise);
}

#[test]
fn serves_go_over_tls_if_available() {
    serves("go", Security::Tls);
}

#[test]
fn serves_rust_libp2p_over_noise_if_available() {
    serves("rust", Security::Noise);
}

#[test]
fn serves_rust_libp2p_over_tls_if_available() {
    serves("rust", Security::Tls);
}

/// Our node dials their server.
fn dials(peer: &str, security: Security) {
    let Some(command) = command(peer) else { return };
    let server = Server::start(command, stack(security));
    let mut driver = Driver::new(security);
    let connection = driver.dial(server.address());
    let facts = driver.facts(connection);
    assert_eq!(facts.security, Some(security));
    assert!(server.address().ends_with(&facts.remote_peer.to_string()));

    let ping = driver.open(connection, PING);
    let mut pings = Exchange::new(ping, pattern(PING_BYTES, 0));
    for turn in 1..=3 {
        driver.until(&mut [&mut pings], |pings| {
            pings[0].received().len() == PING_BYTES
        });
        assert_eq!(pings.received(), pattern(PING_BYTES, turn - 1));
        pings.again(pattern(PING_BYTES, turn));
    }
    driver.reset(ping);

    let mut requests: Vec<_> = (0..REQUESTS_AT_ONCE)
        .map(|seed| {
            let payload = pattern(REQUEST_BYTES, seed);
            let length = (REQUEST_BYTES as u32).to_be_bytes();
            let stream = driver.open(connection, REQUEST);
            Exchange::new(stream, [&length[..], &payload].concat()).then_finish()
        })
        .collect();
    driver.finish(&mut requests.iter_mut().collect::<Vec<_>>());
    for (seed, request) in requests.iter().enumerate() {
        assert_eq!(request.received(), pattern(REQUEST_BYTES, seed));
    }

    let sent = pattern(ECHO_BYTES, 7);
    let stream = driver.open(connection, ECHO);
    let mut echo = Exchange::new(stream, sent.clone()).then_finish();
    driver.finish(&mut [&mut echo]);
    assert!(echo.received() == sent, "the echo differs");

    driver.close();
    server.stop();
}

/// Their client dials our node.
fn serves(peer: &str, security: Security) {
    let Some(command) = command(peer) else { return };
    let mut driver = Driver::new(security);
    driver.serve(PING, driver::echo);
    driver.serve(ECHO, driver::echo);
    driver.serve(REQUEST, driver::answer);
    let address = driver.listen("/ip4/127.0.0.1/tcp/0");
    for (workload, count, bytes) in [
        ("ping", 5, PING_BYTES),
        ("rr-100", 400, REQUEST_BYTES),
        ("echo", 1, ECHO_BYTES),
        ("half-close", 1, 256 << 10),
    ] {
        let (n, bytes) = (count.to_string(), bytes.to_string());
        let words = ["--workload", workload, "--n", &n, "--bytes", &bytes];
        let bell = driver.bell();
        let client = Client::start(command, stack(security), &address, &words, move || {
            bell.ring()
        });
        driver.serve_until(|| client.has_ended());
        let line = client.line();
        let ops = format!("\"ops\":{count}");
        let is_right = line.split(['{', ',', '}']).any(|field| field == ops);
        assert!(is_right, "{peer} printed for {workload}: {line}");
    }
    driver.close();
}

/// Returns the command that runs the peer; `None` where a missing peer is not a failure.
fn command(peer: &str) -> Option<&'static [String]> {
    match peers::find(peer) {
        Ok(command) => Some(command),
        Err(missing) => {
            assert!(
                std::env::var_os("CI").is_none(),
                "no {peer} peer: {missing}"
            );
            // Past the harness, which shows the output of failures only.
            let line = format!("skipped: there is no {peer} peer here: {missing}\n");
            let _ = std::io::stderr().write_all(line.as_bytes());
            None
        }
    }
}

fn stack(security: Security) -> &'static str {
    match security {
        Security::Noise => "tcp-noise-yamux",
        Security::Tls => "tcp-tls-yamux",
    }
}

/// Returns bytes that encode their position, so that a gap or a swap is detected.
fn pattern(length: usize, seed: usize) -> Vec<u8> {
    // Neither 256 nor a frame's size is a multiple of the period.
    (0..length).map(|at| ((at + seed) % 251) as u8).collect()
}
