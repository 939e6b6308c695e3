//! How much of what was written to a TCP socket the remote's host has not acknowledged.
//!
//! A write tells what the kernel's buffer has taken, megabytes before the remote. None of the crates for sockets asks
//! the kernel for the rest, so the one question is here.

use std::io;

#[cfg(unix)]
use std::os::fd::AsFd as AsSocket;
#[cfg(windows)]
use std::os::windows::io::AsSocket;

/// Bytes in the send queue of a TCP socket: sent and not acknowledged, or not sent yet.
///
/// # Errors
/// Those of the system; `Unsupported` where it does not tell.
pub fn unacknowledged(socket: &impl AsSocket) -> io::Result<usize> {
    queued(socket)
}

/// `SIOCOUTQ`, which is the same number: tcp(7).
#[cfg(any(target_os = "linux", target_os = "android"))]
fn queued(socket: &impl AsSocket) -> io::Result<usize> {
    use std::os::fd::AsRawFd;

    let mut bytes: libc::c_int = 0;
    let socket = socket.as_fd().as_raw_fd();
    // SAFETY: the descriptor is open, as it is borrowed; the request writes one int, to which the pointer leads.
    let answer = unsafe { libc::ioctl(socket, libc::TIOCOUTQ, &raw mut bytes) };
    if answer < 0 {
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
    // SAFETY: the descriptor is open, as it is borrowed; the option is an int, to which the pointer leads, of the
    // length that is given.
    let answer = unsafe {
        libc::getsockopt(
            socket,
            libc::SOL_SOCKET,
            libc::SO_NWRITE,
            (&raw mut bytes).cast(),
            &raw mut length,
        )
    };
    if answer < 0 {
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
    fn what_a_remote_that_does_not_read_has_no_room_for_stays_in_the_queue() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        assert_eq!(unacknowledged(&near).unwrap(), 0);
        near.set_nonblocking(true).unwrap();
        let mut written = 0;
        while let Ok(count) = near.write(&[7; 64 << 10]) {
            written += count;
        }
        let waiting = unacknowledged(&near).unwrap();
        assert!(0 < waiting && waiting < written, "{waiting} of {written}");
        far.read_exact(&mut vec![0; written]).unwrap();
        // The last acknowledgement may come a little behind its bytes.
        while unacknowledged(&near).unwrap() > 0 {
            std::thread::yield_now();
        }
    }
}
