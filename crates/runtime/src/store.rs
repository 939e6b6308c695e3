//! A store whose calls are commands: each ends with one completion.

use std::io;
use std::path::PathBuf;

use ferroswarm_store::{Reply, Store, StoreError};

use crate::command::{CommandError, Completion, Outcome};
use crate::hub::{Hub, Ready};
use crate::sync::Arc;

/// An open store, or one that could not be opened. Independent of nodes, so that it outlives the
/// node whose end it stores.
pub struct CommandStore {
    store: Store,
    hub: Arc<Hub>,
}

impl CommandStore {
    /// Opens the file at `path`; completes with [`Outcome::Page`], which is empty unless the file was
    /// damaged and has been repaired.
    ///
    /// # Errors
    /// The error of starting a thread.
    pub fn open(hub: Arc<Hub>, request: u32, path: PathBuf) -> io::Result<Self> {
        let reply = reply(&hub, request, Outcome::Page);
        Ok(Self {
            store: Store::open(path, reply)?,
            hub,
        })
    }

    /// Reads the entries after a key, or the first ones; completes with [`Outcome::Page`].
    pub fn load(&self, request: u32, after: Option<Vec<u8>>) {
        self.store
            .load(after, reply(&self.hub, request, Outcome::Page));
    }

    /// Stores changes; completes when they are durable.
    pub fn commit(&self, request: u32, batch: Vec<u8>) {
        self.store.commit(batch, done(&self.hub, request));
    }

    /// Closes the file, after the calls that wait.
    pub fn close(&self, request: u32) {
        self.store.close(done(&self.hub, request));
    }

    /// Closes the file after the calls that wait, and waits for that. Idempotent.
    pub fn stop(&self) {
        self.store.stop();
    }
}

fn done(hub: &Arc<Hub>, request: u32) -> Reply {
    reply(hub, request, |_| Outcome::Done)
}

fn reply(
    hub: &Arc<Hub>,
    request: u32,
    outcome: impl FnOnce(Vec<u8>) -> Outcome + Send + 'static,
) -> Reply {
    let hub = Arc::clone(hub);
    Box::new(move |result: Result<Vec<u8>, StoreError>| {
        let outcome = match result {
            Ok(bytes) => outcome(bytes),
            Err(error) => Outcome::Failed(CommandError::Store(Arc::new(error))),
        };
        hub.queue(Ready::Completion(Completion { request, outcome }));
        hub.announce();
    })
}
