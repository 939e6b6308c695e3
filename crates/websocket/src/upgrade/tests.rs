use std::collections::VecDeque;
use std::io::{self, Read, Write};

use tungstenite::handshake::HandshakeError;
use tungstenite::handshake::client::{ClientHandshake, generate_key};
use tungstenite::http;

use super::*;
use crate::error::{RequestError, ResponseError};

/// The key of RFC 6455, section 1.3, and the nonce that it encodes.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const NONCE: [u8; 16] = *b"the sample nonce";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

fn upgrade() -> String {
    lines(&[
        "GET /chat HTTP/1.1",
        "Host: server.example.com",
        "Upgrade: websocket",
        "Connection: keep-alive, Upgrade",
        &format!("Sec-WebSocket-Key: {KEY}"),
        "Sec-WebSocket-Version: 13",
    ])
}

fn switch() -> String {
    lines(&[
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        &format!("Sec-WebSocket-Accept: {ACCEPT}"),
    ])
}

fn lines(lines: &[&str]) -> String {
    format!("{}\r\n\r\n", lines.join("\r\n"))
}

fn read(input: impl AsRef<[u8]>) -> Result<Option<Request>, RequestError> {
    RequestReader::default().read(input.as_ref())
}

/// Reads `input` as it grows byte by byte.
fn read_slowly(input: &[u8]) -> Result<Option<Request>, RequestError> {
    let mut reader = RequestReader::default();
    (0..input.len())
        .map(|end| reader.read(&input[..=end]))
        .find(|read| !matches!(read, Ok(None)))
        .unwrap_or(Ok(None))
}

fn respond(input: impl AsRef<[u8]>) -> Result<Option<usize>, ResponseError> {
    UpgradeRequest::with_nonce(NONCE).read_response(input.as_ref())
}

#[test]
fn reads_the_request_of_the_specification_however_it_arrives() {
    let text = upgrade();
    let expected = Request {
        method: "GET".into(),
        target: "/chat".into(),
        host: Some("server.example.com".into()),
        kind: RequestKind::Upgrade {
            accept: ACCEPT.into(),
        },
        head_bytes: text.len(),
    };
    assert_eq!(read(&text), Ok(Some(expected.clone())));
    assert_eq!(read(format!("{text}\x02\x00")), Ok(Some(expected.clone())));
    assert_eq!(read_slowly(text.as_bytes()), Ok(Some(expected.clone())));
    // Line feeds alone are accepted, as RFC 9112 permits.
    let head_bytes = text.len() - text.lines().count();
    let expected = Ok(Some(Request {
        head_bytes,
        ..expected
    }));
    assert_eq!(read_slowly(text.replace('\r', "").as_bytes()), expected);
}

#[test]
fn anything_else_is_no_upgrade() {
    let texts = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "POST /a?b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        "GET / HTTP/1.1\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nSec-WebSocket-Key: none\r\n\r\n",
    ];
    for text in texts {
        let request = read(text).unwrap().unwrap();
        assert_eq!(request.kind, RequestKind::Other, "{text}");
    }
    let posted = read(texts[2]).unwrap().unwrap();
    assert_eq!((&*posted.method, &*posted.target), ("POST", "/a?b"));
    assert_eq!(&texts[2][posted.head_bytes..], "abc");
}

#[test]
fn refuses_upgrades_that_violate_the_specification() {
    let cases = [
        ("GET", "POST", RequestError::NotUpgradable, 400),
        ("HTTP/1.1", "HTTP/1.0", RequestError::NotUpgradable, 400),
        (
            "keep-alive, Upgrade",
            "keep-alive",
            RequestError::NotUpgradable,
            400,
        ),
        (
            "Host: s",
            "Content-Length: 5\r\nHost: s",
            RequestError::NotUpgradable,
            400,
        ),
        (
            "Host: s",
            "Transfer-Encoding: chunked\r\nHost: s",
            RequestError::NotUpgradable,
            400,
        ),
        ("Host: s", "Hots: s", RequestError::Host, 400),
        ("Host: s", "Host: t\r\nHost: s", RequestError::Host, 400),
        ("Version: 13", "Version: 8", RequestError::Version, 426),
        ("Version: 13", "Version: 13, 8", RequestError::Version, 426),
        (
            "Sec-WebSocket-Version: 13\r\n",
            "",
            RequestError::Version,
            426,
        ),
        (KEY, "dGhlIHNhbXBsZSBub25jZQ", RequestError::Key, 400),
        (KEY, "dGhlIHNhbXBsZQ==", RequestError::Key, 400),
        (KEY, "", RequestError::Key, 400),
        (
            "Upgrade: w",
            "Sec-WebSocket-Key: x\r\nUpgrade: w",
            RequestError::Key,
            400,
        ),
    ];
    for (part, with, expected, status) in cases {
        let text = upgrade().replacen(part, with, 1);
        assert_ne!(text, upgrade());
        assert_eq!(read(&text), Err(expected), "{text}");
        assert_eq!(read_slowly(text.as_bytes()), Err(expected), "{text}");
        assert_eq!(expected.status().code, status);
    }
}

#[test]
fn detects_what_is_not_http_at_its_first_bytes() {
    let inputs: [&[u8]; 7] = [
        b"\x13/multistream/1.0.0\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xFC",
        b"\0\0\0\0",
        b"\r\n",
        b"G\xC3T / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\nNo colon\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];
    for input in inputs {
        let refused = read(input);
        assert!(
            matches!(refused, Err(RequestError::Malformed(_))),
            "{input:?} {refused:?}"
        );
        assert!(read_slowly(input).is_err(), "{input:?}");
    }
}

#[test]
fn heads_are_bounded_in_bytes_and_in_headers() {
    let request = |count: usize, length: usize| {
        let header = format!("A: {}\r\n", "b".repeat(length));
        format!("GET / HTTP/1.1\r\n{}\r\n", header.repeat(count))
    };
    assert!(matches!(read(request(64, 100)), Ok(Some(_))));
    let many = read(request(65, 100));
    assert_eq!(many, Err(RequestError::TooManyHeaders));
    assert_eq!(many.unwrap_err().status().code, 431);
    let end = HEAD_BYTES_MAX - request(1, 0).len();
    assert!(matches!(read(request(1, end)), Ok(Some(_))));
    assert_eq!(read(request(1, end + 1)), Err(RequestError::TooLarge));
    let slow = read_slowly(request(1, end + 1).as_bytes());
    assert_eq!(slow, Err(RequestError::TooLarge));
    assert_eq!(RequestError::TooLarge.status().code, 431);
    let response = |count: usize, length: usize| {
        request(count, length).replacen("GET / HTTP/1.1", "HTTP/1.1 101 S", 1)
    };
    assert_eq!(respond(response(65, 9)), Err(ResponseError::TooManyHeaders));
    assert_eq!(
        respond(response(1, HEAD_BYTES_MAX)),
        Err(ResponseError::TooLarge)
    );
}

/// Reads that parse nothing cost next to nothing: the parser runs once per doubling.
#[test]
fn a_slow_remote_makes_nobody_parse_its_request_again_for_each_byte() {
    let text = upgrade();
    let mut scan = head::HeadScan::default();
    let due = (0..text.len()).filter(|end| scan.is_due(&text.as_bytes()[..=*end]));
    assert!(due.count() <= 10);
}

#[test]
fn the_answer_to_an_upgrade_and_to_anything_else() {
    let mut out = Vec::new();
    append_switch(ACCEPT, &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), switch());
    let refusal = |status| {
        let mut out = Vec::new();
        append_refusal(status, b"GET / HTTP/1.1\r\n\r\n", &mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(
        refusal(Status::NOT_FOUND),
        "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Type: text/plain\r\n\
         Content-Length: 14\r\n\r\n404 Not Found\n"
    );
    let version = refusal(Status::UPGRADE_REQUIRED);
    assert!(
        version.contains("\r\nSec-WebSocket-Version: 13\r\n"),
        "{version}"
    );
}

#[test]
fn a_head_is_answered_by_a_head() {
    for (request, body) in [
        ("HEAD /", ""),
        ("GET /", "404 Not Found\n"),
        ("HEADS /", "404 Not Found\n"),
    ] {
        let mut out = Vec::new();
        append_refusal(Status::NOT_FOUND, request.as_bytes(), &mut out);
        let answer = String::from_utf8(out).unwrap();
        let (head, found) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("Content-Length: 14"), "{head}");
        assert_eq!(found, body, "{request}");
    }
}

#[test]
fn a_request_is_for_the_path_that_its_dialer_was_given() {
    let request = |target: &str| {
        read(format!("GET {target} HTTP/1.1\r\n\r\n"))
            .unwrap()
            .unwrap()
    };
    for path in [
        "",
        "/",
        "p2p",
        "/p2p",
        "my path",
        "\u{fc}/#<>\"{}",
        "a?b=c",
        "%41",
    ] {
        let mut out = Vec::new();
        UpgradeRequest::with_nonce(NONCE).append("a", path, &mut out);
        let sent = read(&out).unwrap().unwrap();
        assert!(sent.is_for(path), "{path:?} {sent:?}");
        for form in ["http://a.example:9", "ws://[::1]", "https://a"] {
            assert!(
                request(&format!("{form}{}", sent.target)).is_for(path),
                "{form}"
            );
        }
        let separator = if path.contains('?') { '&' } else { '?' };
        assert!(request(&format!("{}{separator}token=1", sent.target)).is_for(path));
        assert!(!request(&format!("{}x", sent.target)).is_for(path));
        assert!(!sent.is_for("other"));
    }
    assert!(request("http://a").is_for("/"));
    assert!(!request("/a://b/p2p").is_for("/p2p"));
    assert!(!request("/p2p").is_for("/p2p?a"));
}

#[test]
fn accepts_only_the_answer_that_the_specification_demands() {
    assert_eq!(respond(switch()), Ok(Some(switch().len())));
    assert_eq!(
        respond(format!("{}\x02", switch())),
        Ok(Some(switch().len()))
    );
    let mut slow = UpgradeRequest::with_nonce(NONCE);
    for end in 0..switch().len() {
        assert_eq!(slow.read_response(&switch().as_bytes()[..end]), Ok(None));
    }
    assert_eq!(
        slow.read_response(switch().as_bytes()),
        Ok(Some(switch().len()))
    );
    let cases = [
        (
            "101 Switching Protocols",
            "404 Not Found",
            ResponseError::Status(404),
        ),
        (
            "101 Switching Protocols",
            "302 Found",
            ResponseError::Status(302),
        ),
        ("HTTP/1.1", "HTTP/1.0", ResponseError::NotWebSocket),
        (
            "Upgrade: websocket",
            "Upgrade: h2c",
            ResponseError::NotWebSocket,
        ),
        (
            "Connection: Upgrade",
            "Connection: close",
            ResponseError::NotWebSocket,
        ),
        (
            ACCEPT,
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOO=",
            ResponseError::Accept,
        ),
        ("Sec-WebSocket-Accept", "Accept", ResponseError::Accept),
        (
            "Upgrade: w",
            "Sec-WebSocket-Extensions: permessage-deflate\r\nUpgrade: w",
            ResponseError::NotOffered,
        ),
        (
            "Upgrade: w",
            "Sec-WebSocket-Protocol: chat\r\nUpgrade: w",
            ResponseError::NotOffered,
        ),
    ];
    for (part, with, expected) in cases {
        assert_eq!(
            respond(switch().replacen(part, with, 1)),
            Err(expected),
            "{with}"
        );
    }
    assert!(matches!(
        respond("SSH-2.0-OpenSSH\r\n"),
        Err(ResponseError::Malformed(_))
    ));
}

#[test]
fn a_request_has_no_characters_that_end_a_line_or_a_target() {
    let request = |host: &str, path: &str| {
        let mut out = Vec::new();
        UpgradeRequest::with_nonce(NONCE).append(host, path, &mut out);
        let request = read(&out).unwrap().unwrap();
        assert!(matches!(request.kind, RequestKind::Upgrade { .. }));
        assert_eq!(request.head_bytes, out.len());
        (request.host.unwrap(), request.target)
    };
    let cases = [
        ("", "/"),
        ("/", "/"),
        ("p2p/ws?a=b", "/p2p/ws?a=b"),
        ("/a b\r\nHost: c", "/a%20b%0D%0AHost:%20c"),
        ("/%7E\u{e9}#f", "/%7E%C3%A9%23f"),
    ];
    for (path, target) in cases {
        assert_eq!(&*request("a", path).1, target);
    }
    let (host, _) = request("a.example\r\n\r\n:1", "/");
    assert_eq!(&*host, "a.example:1");
    assert_eq!(&*request("[::1]:4001", "/").0, "[::1]:4001");
}

/// Both directions of a connection between our end and the oracle's.
#[derive(Debug, Default)]
struct Wire {
    inbound: VecDeque<u8>,
    outbound: Vec<u8>,
}

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.inbound.read(into)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.outbound.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_oracle_accepts_our_request_and_we_its_answer() {
    let mut request = UpgradeRequest::new().unwrap();
    let mut wire = Wire::default();
    let mut out = Vec::new();
    request.append("localhost:9", "/chat", &mut out);
    wire.inbound.extend(out);
    let accepted = tungstenite::accept(wire).unwrap();
    let answer = accepted.get_ref().outbound.clone();
    assert_eq!(request.read_response(&answer), Ok(Some(answer.len())));
}

#[test]
fn we_accept_the_oracles_request_and_it_our_answer() {
    let request = http::Request::builder()
        .uri("ws://localhost:9/chat")
        .header("Host", "localhost:9")
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", generate_key())
        .body(())
        .unwrap();
    let handshake = ClientHandshake::start(Wire::default(), request, None).unwrap();
    let Err(HandshakeError::Interrupted(mut waiting)) = handshake.handshake() else {
        panic!("expected to wait for the answer");
    };
    let wire = waiting.get_mut().get_mut();
    let request = read(&wire.outbound).unwrap().unwrap();
    let RequestKind::Upgrade { accept } = &request.kind else {
        panic!("expected an upgrade");
    };
    assert_eq!(
        (&*request.target, request.host.as_deref()),
        ("/chat", Some("localhost:9"))
    );
    let mut out = Vec::new();
    append_switch(accept, &mut out);
    wire.inbound.extend(out);
    assert!(waiting.handshake().is_ok());
}
