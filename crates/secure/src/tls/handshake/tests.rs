use std::io::Write;
use std::sync::Arc;

use proptest::prelude::*;
use rustls::AlertDescription;
use rustls::crypto::aws_lc_rs::default_provider;

use super::*;
use crate::identity::{Identity, KeyType, Keypair};
use crate::testing::{config, identity, run};
use crate::tls::certificate::tests::{altered, expired};
use crate::tls::testing::{
    client, client_config, client_with, feed, run_raw, server, server_config, take,
    valid_certificate,
};
use crate::{Handshake, Opened, Security};

fn start(role: Role, muxers: &[&str]) -> Handshake {
    Handshake::new(Security::Tls, role, &config(&identity(), muxers)).unwrap()
}

fn output(handshake: &mut Handshake) -> Vec<u8> {
    let mut out = Vec::new();
    handshake.poll_output(&mut out);
    out
}

fn refused(result: Result<Vec<u8>, HandshakeError>) -> rustls::Error {
    match result.unwrap_err() {
        HandshakeError::Tls(error) => error,
        other => panic!("expected a TLS error, found {other:?}"),
    }
}

fn refused_certificate(result: Result<Vec<u8>, HandshakeError>) -> CertificateError {
    match result.unwrap_err() {
        HandshakeError::Certificate(error) => error,
        other => panic!("expected a refused certificate, found {other:?}"),
    }
}

#[test]
fn identities_of_every_key_type_authenticate() {
    for key_type in [KeyType::Secp256k1, KeyType::Ecdsa, KeyType::Rsa] {
        let keypair = Keypair::generate(key_type).unwrap();
        let other = Arc::new(Identity::new(keypair).unwrap());
        let mut dialer = Handshake::new(Security::Tls, Role::Dialer, &config(&other, &[])).unwrap();
        let mut listener = start(Role::Listener, &[]);
        run(&mut dialer, &mut listener, usize::MAX).unwrap();
        let secured = listener.finish().unwrap();
        assert_eq!(secured.peer_id, *other.peer_id());
        assert_eq!(secured.public_key.key_type(), key_type);
    }
}

#[test]
fn the_dialers_first_common_muxer_is_chosen() {
    let chosen = |dialer: &[&str], listener: &[&str]| {
        let mut dialer = start(Role::Dialer, dialer);
        let mut listener = start(Role::Listener, listener);
        run(&mut dialer, &mut listener, usize::MAX).unwrap();
        let (dialer, listener) = (dialer.finish().unwrap(), listener.finish().unwrap());
        assert_eq!(dialer.muxer, listener.muxer);
        dialer.muxer
    };
    assert_eq!(chosen(&["/a", "/b"], &["/b", "/a"]).as_deref(), Some("/a"));
    assert_eq!(chosen(&["/c", "/b"], &["/a", "/b"]).as_deref(), Some("/b"));
    assert_eq!(chosen(&["/a"], &["/b"]), None);
    assert_eq!(chosen(&[], &["/a", "/b"]), None);
}

// A052
#[test]
fn a_client_that_offers_tls_1_2_only_is_refused() {
    let mut hello = vec![3, 3];
    hello.extend_from_slice(&[7; 32]);
    // No session, one cipher suite of TLS 1.2, no compression, no extensions.
    hello.extend_from_slice(&[0, 0, 2, 0xC0, 0x2B, 1, 0]);
    let length = hello.len() as u8;
    let mut record = vec![22, 3, 1, 0, length + 4, 1, 0, 0, length];
    record.extend_from_slice(&hello);
    let mut listener = start(Role::Listener, &[]);
    let error = listener.handle_input(&mut record).unwrap_err();
    assert!(matches!(error, HandshakeError::Tls(_)), "{error:?}");
    // An alert is pending.
    assert_eq!(output(&mut listener)[0], 21);
}

// A053
#[test]
fn a_client_without_certificate_is_refused() {
    let mut raw = client(client_config(default_provider(), None));
    let error = refused(run_raw(&mut start(Role::Listener, &[]), &mut raw));
    assert_eq!(error, rustls::Error::NoCertificatesPresented);
}

// A054
#[test]
fn a_chain_of_two_certificates_is_refused() {
    let generated = valid_certificate();
    let chain = vec![
        generated.certificate.clone(),
        valid_certificate().certificate,
    ];
    let mut raw = client(client_config(default_provider(), Some((chain, generated))));
    let error = refused_certificate(run_raw(&mut start(Role::Listener, &[]), &mut raw));
    assert_eq!(error, CertificateError::ChainLength { count: 2 });
}

// A055
#[test]
fn expired_certificates_are_refused_in_both_roles() {
    let keypair = Keypair::generate(KeyType::Ed25519).unwrap();
    let mut raw = client(client_with(expired(&keypair)));
    let error = refused_certificate(run_raw(&mut start(Role::Listener, &[]), &mut raw));
    assert_eq!(error, CertificateError::Expired);
    let mut raw = server(server_config(expired(&keypair)));
    let error = refused_certificate(run_raw(&mut start(Role::Dialer, &[]), &mut raw));
    assert_eq!(error, CertificateError::Expired);
}

// A060
#[test]
fn a_peer_must_agree_on_an_application_protocol() {
    let with_alpn = |names: &[&str]| {
        let mut config = client_with(valid_certificate());
        config.alpn_protocols = names.iter().map(|name| name.as_bytes().to_vec()).collect();
        let mut listener = start(Role::Listener, &["/a"]);
        run_raw(&mut listener, &mut client(config)).map(|_| listener.finish().unwrap().muxer)
    };
    assert!(matches!(with_alpn(&[]), Err(HandshakeError::MissingAlpn)));
    assert!(matches!(
        with_alpn(&["h2"]),
        Err(HandshakeError::Tls(rustls::Error::NoApplicationProtocol))
    ));
    assert_eq!(with_alpn(&["/a"]).unwrap().as_deref(), Some("/a"));
    assert_eq!(with_alpn(&["/b", "libp2p"]).unwrap(), None);

    let mut config = server_config(valid_certificate());
    config.alpn_protocols.clear();
    let result = run_raw(&mut start(Role::Dialer, &["/a"]), &mut server(config));
    assert!(matches!(result, Err(HandshakeError::MissingAlpn)));
}

// A061
#[test]
fn a_close_notify_ends_the_handshake() {
    let alert = [21, 3, 3, 0, 2, 1, 0];
    for role in [Role::Dialer, Role::Listener] {
        let mut handshake = start(role, &[]);
        assert!(handshake.handle_input(&mut alert.clone()).is_err());
    }
    let mut raw = client(client_with(valid_certificate()));
    let mut listener = start(Role::Listener, &[]);
    listener.handle_input(&mut take(&mut raw)).unwrap();
    assert!(listener.handle_input(&mut alert.clone()).is_err());
    assert!(matches!(
        listener.handle_input(&mut [0]),
        Err(HandshakeError::Failed)
    ));
}

// A062
#[test]
fn a_hello_in_records_of_one_byte_is_accepted() {
    let mut raw = client(client_with(valid_certificate()));
    let hello = take(&mut raw);
    let mut listener = start(Role::Listener, &["/a", "/b"]);
    for byte in &hello[HEADER_LENGTH..] {
        let mut record = [22, 3, 1, 0, 1, *byte];
        if listener.handle_input(&mut record).is_err() {
            // rustls may limit fragmentation.
            return;
        }
    }
    feed(&mut raw, &output(&mut listener)).unwrap();
    run_raw(&mut listener, &mut raw).unwrap();
    assert!(listener.is_complete());
}

// A063
#[test]
fn data_after_a_refused_certificate_is_not_delivered() {
    let keypair = Keypair::generate(KeyType::Ed25519).unwrap();
    let mut raw = client(client_with(expired(&keypair)));
    let mut listener = start(Role::Listener, &[]);
    listener.handle_input(&mut take(&mut raw)).unwrap();
    feed(&mut raw, &output(&mut listener)).unwrap();
    assert!(!raw.is_handshaking());
    raw.writer().write_all(b"early").unwrap();
    let error = refused_certificate(
        listener
            .handle_input(&mut take(&mut raw))
            .map(|_| Vec::new()),
    );
    assert_eq!(error, CertificateError::Expired);
    assert!(!listener.is_complete());
    let alert = output(&mut listener);
    let error = feed(&mut raw, &alert).unwrap_err();
    assert_eq!(
        error,
        rustls::Error::AlertReceived(AlertDescription::CertificateUnknown)
    );
    assert!(matches!(listener.finish(), Err(HandshakeError::Incomplete)));
}

// A064
#[test]
fn a_server_name_is_ignored_and_no_ticket_is_issued() {
    let mut config = client_with(valid_certificate());
    config.enable_sni = true;
    config.enable_early_data = true;
    let mut raw = client(config);
    let mut listener = start(Role::Listener, &[]);
    assert!(run_raw(&mut listener, &mut raw).unwrap().is_empty());
    assert!(listener.is_complete());
    let rustls::Connection::Client(raw) = raw else {
        unreachable!()
    };
    assert_eq!(raw.tls13_tickets_received(), 0);
    assert!(!raw.is_early_data_accepted());
}

#[test]
fn our_hello_has_no_server_name() {
    let hello = output(&mut start(Role::Dialer, &[]));
    let mut acceptor = Acceptor::default();
    acceptor.read_tls(&mut &hello[..]).unwrap();
    let accepted = acceptor.accept().ok().flatten().unwrap();
    assert_eq!(accepted.client_hello().server_name(), None);
}

#[test]
fn non_critical_unknown_extensions_are_accepted() {
    let keypair = Keypair::generate(KeyType::Ed25519).unwrap();
    let generated = altered(&keypair, |params| {
        let unknown = rcgen::CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
        params.custom_extensions.push(unknown);
    });
    let mut listener = start(Role::Listener, &[]);
    run_raw(&mut listener, &mut client(client_with(generated))).unwrap();
    assert_eq!(
        listener.finish().unwrap().peer_id,
        PeerId::from_public_key(keypair.public())
    );
}

#[test]
fn records_after_the_handshake_are_left_to_the_channel() {
    let mut raw = client(client_with(valid_certificate()));
    let mut listener = start(Role::Listener, &[]);
    listener.handle_input(&mut take(&mut raw)).unwrap();
    feed(&mut raw, &output(&mut listener)).unwrap();
    raw.writer().write_all(b"with the last flight").unwrap();
    let mut bytes = take(&mut raw);
    let consumed = listener.handle_input(&mut bytes).unwrap();
    let mut channel = listener.finish().unwrap().channel;
    let rest = &mut bytes[consumed..];
    match channel.open(rest).unwrap() {
        Opened::Record { plaintext, .. } => assert_eq!(&rest[plaintext], b"with the last flight"),
        other => panic!("expected a record, found {other:?}"),
    }
}

#[test]
fn overlong_and_invalid_records_are_refused_at_their_header() {
    let mut listener = start(Role::Listener, &[]);
    let error = listener
        .handle_input(&mut [22, 3, 1, 0x40, 0x00])
        .unwrap_err();
    assert!(
        matches!(error, HandshakeError::MessageTooLong { .. }),
        "{error:?}"
    );
    let mut listener = start(Role::Listener, &[]);
    let error = listener
        .handle_input(&mut b"GET / HTTP/1.1".to_owned())
        .unwrap_err();
    assert!(matches!(error, HandshakeError::Tls(_)), "{error:?}");
}

#[test]
fn repeated_malformed_records_get_one_alert() {
    let records: [&[u8]; 4] = [
        &[22, 3, 1, 0, 4, 1, 0xFF, 0xFF, 0xFF],
        &[22, 3, 1, 0, 8, 1, 0, 0, 0, 1, 0, 0, 0],
        &[22, 3, 1, 0, 0],
        &[23, 3, 1, 0, 1, 0],
    ];
    for record in records {
        let mut listener = start(Role::Listener, &[]);
        let error = listener.handle_input(&mut record.repeat(3)).unwrap_err();
        assert!(matches!(error, HandshakeError::Tls(_)), "{error:?}");
        let length = output(&mut listener).len();
        assert!(length == 0 || length == HEADER_LENGTH + 2, "{record:?}");
    }
}

#[test]
fn an_unexpected_peer_gets_an_alert() {
    let mut node = config(&identity(), &[]);
    let expected = *identity().peer_id();
    node.expected_peer = Some(expected);
    let mut dialer = Handshake::new(Security::Tls, Role::Dialer, &node).unwrap();
    let mut raw = server(server_config(valid_certificate()));
    feed(&mut raw, &output(&mut dialer)).unwrap();
    let error = dialer.handle_input(&mut take(&mut raw)).unwrap_err();
    assert!(
        matches!(error, HandshakeError::PeerIdMismatch { expected: found, .. } if found == expected)
    );
    let error = feed(&mut raw, &output(&mut dialer)).unwrap_err();
    assert_eq!(
        error,
        rustls::Error::AlertReceived(AlertDescription::CertificateUnknown)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn prop_arbitrary_input_never_panics(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..300),
        content_type in 20_u8..24,
        is_dialer in any::<bool>(),
    ) {
        let role = if is_dialer { Role::Dialer } else { Role::Listener };
        let mut record = vec![content_type, 3, 3, 0, bytes.len() as u8];
        record.append(&mut bytes);
        let _ = start(role, &[]).handle_input(&mut record);
    }
}
