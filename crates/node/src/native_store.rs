//! Stores of JavaScript: commands whose results are bytes.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use ferroswarm_runtime::CommandStore;
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;

use crate::attached;
use crate::attachment::Attachment;
use crate::keys::{Failure, failure};
use crate::native_node::{CommandResult, take_result};
use crate::number::whole;

/// A map of bytes in a file. Methods complete as those of a node do.
#[napi]
pub struct NativeStore {
    store: Arc<CommandStore>,
    attachment: Rc<Attachment>,
    /// The request that opens it, whose failure ends the thread.
    opening: u32,
    /// The request that closes it, whose completion ends the thread.
    closing: Cell<Option<u32>>,
}

#[napi]
impl NativeStore {
    /// Opens a file, which is made with its folders if there is none.
    #[napi(constructor, catch_unwind)]
    pub fn new(attachment: f64, request: f64, path: String) -> Result<Self, Failure> {
        let attachment = attached(attachment)?;
        let hub = Arc::clone(attachment.environment.borrow().hub());
        let opening = whole(request)?;
        let store = CommandStore::open(hub, opening, path.into())
            .map_err(|error| failure(error.kind().into(), error))?;
        let store = Arc::new(store);
        attachment.keep_store(&store);
        Ok(Self {
            store,
            attachment,
            opening,
            closing: Cell::new(None),
        })
    }

    /// Reads some of the entries after a key, or the first ones; the result is a page, which is empty at the end.
    #[napi(catch_unwind)]
    pub fn load(&self, request: f64, after: Option<Uint8Array>) -> Result<(), Failure> {
        self.store
            .load(whole(request)?, after.map(|key| key.to_vec()));
        Ok(())
    }

    /// Stores changes; completes when they are durable.
    #[napi(catch_unwind)]
    pub fn commit(&self, request: f64, batch: Uint8Array) -> Result<(), Failure> {
        self.store.commit(whole(request)?, batch.to_vec());
        Ok(())
    }

    /// Closes the file.
    #[napi(catch_unwind)]
    pub fn close(&self, request: f64) -> Result<(), Failure> {
        let request = whole(request)?;
        self.closing.set(Some(request));
        self.store.close(request);
        Ok(())
    }

    /// Takes the result of a completed command; it can be taken once.
    #[napi(catch_unwind)]
    pub fn take_result(&self, request: f64) -> Result<CommandResult, Failure> {
        let request = whole(request)?;
        let taken = take_result(&self.attachment, request)?;
        let has_failed = request == self.opening && taken.code != 0;
        if has_failed || self.closing.get() == Some(request) {
            self.store.stop();
        }
        Ok(taken)
    }
}
