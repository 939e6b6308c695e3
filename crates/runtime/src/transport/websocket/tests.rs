use std::future::poll_fn;
use std::time::Duration;

use ferroswarm_secure::{Identity, KeyType, Keypair};
use ferroswarm_websocket::{Answer, RequestError, ResponseError};
use rcgen::{BasicConstraints, IsCa};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};

use super::testing::{certificate, self_signed};
use super::*;
use crate::live::Bell;
use crate::sync::Mutex;
use crate::transport::Carrier;

/// Nothing here takes long, but the machine may be small and busy.
const HANG: Duration = Duration::from_secs(120);

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime: Runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let test = async { tokio::time::timeout(HANG, test).await.expect("it hangs") };
    runtime.block_on(test)
}

fn settings(certificates: &[CertificatePem], trust: Trust) -> WebSockets {
    let options = WebSocketOptions {
        trust,
        ..WebSocketOptions::default()
    };
    options.certificates.replace(certificates).unwrap();
    WebSockets::new(options, &hub(), 1)
}

fn hub() -> Arc<Hub> {
    Hub::new(Box::new(Bell(Arc::default())))
}

fn address(text: &str) -> Address {
    Address::parse(&text.parse().unwrap()).unwrap().unwrap()
}

/// Listens on a port of the loopback interface; returns the listener and the address to dial, with
/// `suffix` after its port.
fn listen(listened: &str, suffix: &str) -> (Listener, Address) {
    let listener = Listener::bind(address(&format!("/ip4/127.0.0.1/tcp/0{listened}")), false);
    let listener = listener.unwrap();
    let bound = listener.tcp.local_address().unwrap();
    (listener, address(&format!("{bound}{suffix}")))
}

type Dialled = Result<RawConnection, ConnectError>;

/// Dials `address` with a time for the upgrade; returns the stage reached, too.
async fn dial_within(
    address: &Address,
    settings: &WebSockets,
    upgrade_timeout: Duration,
) -> (Stage, Dialled) {
    let keypair = Keypair::generate(KeyType::Ed25519).unwrap();
    let (stage, connected) = (Mutex::new(Stage::Connect), OnceLock::new());
    let dialling = Dialling {
        identity: &Identity::new(keypair).unwrap(),
        peer: None,
        host: None,
        stage: &stage,
        connected: &connected,
        upgrade_timeout,
    };
    let dialled = super::dial(address, settings, &dialling).await;
    (*stage.lock(), dialled)
}

async fn dial(address: &Address, settings: &WebSockets) -> Dialled {
    dial_within(address, settings, HANG).await.1
}

/// Dials what `listener` accepts.
async fn connect(listener: &Listener, address: &Address, settings: &WebSockets) -> [Dialled; 2] {
    let accepted = async { listener.accept().await.unwrap().open(settings).await };
    tokio::join!(dial(address, settings), accepted).into()
}

fn pipe(raw: Dialled) -> Arc<dyn BytePipe> {
    match raw.unwrap().carrier {
        Carrier::Pipe(pipe) => pipe,
        Carrier::Session(_) => panic!("expected a pipe"),
    }
}

async fn write(pipe: &dyn BytePipe, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match pipe.try_write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                poll_fn(|cx| pipe.poll_writable(cx)).await.unwrap();
            }
        }
    }
}

/// Reads `length` bytes, or up to the end.
async fn read(pipe: &dyn BytePipe, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match pipe.try_read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                poll_fn(|cx| pipe.poll_readable(cx)).await.unwrap();
            }
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::Interrupted),
        }
    }
    bytes.truncate(filled);
    bytes
}

async fn check_echo(dialled: &dyn BytePipe, accepted: &dyn BytePipe) {
    write(dialled, b"ping").await;
    assert_eq!(read(accepted, 4).await, b"ping");
    write(accepted, b"pong").await;
    assert_eq!(read(dialled, 4).await, b"pong");
}

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|index| ((index * 31) >> 3) as u8).collect()
}

#[test]
fn carries_16_mib_each_way_and_ends_in_order_over_every_address() {
    for (listened, dialled) in [
        ("/ws", "/ws"),
        ("/ws/http-path/p2p", "/ws/http-path/p2p"),
        (
            "/ws/http-path/my%20path%3Fa=%C3%BC%23",
            "/ws/http-path/my%20path%3Fa=%C3%BC%23",
        ),
        ("/tls/ws", "/wss"),
        ("/wss", "/tls/sni/a.example/ws"),
    ] {
        let pems = [certificate(&["a.example", "127.0.0.1"])];
        let trust = Trust::Roots(Roots::from_pem(&pems[0].chain).unwrap());
        let settings = settings(&pems, trust);
        run(async {
            let (listener, address) = listen(listened, dialled);
            let bound = listener.local_address().unwrap().to_string();
            assert!(bound.ends_with(listened), "{bound}");
            let [one, other] = connect(&listener, &address, &settings).await;
            let local = one.as_ref().unwrap().local.to_string();
            let remote = other.as_ref().unwrap().remote.to_string();
            assert_eq!(local.strip_suffix(dialled), remote.strip_suffix(listened));
            let (one, other) = (pipe(one), pipe(other));
            let sent = bytes(16 << 20);
            let there = async {
                write(&*one, &sent).await;
                one.shutdown().unwrap();
                let received = read(&*one, sent.len() + 1).await;
                assert!(received == sent);
            };
            let back = async {
                let received = read(&*other, sent.len()).await;
                write(&*other, &received).await;
                assert!(read(&*other, 1).await.is_empty());
            };
            tokio::join!(there, back);
        });
    }
}

#[test]
fn a_replaced_certificate_is_for_new_handshakes_and_drops_no_connection() {
    let (old, new) = (certificate(&["127.0.0.1"]), certificate(&["127.0.0.1"]));
    let trusting = |pem: &CertificatePem| {
        let roots = Trust::Roots(Roots::from_pem(&pem.chain).unwrap());
        settings(std::slice::from_ref(&old), roots)
    };
    let listening = trusting(&old);
    let dialling = trusting(&new);
    run(async {
        let (listener, address) = listen("/wss", "/wss");
        let [one, other] = connect(&listener, &address, &listening).await;
        let (one, other) = (pipe(one), pipe(other));
        check_echo(&*one, &*other).await;
        listening.certificates.replace(&[new]).unwrap();
        check_echo(&*one, &*other).await;
        let accepted = async { listener.accept().await.unwrap().open(&listening).await };
        let (dialled, accepted) = tokio::join!(dial(&address, &dialling), accepted);
        check_echo(&*pipe(dialled), &*pipe(accepted)).await;
        // The former one is not presented any more.
        let [refused, _] = connect(&listener, &address, &listening).await;
        assert!(matches!(refused, Err(ConnectError::TransportTls(_))));
    });
}

#[test]
fn trusts_no_certificate_of_another_root_or_name_unless_told_to() {
    let pems = [certificate(&["a.example"])];
    let roots = || Trust::Roots(Roots::from_pem(&pems[0].chain).unwrap());
    let stranger = Trust::Roots(Roots::from_pem(&certificate(&["b"]).chain).unwrap());
    let cases = [
        (roots(), "/tls/sni/a.example/ws", true),
        (roots(), "/tls/sni/b.example/ws", false),
        (roots(), "/wss", false),
        (stranger, "/tls/sni/a.example/ws", false),
        (Trust::System, "/tls/sni/a.example/ws", false),
        (Trust::Anyone, "/tls/sni/b.example/ws", true),
        (Trust::Anyone, "/wss", true),
    ];
    for (trust, suffix, expected) in cases {
        let text = format!("{trust:?} {suffix}");
        let settings = settings(&pems, trust);
        run(async {
            let (listener, address) = listen("/wss", suffix);
            let [dialled, accepted] = connect(&listener, &address, &settings).await;
            assert_eq!(accepted.is_ok(), expected, "{text}");
            match dialled {
                Ok(_) => assert!(expected, "{text}"),
                Err(error) => assert!(
                    !expected && matches!(error, ConnectError::TransportTls(_)),
                    "{text}: {error}"
                ),
            }
        });
    }
}

#[test]
fn without_a_certificate_no_handshake_succeeds() {
    let settings = settings(&[], Trust::Anyone);
    run(async {
        let (listener, address) = listen("/wss", "/wss");
        let [dialled, accepted] = connect(&listener, &address, &settings).await;
        assert!(matches!(dialled, Err(ConnectError::TransportTls(_))));
        assert!(matches!(accepted, Err(ConnectError::TransportTls(_))));
    });
}

#[test]
fn the_certificate_of_an_authority_is_named_as_that() {
    let authority = IsCa::Ca(BasicConstraints::Unconstrained);
    let pems = [self_signed(&["127.0.0.1"], authority)];
    let trust = Trust::Roots(Roots::from_pem(&pems[0].chain).unwrap());
    let settings = settings(&pems, trust);
    run(async {
        let (listener, address) = listen("/wss", "/wss");
        let [dialled, _] = connect(&listener, &address, &settings).await;
        assert!(matches!(dialled, Err(ConnectError::AuthorityCertificate)));
    });
}

#[test]
fn a_remote_that_leaves_during_the_handshake_of_tls_has_left() {
    let settings = settings(&[certificate(&["127.0.0.1"])], Trust::Anyone);
    run(async {
        for sent in [&b""[..], &[22, 3, 1, 2, 0]] {
            let (listener, address) = listen("/wss", "/wss");
            let mut socket = TcpStream::connect(address.socket()).await.unwrap();
            socket.write_all(sent).await.unwrap();
            drop(socket);
            let accepted = listener.accept().await.unwrap().open(&settings).await;
            let error = accepted.err().unwrap();
            assert!(error.is_departure(), "{error}");
        }
    });
}

/// Sends `request` to a listener; returns the answer up to its end, and the error of the listener.
fn exchange(listened: &str, request: &[u8]) -> (String, ConnectError) {
    let settings = WebSockets::default();
    run(async {
        let (listener, address) = listen(listened, "/ws");
        let dialer = async {
            let mut socket = TcpStream::connect(address.socket()).await.unwrap();
            // The listener may have seen enough before everything is sent.
            socket.write_all(request).await.ok();
            let mut answer = Vec::new();
            socket.read_to_end(&mut answer).await.unwrap();
            String::from_utf8(answer).unwrap()
        };
        let accepted = async { listener.accept().await.unwrap().open(&settings).await };
        let (answer, accepted) = tokio::join!(dialer, accepted);
        (answer, accepted.err().expect("no upgrade"))
    })
}

#[test]
fn anything_but_an_upgrade_gets_a_proper_answer() {
    let get = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";
    let upgrade = "GET /other HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let cases = [
        ("/ws", get.to_owned(), "404 Not Found"),
        ("/ws", get.replace("GET", "POST"), "404 Not Found"),
        (
            "/ws/http-path/other%20one",
            upgrade.to_owned(),
            "404 Not Found",
        ),
        ("/ws/http-path/p2p", upgrade.to_owned(), "404 Not Found"),
        ("/ws", upgrade.replace("13", "12"), "426 Upgrade Required"),
        (
            "/ws",
            "\x13/multistream/1.0.0\n".to_owned(),
            "400 Bad Request",
        ),
        (
            "/ws",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
            "400 Bad Request",
        ),
        (
            "/ws",
            get.replace("Host: a", &"A: b\r\n".repeat(65)),
            "431 Request Header Fields Too Large",
        ),
    ];
    for (listened, request, status) in cases {
        let (answer, _) = exchange(listened, request.as_bytes());
        let start = format!("HTTP/1.1 {status}\r\n");
        assert!(answer.starts_with(&start), "{request:?} {answer:?}");
        assert!(answer.contains("\r\nConnection: close"), "{answer}");
    }
    let (_, error) = exchange("/ws", get.as_bytes());
    assert!(matches!(error, ConnectError::NotWebSocket(method) if &*method == "GET"));
    let (_, error) = exchange("/ws", get.replace("GET", &"G".repeat(9_000)).as_bytes());
    let ConnectError::NotWebSocket(method) = error else {
        panic!("expected no upgrade, found {error}");
    };
    assert_eq!(&*method, "G".repeat(16));
}

/// The settings of a node whose application answers requests.
fn answering(certificates: &[CertificatePem]) -> WebSockets {
    let options = WebSocketOptions {
        passes_requests: true,
        ..WebSocketOptions::default()
    };
    options.certificates.replace(certificates).unwrap();
    WebSockets::new(options, &hub(), 1)
}

/// Takes the next request, once there is one.
async fn next_request(settings: &WebSockets) -> (u64, HttpRequest) {
    loop {
        match settings.requests().unwrap().take().pop() {
            Some(taken) => return taken,
            None => tokio::task::yield_now().await,
        }
    }
}

fn answer_of(text: &str) -> Answer {
    Answer::new(200, "OK", Vec::new(), text.into()).unwrap()
}

#[test]
fn the_application_answers_what_is_no_upgrade() {
    let settings = answering(&[]);
    run(async {
        let (listener, address) = listen("/ws", "/ws");
        let dialer = async {
            let mut socket = TcpStream::connect(address.socket()).await.unwrap();
            let head = "POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
            socket.write_all(head.as_bytes()).await.unwrap();
            let mut permission = [0; 25];
            socket.read_exact(&mut permission).await.unwrap();
            assert_eq!(&permission, b"HTTP/1.1 100 Continue\r\n\r\n");
            socket.write_all(b"bodymore").await.unwrap();
            let mut answer = String::new();
            socket.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let accepted = async { listener.accept().await.unwrap().open(&settings).await };
        let application = async {
            let (ticket, request) = next_request(&settings).await;
            assert_eq!(
                (&*request.head.method, &*request.head.target),
                ("POST", "/a")
            );
            assert_eq!(request.body, b"body");
            assert!(request.local.to_string().ends_with("/ws") && !request.is_secure);
            let requests = settings.requests().unwrap();
            assert!(requests.answer(ticket, answer_of("hello")));
            assert!(!requests.answer(ticket, answer_of("again")));
        };
        let (answer, accepted, ()) = tokio::join!(dialer, accepted, application);
        assert!(matches!(accepted, Err(ConnectError::Answered)));
        assert!(
            answer.ends_with("\r\nConnection: close\r\n\r\nhello"),
            "{answer}"
        );
        // Upgrades are what they were.
        let [dialled, accepted] = connect(&listener, &address, &settings).await;
        check_echo(&*pipe(dialled), &*pipe(accepted)).await;
    });
}

#[test]
fn pending_requests_of_a_listener_are_bounded_and_end_with_their_connections() {
    let settings = answering(&[]);
    let get = b"GET / HTTP/1.1\r\n\r\n";
    run(async {
        let (listener, address) = listen("/ws", "/ws");
        let mut asking = Vec::new();
        let connected = async || {
            let mut socket = TcpStream::connect(address.socket()).await.unwrap();
            socket.write_all(get).await.unwrap();
            let arrival = listener.accept().await.unwrap();
            (socket, Box::pin(arrival.open(&settings)))
        };
        for _ in 0..PENDING_MAX {
            let (socket, mut opening) = connected().await;
            let pending = async {
                while settings.requests().unwrap().take().is_empty() {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                _ = &mut opening => panic!("nobody has answered"),
                () = pending => {}
            }
            asking.push((socket, opening));
        }
        let beyond = async || {
            let (mut socket, opening) = connected().await;
            let mut answer = String::new();
            let reading = async {
                socket.read_to_string(&mut answer).await.unwrap();
                drop(socket);
            };
            let (opened, ()) = tokio::join!(opening, reading);
            (opened.err().unwrap(), answer)
        };
        let (error, answer) = beyond().await;
        assert!(matches!(error, ConnectError::NotWebSocket(_)));
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        // One that is given up leaves nothing, and makes room.
        drop(asking.pop());
        assert!(
            !settings
                .requests()
                .unwrap()
                .answer(PENDING_MAX as u64 - 1, answer_of("late"))
        );
        let served = async {
            let (ticket, _) = next_request(&settings).await;
            settings
                .requests()
                .unwrap()
                .answer(ticket, answer_of("room"))
        };
        let ((error, answer), is_awaited) = tokio::join!(beyond(), served);
        assert!(matches!(error, ConnectError::Answered) && is_awaited);
        assert!(answer.ends_with("room"), "{answer}");
    });
}

#[test]
fn a_head_is_cut_at_its_limit() {
    let endless = format!("GET / HTTP/1.1\r\nA: {}", "b".repeat(1 << 20));
    let settings = WebSockets::default();
    run(async {
        let (listener, address) = listen("/ws", "/ws");
        let dialer = async {
            let mut socket = TcpStream::connect(address.socket()).await.unwrap();
            socket.write_all(endless.as_bytes()).await.ok();
        };
        let accepted = async { listener.accept().await.unwrap().open(&settings).await };
        let ((), accepted) = tokio::join!(dialer, accepted);
        let error = accepted.err().unwrap();
        assert!(
            matches!(error, ConnectError::Upgrade(RequestError::TooLarge)),
            "{error}"
        );
    });
}

#[test]
fn a_server_that_is_silent_is_given_up_in_the_handshake_after_the_time_of_upgrades() {
    let settings = settings(&[], Trust::Anyone);
    run(async {
        for suffix in ["/ws", "/wss"] {
            let (_listener, address) = listen(suffix, suffix);
            let limit = Duration::from_millis(20);
            let (stage, dialled) = dial_within(&address, &settings, limit).await;
            assert_eq!(stage, Stage::Security);
            assert!(matches!(dialled, Err(ConnectError::Timeout)), "{suffix}");
        }
    });
}

#[test]
fn a_server_that_does_not_upgrade_fails_the_dial_with_its_status() {
    let settings = WebSockets::default();
    run(async {
        let (listener, _) = listen("/ws/http-path/p2p", "/ws");
        let bound = listener.tcp.local_address().unwrap();
        let address = address(&format!("{bound}/ws/http-path/other"));
        let [dialled, accepted] = connect(&listener, &address, &settings).await;
        let refused = dialled.err().unwrap();
        assert!(matches!(
            refused,
            ConnectError::UpgradeRefused(ResponseError::Status(404))
        ));
        assert!(matches!(accepted, Err(ConnectError::NotWebSocket(_))));
    });
}
