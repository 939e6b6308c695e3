//! Whole nodes over WebSocket.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ferroswarm_runtime::{CertificatePem, Limits, NodeOptions, Security, Trust, WebSocketOptions};

use crate::driver::{self, Bell, Driver, Exchange};
use crate::{ECHO, PING, PING_BYTES, REQUEST, pattern};

#[path = "../../src/transport/websocket/testing.rs"]
mod testing;

const BYTES: usize = 16 << 20;

#[test]
fn streams_over_ws_echo_16_mib_and_end_each_half_by_itself() {
    exchange("/ws", "/ws", Security::Noise);
}

#[test]
fn streams_over_wss_echo_16_mib_and_end_each_half_by_itself() {
    exchange("/tls/ws", "/tls/sni/a.example/ws", Security::Tls);
}

#[test]
fn a_remote_that_never_completes_its_request_is_dropped_in_time() {
    const TIMEOUT: Duration = Duration::from_millis(100);
    let mut driver = Driver::configured(Security::Noise, |options| {
        options.limits = Limits {
            inbound_upgrade_timeout: TIMEOUT,
            ..Limits::default()
        };
    });
    for (suffix, sent) in [
        ("/ws", &b"GET / HTTP/1.1\r\nHost: a\r\n"[..]),
        ("/wss", b""),
    ] {
        let address = driver.listen(&format!("/ip4/127.0.0.1/tcp/0{suffix}"));
        let port = address.split('/').nth(4).expect("a port");
        let started = Instant::now();
        let mut socket = TcpStream::connect(format!("127.0.0.1:{port}")).expect("a listener");
        socket.write_all(sent).expect("a connection");
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).expect("an end");
        assert!(
            answer.is_empty() && started.elapsed() >= TIMEOUT,
            "{suffix}"
        );
    }
    driver.close();
}

/// A node that serves in a thread of its own.
struct Served {
    address: String,
    done: Arc<AtomicBool>,
    bell: Arc<Bell>,
    thread: thread::JoinHandle<()>,
}

impl Served {
    fn start(address: &str, security: Security) -> Self {
        let mut driver = Driver::configured(security, options);
        driver.serve(PING, driver::echo);
        driver.serve(ECHO, driver::echo);
        driver.serve(REQUEST, driver::answer);
        let address = driver.listen(address);
        let done = Arc::new(AtomicBool::new(false));
        let bell = driver.bell();
        let flag = Arc::clone(&done);
        let thread = thread::spawn(move || {
            driver.serve_until(|| flag.load(Ordering::SeqCst));
            driver.close();
        });
        Self {
            address,
            done,
            bell,
            thread,
        }
    }

    fn stop(self) {
        self.done.store(true, Ordering::SeqCst);
        self.bell.ring();
        self.thread.join().expect("the server serves");
    }
}

fn options(options: &mut NodeOptions) {
    let web_socket = WebSocketOptions {
        trust: Trust::Anyone,
        ..WebSocketOptions::default()
    };
    let certificates = [testing::certificate(&["a.example"])];
    web_socket
        .certificates
        .replace(&certificates)
        .expect("a certificate of ours");
    options.web_socket = web_socket;
}

fn exchange(listened: &str, dialled: &str, security: Security) {
    let server = Served::start(&format!("/ip4/127.0.0.1/tcp/0{listened}"), security);
    let mut driver = Driver::configured(security, options);
    let connection = driver.dial(&server.address.replacen(listened, dialled, 1));
    let facts = driver.facts(connection);
    assert!(facts.remote_address.to_string().ends_with(dialled));

    let stream = driver.open(connection, PING);
    let mut pings = Exchange::new(stream, pattern(PING_BYTES, 1));
    driver.until(&mut [&mut pings], |pings| {
        pings[0].received().len() == PING_BYTES
    });

    let sent = pattern(BYTES, 7);
    let stream = driver.open(connection, ECHO);
    let mut echo = Exchange::new(stream, sent.clone()).then_finish();
    // Answered only after our half has ended.
    let request = [&(BYTES as u32).to_be_bytes()[..], &sent].concat();
    let stream = driver.open(connection, REQUEST);
    let mut request = Exchange::new(stream, request).then_finish();
    driver.finish(&mut [&mut echo, &mut request]);
    assert!(echo.received() == sent, "the echo differs");
    assert!(request.received() == sent, "the answer differs");

    driver.close();
    server.stop();
}
