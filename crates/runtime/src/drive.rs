//! Runs a connection on its I/O thread until it ends.

use std::cell::RefCell;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::time::sleep_until;

use crate::connection::{Connection, Scratch};
use crate::diagnostics::Fact;
use crate::error::ConnectionFault;
use crate::pipe::BytePipe;
use crate::socket::Socket;
use crate::sync::Arc;
use crate::threads::Seat;

thread_local! {
    /// The thread's read and write buffers.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Maximum time the socket stays open after our GoAway, so that the remote can read it.
const GOAWAY_MAX: Duration = Duration::from_millis(500);

/// Maximum time for which a closed QUIC connection answers late datagrams; three probe timeouts, of a
/// path whose round trip takes a second.
const LINGER_MAX: Duration = Duration::from_secs(5);

/// Socket reads after our GoAway before other connections are polled.
const GOAWAY_READS_MAX: usize = 4;

/// Ends the connection however its task ends: done, panicked, or dropped with its thread.
struct EndGuard(Arc<Connection>);

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.0.finish(ConnectionFault::NodeClosed);
    }
}

/// Drives `connection` until it ends. Dropping the future ends it too, even before the first poll.
pub(crate) fn drive(
    connection: Arc<Connection>,
    epoch: Instant,
    seat: Seat,
) -> impl Future<Output = ()> + Send {
    let guard = EndGuard(Arc::clone(&connection));
    run(connection, epoch, seat, guard)
}

async fn run(connection: Arc<Connection>, epoch: Instant, seat: Seat, guard: EndGuard) {
    let mut sleep = pin!(sleep_until(epoch.into()));
    let mut armed = None;
    let fault = poll_fn(|cx| {
        loop {
            let turn = catch_unwind(AssertUnwindSafe(|| {
                SCRATCH.with_borrow_mut(|scratch| connection.poll_drive(cx, scratch))
            }));
            let drive = match turn {
                Ok(Ok(drive)) => drive,
                Ok(Err(fault)) => return Poll::Ready(fault),
                Err(_) => {
                    connection.report(Fact::Internal);
                    return Poll::Ready(ConnectionFault::Internal);
                }
            };
            if drive.again {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let Some(deadline) = drive.deadline else {
                return Poll::Pending;
            };
            if armed != Some(deadline) {
                armed = Some(deadline);
                sleep.as_mut().reset((epoch + deadline).into());
            }
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            armed = None;
        }
    })
    .await;
    connection.return_to_thread();
    let ours = matches!(
        fault,
        ConnectionFault::Local
            | ConnectionFault::NodeClosed
            | ConnectionFault::GoAway(_)
            | ConnectionFault::Muxer
            // The remote is to read what it did.
            | ConnectionFault::Transport(_)
    );
    // Boxed: the task does not need it for nearly all of a connection's life.
    Box::pin(end(&connection, fault, ours)).await;
    drop(guard);
    if let Socket::Pipe(_) = connection.socket() {
        // Not left to the last reference, which may be held by a JavaScript thread that is idle.
        connection.socket().close();
    }
    connection.announce();
    drop(seat);
}

/// Ends the connection, and waits for the remote to read that end where it must.
async fn end(connection: &Arc<Connection>, fault: ConnectionFault, ours: bool) {
    match connection.socket() {
        Socket::Pipe(pipe) if ours && connection.delivers() => {
            let fault = deliver(connection, &**pipe, fault).await;
            connection.finish(fault);
        }
        Socket::Pipe(pipe) => {
            connection.finish(fault);
            if ours {
                await_peer_close(connection, &**pipe, GOAWAY_MAX).await;
            }
        }
        // What streams had to deliver has been acknowledged.
        Socket::Route(_) => connection.finish(fault),
    }
}

/// Answers late datagrams of the remote of an ended QUIC connection, but those that crossed its close,
/// until it has certainly read the end or its time is up.
pub(crate) async fn linger(connection: &Connection, epoch: Instant) {
    if let Socket::Pipe(_) = connection.socket() {
        return;
    }
    let mut sleep = pin!(sleep_until(epoch.into()));
    let lingering = poll_fn(|cx| {
        while let Some(deadline) = connection.linger(cx) {
            sleep.as_mut().reset((epoch + deadline).into());
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    });
    // In either case it is over.
    let _ = tokio::time::timeout(LINGER_MAX, lingering).await;
    connection.socket().close();
}

/// Waits until the remote has received everything; returns the fault with which the connection
/// ends.
async fn deliver(
    connection: &Connection,
    pipe: &dyn BytePipe,
    fault: ConnectionFault,
) -> ConnectionFault {
    let is_over = await_peer_close(connection, pipe, connection.delivery_max()).await;
    match fault {
        // Bytes that were not carried on in time are lost.
        ConnectionFault::Local | ConnectionFault::NodeClosed if !is_over && pipe.is_relayed() => {
            ConnectionFault::WriteStall
        }
        fault => fault,
    }
}

/// Lets the remote read our GoAway, and the bytes before it, before the socket is closed: a close
/// with unread bytes resets it. Returns false if it has not closed its end within `max`.
async fn await_peer_close(connection: &Connection, pipe: &dyn BytePipe, max: Duration) -> bool {
    if pipe.shutdown().is_err() {
        return true;
    }
    connection.announce();
    let waited_for = connection.delivers();
    let drained = poll_fn(|cx| {
        if waited_for && connection.closes_at_once() {
            return Poll::Ready(());
        }
        SCRATCH.with_borrow_mut(|scratch| {
            for _ in 0..GOAWAY_READS_MAX {
                match pipe.try_read(scratch.read()) {
                    Ok(0) => return Poll::Ready(()),
                    Ok(_) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                        match pipe.poll_readable(cx) {
                            Poll::Ready(Ok(())) => {}
                            Poll::Ready(Err(_)) => return Poll::Ready(()),
                            Poll::Pending => return Poll::Pending,
                        }
                    }
                    Err(_) => return Poll::Ready(()),
                }
            }
            // A remote that never stops sending must not starve other connections.
            cx.waker().wake_by_ref();
            Poll::Pending
        })
    });
    // The socket is closed now, whether the remote has read everything or not.
    tokio::time::timeout(max, drained).await.is_ok()
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::task::Context;

    use tokio::runtime::{Builder, Runtime};

    use super::*;
    use crate::hub::Hub;
    use crate::live::Bell;
    use crate::testing::pair::connect_alone;
    use crate::testing::{End, Streams};
    use crate::{Limits, Muxer};

    /// Bytes that nobody carries on, and none to receive.
    struct Stuck;

    impl BytePipe for Stuck {
        fn try_read(&self, _into: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::WouldBlock.into())
        }

        fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn is_relayed(&self) -> bool {
            true
        }

        fn poll_readable(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }

        fn poll_writable(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn shutdown(&self) -> io::Result<()> {
            Ok(())
        }

        fn close(&self) {}
    }

    #[test]
    fn a_close_whose_bytes_are_not_carried_on_in_time_is_a_stall() {
        let limits = Limits {
            write_stall_timeout: Duration::from_millis(1),
            ..Limits::default()
        };
        let (connection, _) = connect_alone(end(limits), Stuck);
        let local = deliver(&connection, &Stuck, ConnectionFault::Local);
        assert_eq!(runtime().block_on(local), ConnectionFault::WriteStall);
        // The remote's end is not answered by bytes of ours.
        let remote = deliver(&connection, &Stuck, ConnectionFault::GoAway(0));
        assert_eq!(runtime().block_on(remote), ConnectionFault::GoAway(0));
    }

    fn end(limits: Limits) -> End {
        End {
            hub: Hub::new(Box::new(Bell(Arc::default()))),
            limits: limits.into(),
            muxer: Muxer::default(),
            streams: Streams::Raw,
        }
    }

    fn runtime() -> Runtime {
        Builder::new_current_thread().enable_time().build().unwrap()
    }

    /// A remote that never stops sending.
    struct Endless;

    impl BytePipe for Endless {
        fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
            Ok(into.len())
        }

        fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn poll_readable(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_writable(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn shutdown(&self) -> io::Result<()> {
            Ok(())
        }

        fn close(&self) {}
    }

    #[test]
    fn a_goaway_to_a_remote_that_never_stops_sending_starves_no_connection() {
        let (connection, _) = connect_alone(end(Limits::default()), Endless);
        let mut sending = pin!(await_peer_close(&connection, &Endless, GOAWAY_MAX));
        runtime().block_on(poll_fn(|cx| {
            assert!(sending.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        }));
    }
}
