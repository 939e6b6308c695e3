//! Unix sockets: `/unix/PATH`, the path percent-encoded as JavaScript's `encodeURIComponent` does.
//!
//! Text and bytes of such an address differ between the implementations of multiaddr: only its
//! text crosses the boundary, and only the path in it has a meaning.
//!
//! The file of a listener has the mode that the umask of the process leaves, as with Node.js: to
//! connect, a process needs permission to write to it, which is the owner alone with the usual umask
//! of 022. Directories restrict access further.
//!
//! A socket listens before its path exists: it is bound to a name beside the path, which is then
//! linked to it. So a path names a socket that nobody listens on only if its process has ended, and
//! of several processes that start at once one has the path. Tools that list sockets show the name
//! that it was bound to.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::hash::{BuildHasher, Hasher, RandomState};
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
        let aside = beside(path);
        if aside.as_os_str().len() <= PATH_BYTES_MAX {
            let (socket, file) = listening(&aside)?;
            let placed = replacing_stale(path, || fs::hard_link(&aside, path));
            drop(fs::remove_file(&aside));
            match placed {
                Ok(()) => return Self::new(socket, path, file),
                Err(error) if is_taken(&error) => return Err(error),
                // A file system without links.
                Err(_) => {}
            }
        }
        let (socket, file) = replacing_stale(path, || listening(path))?;
        Self::new(socket, path, file)
    }

    fn new(socket: Socket, path: &Path, file: FileId) -> io::Result<Self> {
        match UnixListener::from_std(socket.into()) {
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

/// Returns a socket that listens at `path`, and its file.
fn listening(path: &Path) -> io::Result<(Socket, FileId)> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let file = FileId::of(&fs::symlink_metadata(path)?);
    if let Err(error) = socket.listen(BACKLOG) {
        remove_if(path, file);
        return Err(error);
    }
    Ok((socket, file))
}

/// Returns a name in the folder of `path` that nobody else uses.
fn beside(path: &Path) -> PathBuf {
    let random = RandomState::new().build_hasher().finish() as u32;
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{random:08x}"));
    name.into()
}

/// Attempts to take a path: another is needed if a listener leaves, or another process removes a
/// file, at the same time.
const ATTEMPTS_MAX: usize = 8;

/// Calls `take`, which creates the file at `path`, until it succeeds; removes a file that a process
/// left behind.
///
/// # Errors
/// `AddrInUse` if the path is taken; other errors of `take`.
fn replacing_stale<T>(path: &Path, take: impl Fn() -> io::Result<T>) -> io::Result<T> {
    for _ in 0..ATTEMPTS_MAX {
        match take() {
            Err(error) if is_taken(&error) && is_free(path) => {}
            Err(error) if is_taken(&error) => break,
            taken => return taken,
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

/// Returns whether another file is in the place of one to be created.
fn is_taken(error: &io::Error) -> bool {
    use io::ErrorKind::{AddrInUse, AlreadyExists};
    matches!(error.kind(), AddrInUse | AlreadyExists)
}

/// Removes the file of a socket that nobody listens on. Returns whether the path is free then: the
/// file of a listener stays, and one of another kind.
fn is_free(path: &Path) -> bool {
    let Ok(found) = fs::symlink_metadata(path) else {
        // Its listener has just left.
        return true;
    };
    if !found.file_type().is_socket() {
        return false;
    }
    match connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            remove_if(path, FileId::of(&found));
            true
        }
        Err(error) => error.kind() == io::ErrorKind::NotFound,
        Ok(()) => false,
    }
}

fn connect(path: &Path) -> io::Result<()> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A listener whose backlog is full would block us.
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)
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
    let is_at = |path: &Path| fs::symlink_metadata(path).is_ok_and(is_same);
    let aside = beside(path);
    // Whoever binds it next reports what is wrong.
    if !is_at(path) || fs::rename(path, &aside).is_err() {
        return;
    }
    if !is_at(&aside) {
        // Another has taken the place in between, and gets it back.
        drop(fs::hard_link(&aside, path));
    }
    drop(fs::remove_file(&aside));
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
    fn of_those_that_start_at_once_one_listens_and_is_reached() {
        const STARTING: usize = 4;
        let scratch = Scratch::new("race");
        let start = std::sync::Barrier::new(STARTING);
        for round in 0..200 {
            if round % 2 == 0 {
                // Half of the time the path is one that a process left behind.
                drop(net::UnixListener::bind(&scratch.0).unwrap());
            }
            let listeners: Vec<Listener> = std::thread::scope(|scope| {
                let starting: Vec<_> = (0..STARTING)
                    .map(|_| {
                        scope.spawn(|| {
                            start.wait();
                            bind(&scratch.0)
                        })
                    })
                    .collect();
                let bound = starting.into_iter().map(|thread| thread.join().unwrap());
                let outcomes: Vec<_> = bound.collect();
                let refused = outcomes.iter().filter_map(|bound| bound.as_ref().err());
                for error in refused {
                    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
                }
                outcomes.into_iter().filter_map(Result::ok).collect()
            });
            assert_eq!(listeners.len(), 1, "{round}");
            assert!(net::UnixStream::connect(&scratch.0).is_ok(), "{round}");
        }
    }

    #[test]
    fn a_path_is_bound_while_its_listener_leaves() {
        let scratch = Scratch::new("leaving");
        for _ in 0..200 {
            let leaving = bind(&scratch.0).unwrap();
            std::thread::scope(|scope| {
                let next = scope.spawn(|| {
                    loop {
                        match bind(&scratch.0) {
                            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                            bound => break bound,
                        }
                    }
                });
                drop(leaving);
                assert!(next.join().unwrap().is_ok());
            });
        }
    }

    #[test]
    fn nothing_is_left_beside_a_path_and_the_longest_path_is_bound() {
        let folder = Scratch::new("folder");
        fs::create_dir(&folder.0).unwrap();
        let start = folder.0.as_os_str().len() + 1;
        for name in ["a".to_owned(), "b".repeat(PATH_BYTES_MAX - start)] {
            let path = folder.0.join(&name);
            let listener = bind(&path).unwrap();
            let names: Vec<_> = fs::read_dir(&folder.0)
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .collect();
            assert_eq!(names, [OsString::from(&name)]);
            drop(listener);
            assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0);
        }
        fs::remove_dir(&folder.0).unwrap();
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
