use std::task::Waker;

use rustls::pki_types::ServerName;
use tokio::runtime::Builder;

use super::*;
use crate::error::TransportFault;
use crate::testing::pipe;
use crate::transport::websocket::Certificates;
use crate::transport::websocket::certificates::{DialerConfig, Trust, listener_config};
use crate::transport::websocket::testing::certificate;

/// Both ends after a handshake over a socket that holds `capacity` bytes in each direction.
fn connected(capacity: usize) -> [TlsPipe; 2] {
    let (one, other) = pipe(capacity);
    let certificates = Arc::new(Certificates::default());
    certificates
        .replace(&[certificate(&["a.example"])])
        .unwrap();
    let runtime = Builder::new_current_thread().build().unwrap();
    let (dialled, accepted) = runtime.block_on(async {
        let config = DialerConfig::new(Trust::Anyone).load().await.unwrap();
        let name = ServerName::try_from("a.example").unwrap();
        let dialer = ClientConnection::new(config, name).unwrap();
        let listener = ServerConnection::new(listener_config(&certificates).unwrap()).unwrap();
        tokio::join!(
            TlsPipe::dial(Arc::new(one), dialer),
            TlsPipe::accept(Arc::new(other), listener)
        )
    });
    [dialled.unwrap(), accepted.unwrap()]
}

fn is_readable(pipe: &TlsPipe) -> bool {
    pipe.poll_readable(&mut Context::from_waker(Waker::noop()))
        .is_ready()
}

/// However little the socket holds: a write that it has refused in part is repeated, and counts once.
#[test]
fn bytes_arrive_once_and_in_order() {
    let bytes: Vec<u8> = (0..100_000_u32).map(|index| (index >> 3) as u8).collect();
    for capacity in [50, 1_000, 20_000, 1 << 20] {
        let [mut writer, mut reader] = connected(capacity);
        for _ in 0..2 {
            let (mut sent, mut received) = (0, Vec::new());
            let mut piece = [0; 3_000];
            while received.len() < bytes.len() {
                match writer.try_write(&bytes[sent..]) {
                    Ok(count) => sent += count,
                    Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
                }
                match reader.try_read(&mut piece) {
                    Ok(count) => received.extend_from_slice(&piece[..count]),
                    Err(error) => assert!(matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                    )),
                }
            }
            assert!(received == bytes && sent <= bytes.len(), "{capacity}");
            std::mem::swap(&mut writer, &mut reader);
        }
    }
}

#[test]
fn decrypted_bytes_that_nobody_has_read_are_readable_and_so_is_the_end() {
    let [writer, reader] = connected(1 << 16);
    assert!(!is_readable(&reader));
    writer.try_write(b"hello").unwrap();
    let mut piece = [0; 2];
    assert_eq!(reader.try_read(&mut piece).unwrap(), 2);
    assert!(is_readable(&reader));
    assert_eq!(reader.try_read(&mut [0; 9]).unwrap(), 3);
    assert!(!is_readable(&reader));
    writer.close();
    assert!(is_readable(&reader));
    assert_eq!(reader.try_read(&mut piece).unwrap(), 0);
}

#[test]
fn an_altered_record_is_an_error() {
    let [writer, reader] = connected(1 << 16);
    writer.try_write(b"hello").unwrap();
    // A record of 17 bytes that nobody has encrypted.
    let forged = [&[23, 3, 3, 0, 17][..], &[0; 17]].concat();
    assert_eq!(writer.inner.try_write(&forged).unwrap(), forged.len());
    let mut piece = [0; 100];
    assert_eq!(reader.try_read(&mut piece).unwrap(), 5);
    let error = reader.try_read(&mut piece).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    let (fault, _) = TransportFault::within(&error).unwrap();
    assert_eq!(fault, TransportFault::Tls);
    // From our end on, the socket is read until the remote has closed it.
    reader.shutdown().unwrap();
    let kind = |reader: &TlsPipe| reader.try_read(&mut [0; 100]).unwrap_err().kind();
    assert_eq!(kind(&reader), io::ErrorKind::WouldBlock);
    writer.inner.try_write(&forged).unwrap();
    assert_eq!(kind(&reader), io::ErrorKind::Interrupted);
    writer.inner.close();
    assert_eq!(reader.try_read(&mut [0; 100]).unwrap(), 0);
}

#[test]
fn the_last_record_counts_without_what_seals_it() {
    let [writer, reader] = connected(1 << 16);
    let (mut piece, seal) = ([0; 1_000], 5 + 1 + 16);
    writer.try_write(&[7; 500]).unwrap();
    assert_eq!(writer.unaccepted(), Some(500));
    writer.try_write(&[7; 28]).unwrap();
    assert_eq!(writer.unaccepted(), Some(500 + seal + 28));
    assert_eq!(
        reader.inner.try_read(&mut piece[..500 + seal]).unwrap(),
        500 + seal
    );
    assert_eq!(writer.unaccepted(), Some(28));
    assert_eq!(reader.inner.try_read(&mut piece).unwrap(), 28 + seal);
    assert_eq!(writer.unaccepted(), Some(0));
}

#[test]
fn the_writer_is_told_of_a_record_once_the_socket_has_taken_it() {
    let [writer, reader] = connected(100);
    assert_eq!(
        writer.try_write(&[7; 500]).unwrap_err().kind(),
        io::ErrorKind::WouldBlock
    );
    assert_eq!(writer.unaccepted(), Some(0));
    assert_eq!(reader.inner.try_read(&mut [0; 100]).unwrap(), 100);
    assert_eq!(
        writer.try_write(&[7; 500]).unwrap_err().kind(),
        io::ErrorKind::WouldBlock
    );
    assert_eq!(writer.unaccepted(), Some(0));
}
