//! Number of bytes written to a TCP socket that the remote host has not acknowledged.
//!
//! A successful write only means that the kernel's buffer accepted the bytes, which may be
//! megabytes ahead of the remote. No socket crate exposes the length of the send queue.

use std::io;

#[cfg(unix)]
use std::os::fd::AsFd as AsSocket;
#[cfg(windows)]
use std::os::windows::io::AsSocket;

/// Returns the number of bytes in the send queue of a TCP socket: sent but not acknowledged, or not
/// yet sent.
///
/// # Errors
/// The system's error; `Unsupported` on platforms without such a query.
pub fn unacknowledged(socket: &impl AsSocket) -> io::Result<usize> {
    queued(socket)
}

/// `TIOCOUTQ` equals `SIOCOUTQ` of tcp(7).
#[cfg(any(target_os = "linux", target_os = "android"))]
fn queued(socket: &impl AsSocket) -> io::Result<usize> {
    use std::os::fd::AsRawFd;

    let mut bytes: libc::c_int = 0;
    let socket = socket.as_fd().as_raw_fd();
    // SAFETY: the descriptor is borrowed and therefore open; the request writes one int, and the
    // pointer is valid for it.
    let result = unsafe { libc::ioctl(socket, libc::TIOCOUTQ, &raw mut bytes) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(usize::try_from(bytes).unwrap_or(0))
}

#[cfg(target_vendor = "apple")]
fn queued(socket: &impl AsSocket) -> io::Result<usize> {
    use std::os::fd::AsRawFd;

    let mut bytes: libc::c_int = 0;
    let mut length = size_of::<libc::c_int>() as libc::socklen_t;
    let socket = socket.as_fd().as_raw_fd();
    // SAFETY: the descriptor is borrowed and therefore open; the option is one int, the pointer is
    // valid for it, and `length` is its size.
    let result = unsafe {
        libc::getsockopt(
            socket,
            libc::SOL_SOCKET,
            libc::SO_NWRITE,
            (&raw mut bytes).cast(),
            &raw mut length,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(usize::try_from(bytes).unwrap_or(0))
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn queued(_: &impl AsSocket) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(all(
    test,
    any(target_os = "linux", target_os = "android", target_vendor = "apple")
))]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn counts_bytes_that_a_stalled_remote_has_no_room_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        assert_eq!(unacknowledged(&near).unwrap(), 0);
        near.set_nonblocking(true).unwrap();
        let mut written = 0;
        while let Ok(count) = near.write(&[7; 64 << 10]) {
            written += count;
        }
        let queued = unacknowledged(&near).unwrap();
        assert!(0 < queued && queued < written, "{queued} of {written}");
        far.read_exact(&mut vec![0; written]).unwrap();
        // The last acknowledgement may arrive shortly after its bytes.
        while unacknowledged(&near).unwrap() > 0 {
            std::thread::yield_now();
        }
    }
}
