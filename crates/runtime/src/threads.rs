//! The node's I/O threads: one single-threaded tokio runtime each, each connection pinned to one.

use std::io;
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;

use crate::sync::{Arc, AtomicUsize, Ordering};

/// One I/O thread and its number of connections.
pub(crate) struct IoThread {
    handle: Handle,
    connections: Arc<AtomicUsize>,
}

/// Counts a connection to the load of its I/O thread until dropped.
pub(crate) struct Seat(Arc<AtomicUsize>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The I/O threads of a node.
pub(crate) struct IoThreads {
    threads: Vec<IoThread>,
    joins: Vec<JoinHandle<()>>,
    stop: watch::Sender<bool>,
}

impl IoThreads {
    /// Starts `count` threads.
    pub(crate) fn start(count: usize) -> io::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let mut io_threads = Self {
            threads: Vec::new(),
            joins: Vec::new(),
            stop,
        };
        for index in 0..count {
            let runtime = Builder::new_current_thread()
                .enable_io()
                .enable_time()
                .build()?;
            io_threads.threads.push(IoThread {
                handle: runtime.handle().clone(),
                connections: Arc::new(AtomicUsize::new(0)),
            });
            let mut stopped = stopped.clone();
            let run = move || {
                // An error means that the sender is gone, which is a stop as well.
                runtime.block_on(async { drop(stopped.wait_for(|stop| *stop).await) });
                // Every task is dropped here, on its own thread; each ends its connection.
                drop(runtime);
            };
            let name = format!("ferroswarm-io-{index}");
            io_threads
                .joins
                .push(std::thread::Builder::new().name(name).spawn(run)?);
        }
        Ok(io_threads)
    }

    /// Returns the first thread, for accept loops and the node's own tasks; `None` once the threads
    /// are stopped.
    pub(crate) fn first(&self) -> Option<Handle> {
        self.threads.first().map(|thread| thread.handle.clone())
    }

    /// Takes a seat on the thread with the fewest connections; `None` once the threads are stopped.
    pub(crate) fn seat(&self) -> Option<(Handle, Seat)> {
        let thread = self
            .threads
            .iter()
            .min_by_key(|thread| thread.connections.load(Ordering::Relaxed))?;
        thread.connections.fetch_add(1, Ordering::Relaxed);
        Some((thread.handle.clone(), Seat(Arc::clone(&thread.connections))))
    }

    /// Signals every thread to stop; the caller waits for them with [`join`], without a lock that
    /// their tasks may need. No task blocks, so that takes one poll of each.
    ///
    /// The handles are dropped too: each keeps the descriptors of its runtime's event queue open.
    pub(crate) fn stop(&mut self) -> Vec<JoinHandle<()>> {
        self.stop.send_replace(true);
        self.threads.clear();
        std::mem::take(&mut self.joins)
    }
}

/// Waits for threads that were signalled to stop.
pub(crate) fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        // A thread that panicked has nothing left to stop.
        drop(thread.join());
    }
}

/// Returns the number of threads for a machine of `cores` cores: one core is left to JavaScript.
pub(crate) fn default_count(cores: usize) -> usize {
    cores.saturating_sub(1).clamp(1, 4)
}
