//! What one JavaScript environment has attached: its hub's consumer, doorbell and nodes.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};

use ferroswarm_runtime::{Environment, Hub, Node, ProtocolNames};

use crate::wake::{Bell, SharedBell, at_exit};

/// The native side of one environment. Lives on its thread.
pub(crate) struct Attachment {
    pub(crate) environment: RefCell<Environment>,
    pub(crate) bell: Arc<Bell>,
    pub(crate) names: Arc<ProtocolNames>,
    /// Nodes to stop when the environment ends.
    nodes: RefCell<Vec<Weak<Node>>>,
    next_node: Cell<u32>,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Attachment>>> = const { RefCell::new(None) };
}

/// Every node of the process: `process.exit` runs no hook of its environment.
static NODES: Mutex<Vec<Weak<Node>>> = Mutex::new(Vec::new());

impl Attachment {
    /// Makes the thread's attachment. A thread runs one environment at a time.
    pub(crate) fn install(bell: Arc<Bell>) -> Rc<Self> {
        let hub = Hub::new(Box::new(SharedBell(Arc::clone(&bell))));
        let attachment = Rc::new(Self {
            names: Arc::clone(hub.names()),
            environment: RefCell::new(Environment::new(hub)),
            bell,
            nodes: RefCell::default(),
            next_node: Cell::new(1),
        });
        CURRENT.set(Some(Rc::clone(&attachment)));
        attachment
    }

    /// The thread's attachment, once `attach` was called.
    pub(crate) fn current() -> Option<Rc<Self>> {
        CURRENT.with_borrow(Option::clone)
    }

    /// The next node's number.
    pub(crate) fn next_node(&self) -> u32 {
        self.next_node.replace(self.next_node.get() + 1)
    }

    /// Has `node` stopped when the environment ends, or the process.
    pub(crate) fn keep(&self, node: &Arc<Node>) {
        let remember = |nodes: &mut Vec<Weak<Node>>| {
            nodes.retain(|known| known.strong_count() > 0);
            nodes.push(Arc::downgrade(node));
        };
        remember(&mut self.nodes.borrow_mut());
        remember(&mut NODES.lock().unwrap_or_else(PoisonError::into_inner));
        static AT_EXIT: Once = Once::new();
        AT_EXIT.call_once(|| at_exit(stop_all));
    }
}

/// Stops and joins every thread of the process's nodes. Libraries take down what they own while a
/// process exits: the generator of random numbers aborts it when a thread still asks for some.
extern "C" fn stop_all() {
    let nodes = std::mem::take(&mut *NODES.lock().unwrap_or_else(PoisonError::into_inner));
    for node in nodes.iter().filter_map(Weak::upgrade) {
        node.stop();
    }
}

/// Stops and joins every thread of the environment's nodes, then silences the doorbell.
pub(crate) fn tear_down() {
    let Some(attachment) = CURRENT.take() else {
        return;
    };
    for node in attachment.nodes.borrow().iter().filter_map(Weak::upgrade) {
        node.stop();
    }
    attachment.bell.silence();
}
