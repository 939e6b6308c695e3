//! Unix sockets: `/unix/PATH`, the path percent-encoded as JavaScript's `encodeURIComponent` does.
//!
//! Text and bytes of such an address differ between the implementations of multiaddr: only its
//! text crosses the boundary, and only the path in it has a meaning.
//!
//! The file of a listener has the mode that the umask of the process leaves, as with Node.js: to
//! connect, a process needs permission to write to it, which is the owner alone with the usual umask
//! of 022. Directories restrict access further.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use multiaddr::{Multiaddr, Protocol};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{UnixListener, UnixStream};

use super::RawConnection;
use super::stream_socket::{BACKLOG, SocketPipe};
use crate::command::AddressError;

/// What `encodeURIComponent` escapes.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// Length of `sun_path`, without the zero byte at its end.
const PATH_BYTES_MAX: usize = if cfg!(any(target_os = "linux", target_os = "android")) {
    107
} else {
    103
};

/// Interval at which a dial tries again while the listener's backlog is full: a Unix socket is
/// refused then, and its caller is not told when there is room.
const BACKLOG_RETRY: Duration = Duration::from_millis(10);

/// Returns the path of `/unix/…`, and of nothing else.
pub(super) fn socket_path(address: &Multiaddr) -> Result<PathBuf, AddressError> {
    let refused = |at| Err(AddressError::NoTransport(address.iter().skip(at).collect()));
    let mut parts = address.iter();
    let Some(Protocol::Unix(encoded)) = parts.next() else {
        return refused(0);
    };
    if parts.next().is_some() {
        return refused(1);
    }
    let path: Vec<u8> = percent_decode_str(&encoded).collect();
    let (length, max) = (path.len(), PATH_BYTES_MAX);
    if !(1..=max).contains(&length) {
        return Err(AddressError::PathLength { length, max });
    }
    // It would name a socket without a file.
    if path.contains(&0) {
        return Err(AddressError::PathZero);
    }
    Ok(OsString::from_vec(path).into())
}

fn multiaddr(path: &Path) -> Multiaddr {
    let encoded = percent_encode(path.as_os_str().as_bytes(), ESCAPED).to_string();
    Multiaddr::empty().with(Protocol::Unix(encoded.into()))
}

/// A listening socket. Dropping it removes its file, unless another one has taken its place.
pub(crate) struct Listener {
    socket: UnixListener,
    path: PathBuf,
    file: FileId,
}

impl Listener {
    /// Creates the file and listens. A file that a process left behind is replaced: nobody accepts
    /// there.
    ///
    /// # Errors
    /// `AddrInUse` if somebody does, or if it is not a socket; errors of the system.
    pub(super) fn bind(path: &Path) -> io::Result<Self> {
        let socket = match bound(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                remove_stale(path, error)?;
                bound(path)?
            }
            bound => bound?,
        };
        let file = FileId::of(&fs::symlink_metadata(path)?);
        let listening = socket
            .listen(BACKLOG)
            .and_then(|()| UnixListener::from_std(socket.into()));
        match listening {
            Ok(socket) => Ok(Self {
                socket,
                path: path.to_owned(),
                file,
            }),
            Err(error) => {
                remove_if(path, file);
                Err(error)
            }
        }
    }

    /// Accepts the next connection. Cancel-safe.
    pub(crate) async fn accept(&self) -> io::Result<Arrival> {
        let (socket, remote) = self.socket.accept().await?;
        let local = self.local_address();
        let remote = remote
            .as_pathname()
            .map_or_else(|| local.clone(), multiaddr);
        Ok(Arrival {
            socket: socket.into_std()?,
            local,
            remote,
        })
    }

    /// Returns the bound address.
    pub(crate) fn local_address(&self) -> Multiaddr {
        multiaddr(&self.path)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        remove_if(&self.path, self.file);
    }
}

fn bound(path: &Path) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    Ok(socket)
}

/// Removes the file of a socket that nobody listens on. Returns `error` if somebody does; a file of
/// another kind stays, so that the next attempt to bind fails.
fn remove_stale(path: &Path, error: io::Error) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A listener whose backlog is full would block us.
    socket.set_nonblocking(true)?;
    let is_refused = socket
        .connect(&SockAddr::unix(path)?)
        .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
    if !is_refused {
        return Err(error);
    }
    remove_if(path, FileId::of(&found));
    Ok(())
}

/// Identifies a file, whatever its path names now. The number of a removed one may be used again, so
/// its time belongs to it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
    modified: (i64, i64),
}

impl FileId {
    fn of(file: &Metadata) -> Self {
        Self {
            device: file.dev(),
            inode: file.ino(),
            modified: (file.mtime(), file.mtime_nsec()),
        }
    }
}

/// Removes the file at `path` if it is still that one, and a socket.
fn remove_if(path: &Path, file: FileId) {
    let is_same = |found: Metadata| FileId::of(&found) == file && found.file_type().is_socket();
    if fs::symlink_metadata(path).is_ok_and(is_same) {
        // Whoever binds it next reports what is wrong.
        drop(fs::remove_file(path));
    }
}

/// An accepted connection, not yet registered with the event queue of a thread.
pub(crate) struct Arrival {
    socket: std::os::unix::net::UnixStream,
    local: Multiaddr,
    /// The listener's address if the dialer's socket has no name, which is the rule.
    remote: Multiaddr,
}

impl Arrival {
    pub(crate) fn remote_address(&self) -> Multiaddr {
        self.remote.clone()
    }

    /// Registers with the event queue of the current I/O thread.
    pub(crate) fn register(self) -> io::Result<RawConnection> {
        let socket = UnixStream::from_std(self.socket)?;
        let pipe = SocketPipe::new(socket);
        Ok(RawConnection::over(pipe, self.local, self.remote))
    }
}

/// Connects to the socket at `path`. Without a name of its own, our end has the same address.
pub(super) async fn dial(path: &Path) -> io::Result<RawConnection> {
    let socket = loop {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                tokio::time::sleep(BACKLOG_RETRY).await;
            }
            connected => break connected?,
        }
    };
    let address = multiaddr(path);
    Ok(RawConnection::over(
        SocketPipe::new(socket),
        address.clone(),
        address,
    ))
}

#[cfg(test)]
pub(super) mod testing {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    static NEXT: AtomicU32 = AtomicU32::new(0);

    /// A path of its own in the folder of temporary files, free at first.
    pub(crate) struct Scratch(pub(crate) PathBuf);

    impl Scratch {
        pub(crate) fn new(name: &str) -> Self {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let file = format!("ferroswarm-{}-{number} {name}.sock", std::process::id());
            Self(std::env::temp_dir().join(file))
        }

        pub(crate) fn address(&self) -> String {
            multiaddr(&self.0).to_string()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            drop(fs::remove_file(&self.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net;

    use super::testing::Scratch;
    use super::*;

    fn parse(text: &str) -> Result<PathBuf, AddressError> {
        socket_path(&text.parse().unwrap())
    }

    fn bind(path: &Path) -> io::Result<Listener> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .unwrap();
        let _inside = runtime.enter();
        Listener::bind(path)
    }

    #[test]
    fn a_path_is_percent_encoded_as_javascript_does() {
        for (text, path) in [
            ("/unix/%2Ftmp%2Fp2p.sock", "/tmp/p2p.sock"),
            ("/unix/relative", "relative"),
            ("/unix/%2Fa%20b%2F%C3%BC-_.!~*'()", "/a b/\u{fc}-_.!~*'()"),
            ("/unix/%25zz", "%zz"),
        ] {
            assert_eq!(parse(text).unwrap(), Path::new(path));
            assert_eq!(multiaddr(Path::new(path)).to_string(), text);
        }
    }

    #[test]
    fn a_path_that_no_socket_can_have_is_refused() {
        let length = |length| AddressError::PathLength {
            length,
            max: PATH_BYTES_MAX,
        };
        let long = |count: usize| format!("/unix/{}", "a".repeat(count));
        assert_eq!(
            parse(&long(PATH_BYTES_MAX + 1)),
            Err(length(PATH_BYTES_MAX + 1))
        );
        assert_eq!(parse("/unix/"), Err(length(0)));
        assert_eq!(parse("/unix/a%00b"), Err(AddressError::PathZero));
        // The longest path is one that the system takes.
        let longest = parse(&long(PATH_BYTES_MAX)).unwrap();
        assert!(net::SocketAddr::from_pathname(longest).is_ok());
        let beyond = "a".repeat(PATH_BYTES_MAX + 1);
        assert!(net::SocketAddr::from_pathname(beyond).is_err());
    }

    #[test]
    fn a_file_is_removed_with_its_listener_unless_another_took_its_place() {
        let scratch = Scratch::new("own");
        let listener = bind(&scratch.0).unwrap();
        assert!(scratch.0.exists());
        drop(listener);
        assert!(!scratch.0.exists());

        let listener = bind(&scratch.0).unwrap();
        fs::remove_file(&scratch.0).unwrap();
        let _other = net::UnixListener::bind(&scratch.0).unwrap();
        drop(listener);
        assert!(scratch.0.exists());
    }

    #[test]
    fn a_file_that_a_process_left_behind_is_replaced() {
        let scratch = Scratch::new("stale");
        drop(net::UnixListener::bind(&scratch.0).unwrap());
        assert!(scratch.0.exists());
        let listener = bind(&scratch.0).unwrap();
        assert!(net::UnixStream::connect(&scratch.0).is_ok());
        drop(listener);
    }

    #[test]
    fn a_socket_that_is_listened_on_and_any_other_file_stay() {
        let scratch = Scratch::new("live");
        let live = net::UnixListener::bind(&scratch.0).unwrap();
        let error = bind(&scratch.0).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(net::UnixStream::connect(&scratch.0).is_ok());
        drop(live);

        for contents in ["", "precious"] {
            let scratch = Scratch::new("file");
            fs::write(&scratch.0, contents).unwrap();
            let error = bind(&scratch.0).err().unwrap();
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
            assert_eq!(fs::read_to_string(&scratch.0).unwrap(), contents);
        }
    }
}
