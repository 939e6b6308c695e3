//! The counterpart of the product's JavaScript thread: drains the hub and runs the tasks.
//!
//! A turn is a tick: every task runs until it waits, written bytes are flushed, then the thread waits
//! for the doorbell, the next timer or a line of input.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::poll_fn;
use std::io::BufRead as _;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use ferroswarm_bench_peers::{Error, Result};
use ferroswarm_runtime::{
    Environment, HANDLES_MAX, Hub, Identity, Node, ProtocolId, Record, StreamFault,
};
use futures::executor::{LocalPool, LocalSpawner};
use futures::task::LocalSpawnExt as _;
use serde_json::{Value, json};

use crate::bell::{Bell, SharedBell};
use crate::control::Open;
use crate::{identify, server};

/// Maximum records per drain.
const RECORDS_MAX: usize = 4_096;

/// Maximum written bytes before a flush within a turn: the capacity of a stream's pipe. More would leave the
/// I/O threads idle; at 64 KiB they would be woken for every block.
const UNFLUSHED_MAX: usize = 256 << 10;

/// Returns a handle's index in the handle table.
fn slot_index(handle: u32) -> usize {
    handle as usize % HANDLES_MAX
}

/// Tasks waiting for events of a stream.
#[derive(Default)]
pub(crate) struct Waits {
    pub(crate) reader: Option<Waker>,
    pub(crate) writer: Option<Waker>,
    pub(crate) negotiated: Option<Option<StreamFault>>,
}

impl Waits {
    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()]
            .into_iter()
            .flatten()
        {
            waker.wake();
        }
    }
}

/// Standard input, read by a thread of its own.
#[derive(Default)]
struct Input {
    lines: Mutex<VecDeque<Option<String>>>,
}

pub(crate) struct World {
    pub(crate) environment: Environment,
    pub(crate) nodes: Vec<(Node, Arc<Identity>)>,
    /// Pending commands.
    pub(crate) commands: HashMap<u32, Option<Waker>>,
    /// Local identity of each dial that has its own.
    pub(crate) identities: HashMap<u32, Arc<Identity>>,
    pub(crate) requests: u32,
    streams: Vec<Waits>,
    pub(crate) connections: HashMap<u32, Open>,
    timers: BTreeMap<(Instant, u64), Waker>,
    next_timer: u64,
    /// Tasks to wake in the next turn, which then does not wait for the doorbell.
    yielded: Vec<Waker>,
    reader: Option<Waker>,
    unflushed: usize,
    /// Reused by drains.
    records: Vec<Record>,
    pub(crate) serves: bool,
}

/// The thread's tasks, and the events that they wait for.
#[derive(Clone)]
pub(crate) struct Reactor {
    pub(crate) world: Rc<RefCell<World>>,
    bell: Arc<Bell>,
    input: Arc<Input>,
    pool: Rc<RefCell<LocalPool>>,
    spawner: LocalSpawner,
}

impl Reactor {
    pub(crate) fn new() -> Self {
        let bell = Arc::new(Bell::default());
        let hub = Hub::new(Box::new(SharedBell(Arc::clone(&bell))));
        let pool = LocalPool::new();
        let spawner = pool.spawner();
        let world = World {
            environment: Environment::new(hub),
            nodes: Vec::new(),
            commands: HashMap::new(),
            identities: HashMap::new(),
            requests: 0,
            streams: Vec::new(),
            connections: HashMap::new(),
            timers: BTreeMap::new(),
            next_timer: 0,
            yielded: Vec::new(),
            reader: None,
            unflushed: 0,
            records: Vec::new(),
            serves: false,
        };
        Self {
            world: Rc::new(RefCell::new(world)),
            bell,
            input: Arc::default(),
            pool: Rc::new(RefCell::new(pool)),
            spawner,
        }
    }

    /// Runs `task`, and everything it spawns, until `task` ends.
    pub(crate) fn run(&self, task: impl Future<Output = Result<()>> + 'static) -> Result<()> {
        let outcome = Rc::new(RefCell::new(None));
        let result = Rc::clone(&outcome);
        self.spawn(async move { *result.borrow_mut() = Some(task.await) });
        loop {
            self.pool.borrow_mut().run_until_stalled();
            self.flush();
            if let Some(outcome) = outcome.borrow_mut().take() {
                return outcome;
            }
            self.turn();
        }
    }

    /// Stops the nodes, which ends their connections.
    pub(crate) fn close(self) {
        // Not while the world is borrowed: a node that stops may use it.
        let nodes = std::mem::take(&mut self.world.borrow_mut().nodes);
        drop(nodes);
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        let spawned = self.spawner.spawn_local(task);
        spawned.expect("the pool lives as long as its reactor");
    }

    pub(crate) fn flush(&self) {
        let mut world = self.world.borrow_mut();
        world.unflushed = 0;
        world.environment.flush();
    }

    /// Counts written bytes, and flushes after [`UNFLUSHED_MAX`].
    pub(crate) fn count_written(&self, bytes: usize) {
        let mut world = self.world.borrow_mut();
        world.unflushed += bytes;
        if world.unflushed >= UNFLUSHED_MAX {
            world.unflushed = 0;
            world.environment.flush();
        }
    }

    fn turn(&self) {
        let deadline = {
            let world = self.world.borrow();
            if world.yielded.is_empty() {
                world.timers.first_key_value().map(|((at, _), _)| *at)
            } else {
                Some(Instant::now())
            }
        };
        if self.bell.wait(deadline) {
            self.drain();
            let has_line = !lock(&self.input.lines).is_empty();
            if has_line && let Some(reader) = self.world.borrow_mut().reader.take() {
                reader.wake();
            }
        }
        let mut world = self.world.borrow_mut();
        for waker in std::mem::take(&mut world.yielded) {
            waker.wake();
        }
        let now = Instant::now();
        while let Some(timer) = world.timers.first_entry()
            && timer.key().0 <= now
        {
            timer.remove().wake();
        }
    }

    fn drain(&self) {
        let mut world = self.world.borrow_mut();
        let mut records = std::mem::take(&mut world.records);
        let count = world
            .environment
            .drain(RECORDS_MAX, |record| records.push(record));
        if count > RECORDS_MAX / 2 {
            // Some records may be left, for which the bell does not ring again.
            self.bell.ring();
        }
        for record in records.drain(..) {
            self.take(&mut world, record);
        }
        world.records = records;
    }

    fn take(&self, world: &mut World, record: Record) {
        match record {
            Record::StreamReadable { stream, .. } => {
                if let Some(waker) = world.waits(stream).reader.take() {
                    waker.wake();
                }
            }
            Record::StreamWritable { stream, .. } => {
                if let Some(waker) = world.waits(stream).writer.take() {
                    waker.wake();
                }
            }
            Record::StreamOpened {
                stream,
                protocol,
                connection,
            } => {
                *world.waits(stream) = Waits::default();
                self.spawn(server::serve(self.clone(), stream, protocol, connection));
            }
            Record::StreamNegotiated { stream, fault, .. } => {
                world.waits(stream).negotiated = Some(fault);
                world.waits(stream).wake();
            }
            Record::StreamReset { stream, .. } | Record::StreamClosed { stream, .. } => {
                world.waits(stream).wake();
            }
            Record::ConnectionOpened {
                connection,
                request,
                node,
            } => {
                let dialled_as = world.identities.remove(&request);
                let identity =
                    dialled_as.unwrap_or_else(|| Arc::clone(&world.nodes[node as usize].1));
                let open = Open {
                    identity,
                    identified: None,
                    waiter: None,
                };
                world.connections.insert(connection, open);
                self.spawn(identify::query(self.clone(), connection));
            }
            Record::ConnectionClosed { connection, .. } => {
                let closed = world.connections.remove(&connection);
                if let Some(waker) = closed.and_then(|open| open.waiter) {
                    waker.wake();
                }
            }
            Record::Completion { request, .. } => {
                if let Some(waker) = world.commands.get_mut(&request).and_then(Option::take) {
                    waker.wake();
                }
            }
            // There are no protocol queries and no foreign streams, listeners end with the process, and a
            // connection that is going away is closed by its next record.
            Record::ProtocolQuery { .. }
            | Record::ConnectionGoingAway { .. }
            | Record::ConnectionCarried { .. }
            | Record::StreamOutgoing { .. }
            | Record::GateQuestions { .. }
            | Record::HttpRequests { .. }
            | Record::ListenerClosed { .. }
            | Record::AttemptsFailed { .. }
            | Record::PipeReady { .. }
            | Record::Diagnostics { .. } => {}
        }
    }

    pub(crate) async fn sleep_until(&self, at: Instant) {
        let mut is_set = false;
        poll_fn(|cx| {
            if Instant::now() >= at {
                return Poll::Ready(());
            }
            if !is_set {
                let mut world = self.world.borrow_mut();
                world.next_timer += 1;
                let key = (at, world.next_timer);
                world.timers.insert(key, cx.waker().clone());
                is_set = true;
            }
            Poll::Pending
        })
        .await;
    }

    pub(crate) async fn sleep(&self, time: Duration) {
        self.sleep_until(Instant::now() + time).await;
    }

    /// Yields until the next turn has drained pending records, without waiting for any.
    pub(crate) async fn next_turn(&self) {
        let mut has_yielded = false;
        poll_fn(|cx| {
            if has_yielded {
                return Poll::Ready(());
            }
            has_yielded = true;
            self.world.borrow_mut().yielded.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Starts reading standard input.
    pub(crate) fn open_input(&self) {
        let (input, bell) = (Arc::clone(&self.input), Arc::clone(&self.bell));
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().lines() {
                // A read error counts as the end.
                let Ok(line) = line else { break };
                lock(&input.lines).push_back(Some(line));
                bell.ring();
            }
            lock(&input.lines).push_back(None);
            bell.ring();
        });
    }

    /// Returns the next line, or `None` at the end.
    pub(crate) async fn line(&self) -> Option<String> {
        poll_fn(|cx| {
            if let Some(line) = lock(&self.input.lines).pop_front() {
                return Poll::Ready(line);
            }
            self.world.borrow_mut().reader = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Returns the hub's counters, by their names in JavaScript.
    pub(crate) fn counters(&self) -> Value {
        let world = self.world.borrow();
        let stats = world.environment.hub().counted();
        let names = ferroswarm_runtime::HubStats::NAMES.iter();
        let counted = names.zip(stats.values());
        counted
            .map(|(name, value)| (camel_case(name), json!(value)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

impl World {
    pub(crate) fn waits(&mut self, stream: u32) -> &mut Waits {
        let index = slot_index(stream);
        if index >= self.streams.len() {
            self.streams.resize_with(index + 1, Waits::default);
        }
        &mut self.streams[index]
    }

    /// Returns the number of a protocol.
    pub(crate) fn protocol(&self, name: &str) -> Result<u32> {
        let number = self
            .environment
            .hub()
            .names()
            .intern(ProtocolId::new(name)?);
        number.ok_or_else(|| Error::from("too many protocols"))
    }

    /// Returns the name of a protocol.
    pub(crate) fn protocol_name(&self, number: u32) -> Option<ProtocolId> {
        self.environment.hub().names().name(number)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |text, word| {
        let (head, tail) = word.split_at(1);
        text + &head.to_uppercase() + tail
    })
}
