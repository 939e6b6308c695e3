//! Measures sealing and opening of 16 KiB records by rustls, by our record layer with the keys of a
//! TLS handshake, and by Noise; and the handshakes themselves.
//!
//! `cargo run --release -p ferroswarm-secure --example record_paths`
#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use ferroswarm_secure::{
    Channel, Handshake, HandshakeConfig, Identity, KeyType, Keypair, Opened, Role, Security,
};
use rustls::client::UnbufferedClientConnection;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::unbuffered::{ConnectionState, EncodeError, UnbufferedStatus};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, SignatureScheme, SupportedCipherSuite, version,
};

const RECORD: usize = Channel::PLAINTEXT_MAX;
/// Records sealed or opened between two clock reads: 256 KiB, which fits in the L2 cache.
const BATCH: usize = 16;
const ROUNDS: usize = 4_000;
const HANDSHAKES: usize = 400;

fn main() {
    let suites = [
        ("AES-128-GCM", cipher_suite::TLS13_AES_128_GCM_SHA256),
        ("AES-256-GCM", cipher_suite::TLS13_AES_256_GCM_SHA384),
        (
            "ChaCha20-Poly1305",
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ),
    ];
    println!(
        "{:<40}{:>10}{:>10}{:>10}{:>12}",
        "path", "seal", "open", "both", "both"
    );
    println!(
        "{:<40}{:>10}{:>10}{:>10}{:>12}",
        "", "ns/B", "ns/B", "ns/B", "MB/s"
    );
    for (name, suite) in suites {
        let mut pair = MixedPair::new(suite);
        // Warm-up before the measured run.
        pair.measure(ROUNDS / 10);
        let (rustls, ours) = pair.measure(ROUNDS);
        rustls.print(&format!("a  rustls, {name}"));
        ours.print(&format!("b  ours over TLS keys, {name}"));
    }
    measure_noise(ROUNDS / 10);
    measure_noise(ROUNDS).print("c  ours over Noise");
    for (name, security) in [("noise", Security::Noise), ("tls", Security::Tls)] {
        println!(
            "handshake, both ends, {name}: {:.0?}",
            measure_handshakes(security)
        );
    }
}

/// Durations of many batches.
#[derive(Default)]
struct Times {
    seal: Vec<Duration>,
    open: Vec<Duration>,
}

impl Times {
    /// Prints the median, to exclude noise from other load on the machine.
    fn print(mut self, path: &str) {
        let per_byte = |times: &mut Vec<Duration>| {
            times.sort_unstable();
            times[times.len() / 2].as_nanos() as f64 / (BATCH * RECORD) as f64
        };
        let (seal, open) = (per_byte(&mut self.seal), per_byte(&mut self.open));
        let both = seal + open;
        println!(
            "{path:<40}{seal:>10.4}{open:>10.4}{both:>10.4}{:>12.0}",
            1_000.0 / both
        );
    }
}

fn measure_noise(rounds: usize) -> Times {
    let (mut dialer, mut listener) = channels(Security::Noise);
    let (mut wire, plaintext) = (Vec::with_capacity(BATCH * (RECORD + 64)), vec![7; RECORD]);
    let mut times = Times::default();
    for _ in 0..rounds {
        times
            .seal
            .push(seal_batch(&mut dialer, &mut wire, &plaintext));
        times.open.push(open_batch(&mut listener, &mut wire));
    }
    times
}

fn seal_batch(channel: &mut Channel, wire: &mut Vec<u8>, plaintext: &[u8]) -> Duration {
    wire.clear();
    let started = Instant::now();
    for _ in 0..BATCH {
        let start = channel.begin(wire);
        wire.extend_from_slice(plaintext);
        channel.seal(wire, start).unwrap();
    }
    started.elapsed()
}

fn open_batch(channel: &mut Channel, wire: &mut [u8]) -> Duration {
    let started = Instant::now();
    let mut rest = wire;
    while !rest.is_empty() {
        let Opened::Record { consumed, .. } = channel.open(rest).unwrap() else {
            unreachable!()
        };
        rest = &mut rest[consumed..];
    }
    started.elapsed()
}

/// A dialer with rustls's record layer, and a listener with ours.
struct MixedPair {
    rustls: UnbufferedClientConnection,
    ours: Channel,
}

impl MixedPair {
    fn new(suite: SupportedCipherSuite) -> Self {
        let name = ServerName::try_from("example.org").unwrap();
        let mut rustls =
            UnbufferedClientConnection::new(Arc::new(raw_config(suite)), name).unwrap();
        let mut ours = Handshake::new(Security::Tls, Role::Listener, &config()).unwrap();
        let (mut to_rustls, mut to_ours) = (Vec::new(), Vec::new());
        while !ours.is_complete() {
            let status = rustls.process_tls_records(&mut to_rustls);
            let discard = status.discard;
            step(status, &mut to_ours);
            to_rustls.drain(..discard);
            let consumed = ours.handle_input(&mut to_ours).unwrap();
            to_ours.drain(..consumed);
            ours.poll_output(&mut to_rustls);
        }
        // rustls still needs confirmation that its last flight was sent.
        step(rustls.process_tls_records(&mut []), &mut to_ours);
        Self {
            rustls,
            ours: ours.finish().unwrap().channel,
        }
    }

    /// Returns the durations of rustls and of our record layer.
    fn measure(&mut self, rounds: usize) -> (Times, Times) {
        let (mut wire, plaintext) = (vec![0; BATCH * (RECORD + 64)], vec![7; RECORD]);
        let (mut rustls, mut ours) = (Times::default(), Times::default());
        for _ in 0..rounds {
            ours.seal
                .push(seal_batch(&mut self.ours, &mut wire, &plaintext));
            rustls.open.push(self.open_by_rustls(&mut wire));
            wire.resize(BATCH * (RECORD + 64), 0);
            let (length, sealed) = self.seal_by_rustls(&mut wire, &plaintext);
            rustls.seal.push(sealed);
            ours.open
                .push(open_batch(&mut self.ours, &mut wire[..length]));
        }
        (rustls, ours)
    }

    fn seal_by_rustls(&mut self, wire: &mut [u8], plaintext: &[u8]) -> (usize, Duration) {
        let status = self.rustls.process_tls_records(&mut []);
        let mut traffic = match status.state {
            Ok(ConnectionState::WriteTraffic(traffic)) => traffic,
            other => panic!("expected to write, found {other:?}"),
        };
        let mut length = 0;
        let started = Instant::now();
        for _ in 0..BATCH {
            length += traffic.encrypt(plaintext, &mut wire[length..]).unwrap();
        }
        (length, started.elapsed())
    }

    fn open_by_rustls(&mut self, wire: &mut [u8]) -> Duration {
        let (mut rest, mut opened) = (wire, 0);
        let started = Instant::now();
        while opened < BATCH * RECORD {
            let UnbufferedStatus {
                mut discard, state, ..
            } = self.rustls.process_tls_records(rest);
            if let Ok(ConnectionState::ReadTraffic(mut traffic)) = state {
                while let Some(record) = traffic.next_record() {
                    let record = record.unwrap();
                    discard += record.discard;
                    opened += record.payload.len();
                }
            }
            rest = &mut rest[discard..];
        }
        started.elapsed()
    }
}

fn step<Data>(status: UnbufferedStatus<'_, '_, Data>, out: &mut Vec<u8>) {
    match status.state.unwrap() {
        ConnectionState::EncodeTlsData(mut state) => {
            let Err(EncodeError::InsufficientSize(error)) = state.encode(&mut []) else {
                unreachable!()
            };
            let start = out.len();
            out.resize(start + error.required_size, 0);
            state.encode(&mut out[start..]).unwrap();
        }
        ConnectionState::TransmitTlsData(state) => state.done(),
        _ => {}
    }
}

fn measure_handshakes(security: Security) -> Duration {
    let (dialer, listener) = (config(), config());
    let mut times: Vec<Duration> = (0..HANDSHAKES)
        .map(|_| {
            let started = Instant::now();
            handshake(security, &dialer, &listener);
            started.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[HANDSHAKES / 2]
}

fn channels(security: Security) -> (Channel, Channel) {
    handshake(security, &config(), &config())
}

fn handshake(
    security: Security,
    dialer: &HandshakeConfig,
    listener: &HandshakeConfig,
) -> (Channel, Channel) {
    let mut dialer = Handshake::new(security, Role::Dialer, dialer).unwrap();
    let mut listener = Handshake::new(security, Role::Listener, listener).unwrap();
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

fn config() -> HandshakeConfig {
    let keypair = Keypair::generate(KeyType::Ed25519).unwrap();
    HandshakeConfig {
        identity: Arc::new(Identity::new(keypair).unwrap()),
        muxers: Arc::new([]),
        expected_peer: None,
    }
}

/// Returns the config of a rustls client with a libp2p certificate, restricted to one suite.
fn raw_config(suite: SupportedCipherSuite) -> ClientConfig {
    let mut provider = default_provider();
    provider.cipher_suites = vec![suite];
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = certificate(&key);
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let key = provider.key_provider.load_private_key(key.into()).unwrap();
    let certified = Arc::new(CertifiedKey::new(vec![certificate], key));
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AcceptAny))
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![b"libp2p".to_vec()];
    config
}

fn certificate(key: &rcgen::KeyPair) -> CertificateDer<'static> {
    let identity = Keypair::generate(KeyType::Ed25519).unwrap();
    let spki = rcgen::PublicKeyData::subject_public_key_info(key);
    let signature = identity
        .sign(&[b"libp2p-tls-handshake:", &spki[..]].concat())
        .unwrap();
    let public = identity.public().to_protobuf();
    // A sequence of two octet strings, all of them shorter than 128 bytes.
    let mut signed_key = vec![0x30, (4 + public.len() + signature.len()) as u8];
    for part in [public, signature] {
        signed_key.extend([0x04, part.len() as u8]);
        signed_key.extend(part);
    }
    let oid = [1, 3, 6, 1, 4, 1, 53_594, 1, 1];
    let extension = rcgen::CustomExtension::from_oid_content(&oid, signed_key);
    let mut params = rcgen::CertificateParams::default();
    params.custom_extensions.push(extension);
    params.self_signed(key).unwrap().der().clone()
}

/// Accepts any certificate: only the records matter here.
#[derive(Debug)]
struct AcceptAny;

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        unreachable!("TLS 1.2 is not compiled in")
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
