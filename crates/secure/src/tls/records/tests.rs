use std::io::{Read, Write};

use rustls::Connection;
use rustls::crypto::aws_lc_rs::default_provider;

use super::*;
use crate::testing::{assert_opens, config, identity, pair, sealed};
use crate::tls::testing::{
    client, client_by, client_with, feed, run_raw, server, server_config, take, valid_certificate,
};
use crate::{Channel, Handshake, Role, Security};

/// Connects our listener to a rustls client with the given settings.
fn listener_to(settings: rustls::ClientConfig) -> (Channel, Connection) {
    let mut ours =
        Handshake::new(Security::Tls, Role::Listener, &config(&identity(), &[])).unwrap();
    let mut raw = client(settings);
    assert!(run_raw(&mut ours, &mut raw).unwrap().is_empty());
    (ours.finish().unwrap().channel, raw)
}

fn received(raw: &mut Connection, bytes: &[u8]) -> Vec<u8> {
    feed(raw, bytes).unwrap();
    let mut plaintext = vec![0; bytes.len()];
    let length = raw.reader().read(&mut plaintext).unwrap();
    plaintext.truncate(length);
    plaintext
}

fn sent(raw: &mut Connection, plaintext: &[u8]) -> Vec<u8> {
    raw.writer().write_all(plaintext).unwrap();
    take(raw)
}

fn tls(channel: Channel) -> TlsRecords {
    channel.into_tls()
}

/// Returns a record of any type.
fn control(records: &mut TlsRecords, content_type: u8, contents: &[u8]) -> Vec<u8> {
    let mut out = TlsRecords::HEADER.to_vec();
    out.extend_from_slice(contents);
    records.seal_content(&mut out, 0, content_type).unwrap();
    out
}

#[test]
fn exchanges_records_with_rustls_with_every_cipher() {
    for index in 0..3 {
        let mut provider = default_provider();
        provider.cipher_suites = vec![provider.cipher_suites[index]];
        let (mut channel, mut raw) = listener_to(client_by(provider, valid_certificate()));
        for length in [1, 2, 1_000, Channel::PLAINTEXT_MAX] {
            let plaintext = vec![length as u8; length];
            assert_eq!(
                received(&mut raw, &sealed(&mut channel, &plaintext)),
                plaintext
            );
            assert_opens(&mut channel, &mut sent(&mut raw, &plaintext), &plaintext);
        }
    }
}

#[test]
fn server_tickets_are_skipped() {
    let mut settings = server_config(valid_certificate());
    settings.send_tls13_tickets = 4;
    let mut raw = server(settings);
    let mut ours = Handshake::new(Security::Tls, Role::Dialer, &config(&identity(), &[])).unwrap();
    let mut tickets = run_raw(&mut ours, &mut raw).unwrap();
    let mut channel = ours.finish().unwrap().channel;
    assert!(!tickets.is_empty());
    let mut rest = &mut tickets[..];
    while !rest.is_empty() {
        let Opened::Control { consumed } = channel.open(rest).unwrap() else {
            panic!("expected a ticket")
        };
        rest = &mut rest[consumed..];
    }
    assert_opens(&mut channel, &mut sent(&mut raw, b"after"), b"after");
}

#[test]
fn key_updates_of_rustls_are_followed() {
    let (mut channel, mut raw) = listener_to(client_with(valid_certificate()));
    raw.refresh_traffic_keys().unwrap();
    let mut update = take(&mut raw);
    assert_eq!(
        channel.open(&mut update).unwrap(),
        Opened::Control {
            consumed: update.len()
        }
    );
    assert_opens(&mut channel, &mut sent(&mut raw, b"next key"), b"next key");
}

#[test]
fn a_requested_key_update_is_answered_once() {
    let (dialer, listener) = pair(Security::Tls);
    let (mut dialer, mut listener) = (tls(dialer), listener);
    let message = [MESSAGE_KEY_UPDATE, 0, 0, 1, UPDATE_REQUESTED];
    for _ in 0..3 {
        let mut update = control(&mut dialer, TYPE_HANDSHAKE, &message);
        dialer.outbound = Direction::new(dialer.kernel.next_outbound().unwrap());
        listener.open(&mut update).unwrap();
    }
    let mut answer = Vec::new();
    listener.poll_control(&mut answer).unwrap();
    let length = answer.len();
    assert_eq!(
        dialer.open(&mut answer).unwrap(),
        Opened::Control { consumed: length }
    );
    listener.poll_control(&mut answer).unwrap();
    assert_eq!(answer.len(), length);
    let mut record = sealed(&mut listener, b"answered");
    assert_opens(
        &mut Channel::tls(Box::new(dialer)),
        &mut record,
        b"answered",
    );
}

#[test]
fn a_key_at_its_limit_is_updated_after_the_record() {
    let (dialer, listener) = pair(Security::Tls);
    let (mut dialer, mut listener) = (tls(dialer), tls(listener));
    dialer.outbound.sealer.set_sequence(RECORDS_PER_KEY_MAX - 1);
    listener
        .inbound
        .sealer
        .set_sequence(RECORDS_PER_KEY_MAX - 1);
    let mut out = Vec::new();
    let start = begin(&mut out);
    out.extend_from_slice(b"last");
    dialer.seal(&mut out, start).unwrap();
    let (mut dialer, mut listener) = (
        Channel::tls(Box::new(dialer)),
        Channel::tls(Box::new(listener)),
    );
    let Opened::Record {
        plaintext,
        consumed,
    } = listener.open(&mut out).unwrap()
    else {
        panic!("expected a record")
    };
    assert_eq!(&out[plaintext], b"last");
    let update = &mut out[consumed..];
    assert_eq!(
        listener.open(update).unwrap(),
        Opened::Control {
            consumed: update.len()
        }
    );
    let mut record = sealed(&mut dialer, b"first");
    assert_opens(&mut listener, &mut record, b"first");
}

fn begin(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&TlsRecords::HEADER);
    start
}

#[test]
fn handshake_messages_may_be_split_but_not_interleaved() {
    let ticket = [&[MESSAGE_NEW_SESSION_TICKET, 0, 0, 3, 1, 2, 3][..]; 2].concat();
    for cut in 1..ticket.len() {
        let mut reader = PostHandshake::default();
        assert_eq!(reader.read(&ticket[..cut], true).unwrap(), None);
        assert_eq!(reader.read(&ticket[cut..], true).unwrap(), None);
        assert!(!reader.is_partial());
    }
    let mut reader = PostHandshake::default();
    assert_eq!(
        reader.read(&[MESSAGE_KEY_UPDATE, 0, 0], true).unwrap(),
        None
    );
    assert_eq!(reader.read(&[1], true).unwrap(), None);
    assert_eq!(reader.read(&[1], true).unwrap(), Some(true));

    let (dialer, mut listener) = pair(Security::Tls);
    let mut dialer = tls(dialer);
    let mut part = control(&mut dialer, TYPE_HANDSHAKE, &[MESSAGE_KEY_UPDATE, 0]);
    listener.open(&mut part).unwrap();
    let mut data = control(&mut dialer, TYPE_APPLICATION_DATA, b"between");
    assert!(matches!(
        listener.open(&mut data),
        Err(RecordError::UnexpectedRecord { .. })
    ));
}

#[test]
fn unexpected_post_handshake_messages_are_refused() {
    let messages: [&[u8]; 6] = [
        &[1, 0, 0, 0],
        &[MESSAGE_KEY_UPDATE, 0, 0, 2, 0, 0],
        &[MESSAGE_KEY_UPDATE, 0, 0, 1, 2],
        // Bytes after a key update would be sealed with the retired key.
        &[MESSAGE_KEY_UPDATE, 0, 0, 1, 0, MESSAGE_KEY_UPDATE],
        // Only servers issue tickets, and none of 16 MiB.
        &[MESSAGE_NEW_SESSION_TICKET, 0, 0, 1, 0],
        &[MESSAGE_NEW_SESSION_TICKET, 0xFF, 0xFF, 0xFF],
    ];
    for message in messages {
        let (dialer, mut listener) = pair(Security::Tls);
        let mut record = control(&mut tls(dialer), TYPE_HANDSHAKE, message);
        let error = listener.open(&mut record).unwrap_err();
        assert!(
            matches!(error, RecordError::UnexpectedMessage { .. }),
            "{message:?}"
        );
    }
}

#[test]
fn alerts_close_or_fail_the_channel() {
    let open = |contents: &[u8]| {
        let (dialer, mut listener) = pair(Security::Tls);
        let mut record = control(&mut tls(dialer), TYPE_ALERT, contents);
        listener.open(&mut record)
    };
    assert!(matches!(open(&[1, 0]), Ok(Opened::Closed { .. })));
    assert!(matches!(open(&[1, 90]), Ok(Opened::Control { .. })));
    assert!(matches!(
        open(&[2, 42]),
        Err(RecordError::Alert { description: 42 })
    ));
    assert!(matches!(
        open(&[2]),
        Err(RecordError::UnexpectedRecord {
            content_type: TYPE_ALERT
        })
    ));
}

#[test]
fn padding_is_removed_and_padding_only_records_are_refused() {
    let (dialer, mut listener) = pair(Security::Tls);
    let mut dialer = tls(dialer);
    let padded = [&b"data"[..], &[TYPE_APPLICATION_DATA], &[0; 100]].concat();
    let mut record = control(&mut dialer, 0, &padded);
    assert!(matches!(
        listener.open(&mut record),
        Ok(Opened::Record { plaintext, .. }) if &record[plaintext.clone()] == b"data"
    ));
    let mut record = control(&mut dialer, 0, &[0; 10]);
    assert!(matches!(
        listener.open(&mut record),
        Err(RecordError::UnexpectedRecord { content_type: 0 })
    ));
}

#[test]
fn plaintext_records_and_invalid_lengths_are_refused_at_their_header() {
    for header in [[21, 3, 3, 0, 2], [20, 3, 3, 0, 1], [22, 3, 3, 0, 4]] {
        let error = pair(Security::Tls).0.open(&mut header.clone()).unwrap_err();
        assert!(matches!(error, RecordError::UnexpectedRecord { .. }));
    }
    for length in [0_u16, 16, 16_641, 65_535] {
        let [high, low] = length.to_be_bytes();
        let error = pair(Security::Tls)
            .0
            .open(&mut [23, 3, 3, high, low])
            .unwrap_err();
        assert!(matches!(error, RecordError::RecordLength { .. }));
    }
}

#[test]
fn our_close_notify_reaches_rustls_and_ends_sending() {
    let (mut channel, mut raw) = listener_to(client_with(valid_certificate()));
    let mut out = sealed(&mut channel, b"last");
    channel.close(&mut out);
    let length = out.len();
    channel.close(&mut out);
    assert_eq!(out.len(), length);
    feed(&mut raw, &out).unwrap();
    let mut plaintext = Vec::new();
    // rustls reports a clean end only after a close_notify.
    raw.reader().read_to_end(&mut plaintext).unwrap();
    assert_eq!(plaintext, b"last");
    let start = channel.begin(&mut out);
    out.extend_from_slice(b"in the clear");
    assert!(matches!(
        channel.seal(&mut out, start),
        Err(RecordError::Closed)
    ));
    assert_eq!(out.len(), length);
}
