//! State that an instance of the package attaches to its JavaScript environment: its hub's consumer,
//! doorbell and nodes.
//!
//! Most environments have one. A module registry that loads the package again, a test runner's or that of
//! hot module replacement, adds another; attachments are independent of each other.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError, Weak};

use ferroswarm_runtime::{CommandStore, Environment, Hub, Node, ProtocolNames};

use crate::wake::{Bell, SharedBell, at_exit};

/// The native side of one instance. Lives on its environment's thread.
pub(crate) struct Attachment {
    /// Its number on this thread, from 1; never reused.
    pub(crate) id: u32,
    pub(crate) environment: RefCell<Environment>,
    pub(crate) bell: Arc<Bell>,
    pub(crate) names: Arc<ProtocolNames>,
    /// Nodes to stop when the environment ends.
    nodes: RefCell<Vec<Weak<Node>>>,
    /// Stores to close then.
    stores: RefCell<Vec<Weak<CommandStore>>>,
    next_node: Cell<u32>,
}

/// Attachments to the environments of one thread.
#[derive(Default)]
struct Attached {
    last: u32,
    all: Vec<Rc<Attachment>>,
}

thread_local! {
    static ATTACHED: RefCell<Attached> = RefCell::default();
}

/// Every node of the process: `process.exit` runs no environment cleanup hook.
static NODES: Mutex<Vec<Weak<Node>>> = Mutex::new(Vec::new());

/// Every store of the process, for the same reason.
static STORES: Mutex<Vec<Weak<CommandStore>>> = Mutex::new(Vec::new());

impl Attachment {
    /// Adds an attachment to the thread.
    pub(crate) fn install(bell: Arc<Bell>) -> Rc<Self> {
        let hub = Hub::new(Box::new(SharedBell(Arc::clone(&bell))));
        ATTACHED.with_borrow_mut(|attached| {
            attached.last += 1;
            let attachment = Rc::new(Self {
                id: attached.last,
                names: Arc::clone(hub.names()),
                environment: RefCell::new(Environment::new(hub)),
                bell,
                nodes: RefCell::default(),
                stores: RefCell::default(),
                next_node: Cell::new(1),
            });
            attached.all.push(Rc::clone(&attachment));
            attachment
        })
    }

    /// Returns the attachment with that number, until its environment ends.
    pub(crate) fn of(id: u32) -> Option<Rc<Self>> {
        ATTACHED.with_borrow(|attached| {
            let known = attached.all.iter().find(|attachment| attachment.id == id);
            known.map(Rc::clone)
        })
    }

    fn remove(id: u32) -> Option<Rc<Self>> {
        ATTACHED.with_borrow_mut(|attached| {
            let index = attached.all.iter().position(|known| known.id == id)?;
            Some(attached.all.swap_remove(index))
        })
    }

    /// Returns the next node's number.
    pub(crate) fn next_node(&self) -> u32 {
        self.next_node.replace(self.next_node.get() + 1)
    }

    /// Registers `node` to be stopped when the environment ends or the process exits.
    pub(crate) fn keep(&self, node: &Arc<Node>) {
        remember(&mut self.nodes.borrow_mut(), node);
        remember(&mut lock(&NODES), node);
        AT_EXIT.call_once(|| at_exit(stop_all));
    }

    /// Registers `store` to be closed then.
    pub(crate) fn keep_store(&self, store: &Arc<CommandStore>) {
        remember(&mut self.stores.borrow_mut(), store);
        remember(&mut lock(&STORES), store);
        AT_EXIT.call_once(|| at_exit(stop_all));
    }
}

static AT_EXIT: Once = Once::new();

fn remember<T>(all: &mut Vec<Weak<T>>, one: &Arc<T>) {
    all.retain(|known| known.strong_count() > 0);
    all.push(Arc::downgrade(one));
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Stops and joins every thread of the process's nodes. Libraries free their state while a process exits:
/// the random number generator aborts the process if a thread still uses it.
extern "C" fn stop_all() {
    // A panic must not unwind into C.
    drop(std::panic::catch_unwind(stop_every_node));
}

fn stop_every_node() {
    let nodes = std::mem::take(&mut *lock(&NODES));
    for node in nodes.iter().filter_map(Weak::upgrade) {
        node.stop();
    }
    let stores = std::mem::take(&mut *lock(&STORES));
    for store in stores.iter().filter_map(Weak::upgrade) {
        store.stop();
    }
}

/// Stops and joins every thread of an attachment's nodes, then silences its doorbell.
pub(crate) fn tear_down(id: u32) {
    let Some(attachment) = Attachment::remove(id) else {
        return;
    };
    for node in attachment.nodes.borrow().iter().filter_map(Weak::upgrade) {
        node.stop();
    }
    for store in attachment.stores.borrow().iter().filter_map(Weak::upgrade) {
        store.stop();
    }
    attachment.bell.silence();
}
