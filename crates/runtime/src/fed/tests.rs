use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll, Wake, Waker};

use ferroswarm_secure::{Agreement, Identity, KeyType, Keypair, Role, Security};

use crate::command::Stage;
use crate::connection::CloseManner;
use crate::environment::Environment;
use crate::error::{CallError, ConnectionFault};
use crate::fed::{FedPipe, Feed, FeedError};
use crate::hub::Hub;
use crate::live::{Bell, Live};
use crate::pipe::BytePipe;
use crate::record::Record;
use crate::sync::{Arc, Mutex, Ordering};
use crate::transport;
use crate::upgrade::{Purpose, UpgradeConfig, upgrade};

/// Small enough that every test fills it.
const PIPE_BYTES: usize = 4 << 10;

fn hub() -> Arc<Hub> {
    Hub::new(Box::new(Bell(Arc::default())))
}

/// Counts its wakeups.
#[derive(Default)]
struct Alarm(AtomicUsize);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Alarm {
    fn rings(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }
}

/// Returns an alarm and its waker.
fn alarm() -> (Arc<Alarm>, Waker) {
    let alarm = Arc::new(Alarm::default());
    let waker = Waker::from(Arc::clone(&alarm));
    (alarm, waker)
}

fn feed(feed: &Feed, bytes: &[u8]) -> Poll<Result<usize, FeedError>> {
    feed.poll_feed(&mut Context::from_waker(Waker::noop()), bytes)
}

/// Takes at most `max` bytes to send; none at all is the end.
fn take(feed: &Feed, max: usize) -> Poll<Vec<u8>> {
    let mut bytes = vec![0; max];
    let taken = feed.poll_take(&mut Context::from_waker(Waker::noop()), &mut bytes);
    taken.map(|count| {
        bytes.truncate(count);
        bytes
    })
}

fn kind<T: std::fmt::Debug>(result: io::Result<T>) -> io::ErrorKind {
    result.unwrap_err().kind()
}

/// Carries bytes in one direction, `step` at a time.
struct Carrier {
    step: usize,
    held: Vec<u8>,
    has_ended: bool,
}

impl Carrier {
    const fn new(step: usize) -> Self {
        Self {
            step,
            held: Vec::new(),
            has_ended: false,
        }
    }

    /// Returns whether there was anything to carry.
    fn carry(&mut self, from: &Feed, to: &Feed) -> bool {
        if self.held.is_empty() && !self.has_ended {
            match take(from, self.step) {
                Poll::Ready(bytes) if bytes.is_empty() => {
                    self.has_ended = true;
                    to.end();
                    return true;
                }
                Poll::Ready(bytes) => self.held = bytes,
                Poll::Pending => return false,
            }
        }
        match feed(to, &self.held) {
            Poll::Ready(Ok(count)) => {
                self.held.drain(..count);
                count > 0
            }
            Poll::Ready(Err(_)) => {
                self.held.clear();
                false
            }
            Poll::Pending => false,
        }
    }
}

/// Both feeds of a connection; `None` while a test suspends them.
type Feeds = Rc<RefCell<Option<[Feed; 2]>>>;

/// Creates a connection over fed pipes; carriers move `step` bytes per round in each direction.
fn live(step: usize) -> (Live, Feeds) {
    let feeds: Feeds = Rc::default();
    let wire = Rc::clone(&feeds);
    let live = Live::through(|[near, far]| {
        let (dialer, near) = FedPipe::new(near, PIPE_BYTES);
        let (listener, far) = FedPipe::new(far, PIPE_BYTES);
        *wire.borrow_mut() = Some([near, far]);
        let mut carriers = [Carrier::new(step), Carrier::new(step)];
        let carry = move || {
            let feeds = wire.borrow();
            let Some([near, far]) = &*feeds else {
                return false;
            };
            let [out, back] = &mut carriers;
            out.carry(near, far) | back.carry(far, near)
        };
        ((dialer, listener), Box::new(carry))
    });
    (live, feeds)
}

#[test]
fn both_ends_upgrade_over_fed_pipes_that_hold_less_than_a_message() {
    for security in [Security::Noise, Security::Tls] {
        let hub = hub();
        let (dialer, near) = FedPipe::new(&hub, 64);
        let (listener, far) = FedPipe::new(&hub, 64);
        let configs = [(); 2].map(|()| {
            let keypair = Keypair::generate(KeyType::Ed25519).unwrap();
            UpgradeConfig {
                identity: Arc::new(Identity::new(keypair).unwrap()),
                securities: vec![security],
                muxers: Arc::from([Box::from("/yamux/1.0.0")]),
                psk: None,
            }
        });
        let end = async |role, carrier: &transport::Carrier, config: &UpgradeConfig| {
            let stage = Mutex::new(Stage::Connect);
            let purpose = Purpose {
                role,
                identity: &config.identity,
                expected_peer: None,
                securities: None,
                agreement: Agreement::Lazy,
                admit: &|_| Ok(()),
                hooks: None,
                stage: &stage,
            };
            upgrade(carrier, config, &purpose).await.unwrap().peer
        };
        let [dialing, accepting] =
            [dialer, listener].map(|pipe| transport::Carrier::Pipe(Arc::new(pipe)));
        let carry = async |from: &Feed, to: &Feed| -> () {
            let mut bytes = [0; 50];
            loop {
                let count = poll_fn(|cx| from.poll_take(cx, &mut bytes)).await;
                let mut sent = 0;
                while sent < count {
                    sent += poll_fn(|cx| to.poll_feed(cx, &bytes[sent..count]))
                        .await
                        .unwrap();
                }
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let peers = runtime.block_on(async {
            let upgraded = async {
                tokio::join!(
                    end(Role::Dialer, &dialing, &configs[0]),
                    end(Role::Listener, &accepting, &configs[1])
                )
            };
            tokio::select! {
                peers = upgraded => peers,
                () = carry(&near, &far) => unreachable!(),
                () = carry(&far, &near) => unreachable!(),
            }
        });
        let [dialing, listening] = configs.map(|config| *config.identity.peer_id());
        assert_eq!(peers, (listening, dialing));
    }
}

#[test]
fn a_stream_over_fed_pipes_is_answered_and_its_halves_end_one_by_one() {
    let (mut live, _feeds) = live(1_000);
    let (near, far) = live.stream();
    live.dialer.write(near, b"ping");
    live.dialer.close_write(near);
    live.settle();
    let (bytes, end) = live.listener.read(far);
    assert_eq!(bytes, b"ping");
    assert_eq!(end, Err(CallError::EndOfStream));
    live.listener.write(far, b"pong");
    live.listener.close_write(far);
    live.settle();
    let (bytes, end) = live.dialer.read(near);
    assert_eq!(
        (&bytes[..], end),
        (&b"pong"[..], Err(CallError::EndOfStream))
    );
}

#[test]
fn a_large_transfer_keeps_pace_with_a_slow_feeder_and_stays_within_the_bound() {
    const TOTAL: usize = 1 << 20;
    let (mut live, feeds) = live(500);
    let (near, far) = live.stream();
    let held = feeds.borrow_mut().take();
    let pattern: Vec<u8> = (0..=250).cycle().take(TOTAL).collect();
    let mut written = live.dialer.write(near, &pattern);
    live.settle();
    assert_eq!(live.dialer.connection.pipe().unaccepted(), Some(PIPE_BYTES));
    *feeds.borrow_mut() = held;
    let mut received = Vec::new();
    while received.len() < TOTAL {
        live.settle();
        let (bytes, end) = live.listener.read(far);
        assert_eq!(end, Ok(()));
        received.extend(bytes);
        if written < TOTAL {
            written += live.dialer.write(near, &pattern[written..]);
        }
    }
    assert_eq!(received, pattern);
}

#[test]
fn closing_a_connection_ends_its_pipe_and_the_remote() {
    let (mut live, feeds) = live(1_000);
    let handle = live.dialer.handle;
    live.dialer
        .environment
        .close_connection(handle, 7, CloseManner::AtOnce)
        .unwrap();
    live.settle();
    assert_eq!(live.dialer.ended, Some(ConnectionFault::Local));
    assert_eq!(live.listener.ended, Some(ConnectionFault::GoAway(7)));
    let feeds = feeds.borrow();
    let [near, far] = feeds.as_ref().unwrap();
    for end in [near, far] {
        assert_eq!(take(end, 1), Poll::Ready(Vec::new()));
    }
}

#[test]
fn aborting_a_feed_resets_the_connection_and_its_streams() {
    let (mut live, feeds) = live(1_000);
    let (near, _) = live.stream();
    live.dialer.take_records();
    drop(feeds.borrow_mut().take());
    live.settle();
    for side in [&live.dialer, &live.listener] {
        assert_eq!(side.ended, Some(ConnectionFault::Reset));
    }
    let reported = live.dialer.take_records();
    let is_reset = |record: &Record| matches!(record, Record::StreamReset { stream, report } if *stream == near && report.connection_lost);
    assert!(reported.iter().any(is_reset), "{reported:?}");
}

#[test]
fn bytes_fed_and_taken_keep_their_order_and_bound() {
    let (pipe, end) = FedPipe::new(&hub(), 8);
    assert_eq!(feed(&end, b"0123456789"), Poll::Ready(Ok(8)));
    assert_eq!(feed(&end, b"89"), Poll::Pending);
    let mut into = [0; 5];
    assert_eq!(pipe.try_read(&mut into).unwrap(), 5);
    assert_eq!(&into, b"01234");
    assert_eq!(feed(&end, b"89"), Poll::Ready(Ok(2)));
    assert_eq!(pipe.try_read(&mut [0; 9]).unwrap(), 5);
    assert_eq!(kind(pipe.try_read(&mut [0; 9])), io::ErrorKind::WouldBlock);
    assert_eq!(pipe.try_write(b"abcdefghij").unwrap(), 8);
    assert_eq!(kind(pipe.try_write(b"ij")), io::ErrorKind::WouldBlock);
    assert_eq!(pipe.unaccepted(), Some(8));
    assert_eq!(take(&end, 3), Poll::Ready(b"abc".to_vec()));
    assert_eq!(pipe.try_write(b"ij").unwrap(), 2);
    assert_eq!(take(&end, 9), Poll::Ready(b"defghij".to_vec()));
    assert_eq!(take(&end, 9), Poll::Pending);
}

#[test]
fn ending_one_half_leaves_the_other_open() {
    let (pipe, end) = FedPipe::new(&hub(), 8);
    assert_eq!(feed(&end, b"last"), Poll::Ready(Ok(4)));
    end.end();
    assert_eq!(
        feed(&end, b"more"),
        Poll::Ready(Err(FeedError::Ended)),
        "bytes fed after the end are refused"
    );
    let mut into = [0; 8];
    assert_eq!(pipe.try_read(&mut into).unwrap(), 4);
    assert_eq!(pipe.try_read(&mut into).unwrap(), 0);
    assert_eq!(pipe.try_write(b"answer").unwrap(), 6);
    pipe.shutdown().unwrap();
    assert_eq!(kind(pipe.try_write(b"more")), io::ErrorKind::BrokenPipe);
    assert_eq!(take(&end, 8), Poll::Ready(b"answer".to_vec()));
    assert_eq!(take(&end, 8), Poll::Ready(Vec::new()));
}

#[test]
fn a_closed_pipe_accepts_nothing_and_delivers_bytes_written_before() {
    let (pipe, end) = FedPipe::new(&hub(), 8);
    assert_eq!(feed(&end, b"unread"), Poll::Ready(Ok(6)));
    assert_eq!(pipe.try_write(b"last").unwrap(), 4);
    pipe.close();
    assert_eq!(feed(&end, b"x"), Poll::Ready(Err(FeedError::Closed)));
    assert!(pipe.try_read(&mut [0; 8]).is_err());
    assert_eq!(take(&end, 8), Poll::Ready(b"last".to_vec()));
    assert_eq!(take(&end, 8), Poll::Ready(Vec::new()));
}

#[test]
fn an_abort_resets_what_was_not_ended() {
    let hub = hub();
    let (pipe, end) = FedPipe::new(&hub, 8);
    assert_eq!(feed(&end, b"lost"), Poll::Ready(Ok(4)));
    assert_eq!(pipe.try_write(b"lost").unwrap(), 4);
    end.abort();
    assert_eq!(
        kind(pipe.try_read(&mut [0; 8])),
        io::ErrorKind::ConnectionReset
    );
    assert_eq!(kind(pipe.try_write(b"x")), io::ErrorKind::ConnectionReset);
    assert_eq!(pipe.unaccepted(), Some(0));
    assert_eq!(feed(&end, b"x"), Poll::Ready(Err(FeedError::Ended)));
    assert_eq!(take(&end, 8), Poll::Ready(Vec::new()));

    let (pipe, end) = FedPipe::new(&hub, 8);
    assert_eq!(feed(&end, b"kept"), Poll::Ready(Ok(4)));
    end.end();
    drop(end);
    assert_eq!(pipe.try_read(&mut [0; 8]).unwrap(), 4);
    assert_eq!(pipe.try_read(&mut [0; 8]).unwrap(), 0);
}

#[test]
fn waiters_at_either_end_are_woken_when_they_can_proceed() {
    let (pipe, end) = FedPipe::new(&hub(), 8);
    let (driver, waker) = alarm();
    let mut driving = Context::from_waker(&waker);
    let (feeder, waker) = alarm();
    let mut feeding = Context::from_waker(&waker);

    assert!(pipe.poll_readable(&mut driving).is_pending());
    assert_eq!(end.poll_feed(&mut feeding, &[1; 8]), Poll::Ready(Ok(8)));
    assert_eq!((driver.rings(), feeder.rings()), (1, 0));
    assert!(pipe.poll_readable(&mut driving).is_ready());

    assert!(end.poll_feed(&mut feeding, b"x").is_pending());
    pipe.try_read(&mut [0; 3]).unwrap();
    assert_eq!(feeder.rings(), 0, "less than half is free");
    pipe.try_read(&mut [0; 1]).unwrap();
    assert_eq!(feeder.rings(), 1);

    assert!(end.poll_take(&mut feeding, &mut [0; 8]).is_pending());
    assert_eq!(pipe.try_write(&[2; 9]).unwrap(), 8);
    assert_eq!(feeder.rings(), 1);
    assert!(pipe.poll_writable(&mut driving).is_pending());
    assert_eq!(take(&end, 8).map(|bytes| bytes.len()), Poll::Ready(8));
    assert_eq!(driver.rings(), 1);
    assert!(pipe.poll_writable(&mut driving).is_ready());
}

#[test]
fn ends_wake_waiters() {
    type Change = fn(&FedPipe, &Feed);
    let changes: [(Change, [usize; 2]); 4] = [
        (|_, end| end.end(), [1, 0]),
        (|_, end| end.abort(), [1, 1]),
        (|pipe, _| pipe.shutdown().unwrap(), [0, 1]),
        (|pipe, _| pipe.close(), [1, 1]),
    ];
    for (index, (change, rings)) in changes.into_iter().enumerate() {
        let (pipe, end) = FedPipe::new(&hub(), 8);
        let (driver, waker) = alarm();
        let mut driving = Context::from_waker(&waker);
        let (feeder, waker) = alarm();
        let mut feeding = Context::from_waker(&waker);
        assert!(pipe.poll_readable(&mut driving).is_pending());
        assert!(end.poll_take(&mut feeding, &mut [0; 8]).is_pending());
        change(&pipe, &end);
        let woken = [driver.rings(), feeder.rings()];
        assert_eq!(woken, rings, "change {index}");
    }
}

/// An environment with one pipe: its handle, and the connection's end.
fn environment() -> (Environment, u32, FedPipe) {
    let mut environment = Environment::new(hub());
    let (handle, pipe) = environment.open_pipe().unwrap();
    (environment, handle, pipe)
}

fn drained(environment: &mut Environment) -> Vec<Record> {
    let mut records = Vec::new();
    environment.drain(64, |record| records.push(record));
    records
}

#[test]
fn javascript_is_told_once_when_a_call_on_a_pipe_can_be_repeated() {
    let (mut environment, handle, pipe) = environment();
    let bytes = vec![7; 48 << 10];
    // It holds 64 KiB each way.
    assert_eq!(environment.feed_pipe(handle, &bytes), Ok(48 << 10));
    assert_eq!(environment.feed_pipe(handle, &bytes), Ok(16 << 10));
    assert_eq!(environment.feed_pipe(handle, &bytes), Ok(0));
    let mut into = vec![0; 16 << 10];
    assert_eq!(environment.take_pipe(handle, &mut into), Ok(0));
    assert_eq!(drained(&mut environment), []);
    pipe.try_read(&mut into).unwrap();
    assert_eq!(drained(&mut environment), []);
    pipe.try_read(&mut into).unwrap();
    pipe.try_write(b"output").unwrap();
    let ready = |has_room, has_output| Record::PipeReady {
        pipe: handle,
        has_room,
        has_output,
    };
    assert_eq!(drained(&mut environment), [ready(true, true)]);
    assert_eq!(environment.take_pipe(handle, &mut into), Ok(6));
    // Nobody has found it empty since.
    pipe.try_write(b"more").unwrap();
    assert_eq!(drained(&mut environment), []);
    assert_eq!(environment.take_pipe(handle, &mut into), Ok(4));
    assert_eq!(environment.take_pipe(handle, &mut into), Ok(0));
    pipe.close();
    assert_eq!(drained(&mut environment), [ready(false, true)]);
    let end = environment.take_pipe(handle, &mut into);
    assert_eq!(end, Err(CallError::EndOfStream));
    let refused = environment.feed_pipe(handle, &bytes);
    assert_eq!(refused, Err(CallError::ConnectionClosed));
}

#[test]
fn a_pipe_that_javascript_drops_resets_its_connection_and_is_not_mentioned_again() {
    let (mut environment, handle, pipe) = environment();
    let mut into = [0; 8];
    assert_eq!(environment.take_pipe(handle, &mut into), Ok(0));
    pipe.try_write(b"output").unwrap();
    environment.drop_pipe(handle).unwrap();
    assert_eq!(drained(&mut environment), []);
    let error = kind(pipe.try_read(&mut into));
    assert_eq!(error, io::ErrorKind::ConnectionReset);
    let stale = environment.take_pipe(handle, &mut into);
    assert_eq!(stale, Err(CallError::StaleHandle));
    assert_eq!(environment.drop_pipe(handle), Err(CallError::StaleHandle));
}

#[test]
fn only_an_orderly_close_waits_for_whoever_carries_the_bytes() {
    for (manner, waits) in [(CloseManner::Orderly, true), (CloseManner::AtOnce, false)] {
        let (mut live, _feeds) = live(1_000);
        let (environment, handle) = (&mut live.dialer.environment, live.dialer.handle);
        environment.close_connection(handle, 0, manner).unwrap();
        live.settle();
        assert_eq!(live.dialer.connection.delivers(), waits);
    }
}
