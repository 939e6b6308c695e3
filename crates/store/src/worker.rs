//! The thread of a store.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::mpsc::Receiver;

use crate::Reply;
use crate::error::StoreError;
use crate::file::File;

/// The answer of the open of a file that was repaired.
const REPAIRED: u8 = 1;

/// A call that waits for the thread.
pub(crate) enum Job {
    Load {
        after: Option<Vec<u8>>,
        reply: Reply,
    },
    Commit {
        batch: Vec<u8>,
        reply: Reply,
    },
    Close {
        reply: Reply,
    },
}

impl Job {
    pub(crate) fn into_reply(self) -> Reply {
        match self {
            Self::Load { reply, .. } | Self::Commit { reply, .. } | Self::Close { reply } => reply,
        }
    }
}

/// Opens the file, then runs calls until the store is closed or dropped.
pub(crate) fn run(path: PathBuf, opened: Reply, jobs: &Receiver<Job>) {
    quiet_panics();
    let mut open = Open {
        path,
        file: None,
        id: None,
    };
    let result = open.with(|file| Ok(vec![REPAIRED; usize::from(file.is_repaired())]));
    let is_open = result.is_ok();
    opened(result);
    if !is_open {
        return answer_rest(jobs);
    }
    for job in jobs {
        match job {
            Job::Load { after, reply } => reply(open.with(|file| file.page(after.as_deref()))),
            Job::Commit { batch, reply } => {
                reply(open.with(|file| file.commit(&batch).map(|()| Vec::new())));
            }
            Job::Close { reply } => {
                open.close();
                reply(Ok(Vec::new()));
                break;
            }
        }
    }
    open.close();
    answer_rest(jobs);
}

/// Answers the calls that come after the end, until the store is dropped.
fn answer_rest(jobs: &Receiver<Job>) {
    for job in jobs {
        job.into_reply()(Err(StoreError::Closed));
    }
}

/// The file, while it is open.
struct Open {
    path: PathBuf,
    file: Option<File>,
    /// The id of the file, once it was open.
    id: Option<Option<u64>>,
}

impl Open {
    /// Calls `act` with the file, which is opened again if a failure has closed it: after an error of
    /// the system, such as that of a full disk, redb takes no more calls.
    fn with(
        &mut self,
        act: impl FnOnce(&File) -> Result<Vec<u8>, StoreError>,
    ) -> Result<Vec<u8>, StoreError> {
        let (path, file, id) = (&self.path, &mut self.file, &mut self.id);
        let result = unwinding(|| act(opened(path, file, id)?));
        if result.is_err() {
            self.close();
        }
        result
    }

    fn close(&mut self) {
        let file = self.file.take();
        // A damaged file may cause a panic here as well. There is nothing more to do with it.
        drop(unwinding(|| {
            drop(file);
            Ok(Vec::new())
        }));
    }
}

/// Only the first open makes a file: one that has gone since is an error, and so is another one in
/// its place, as either lacks what was stored.
fn opened<'a>(
    path: &Path,
    file: &'a mut Option<File>,
    id: &mut Option<Option<u64>>,
) -> Result<&'a File, StoreError> {
    if let Some(file) = file {
        return Ok(file);
    }
    let opened = match *id {
        Some(id) => File::reopen(path, id)?,
        None => File::open(path)?,
    };
    *id = Some(opened.id());
    Ok(file.insert(opened))
}

thread_local! {
    /// Whether panics of this thread are answered as errors.
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Keeps panics of this thread out of the standard error, where redb's would have backtraces for
/// every damaged file. Other threads have the hook that was set before.
fn quiet_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IS_QUIET.get() {
                previous(info);
            }
        }));
    });
    IS_QUIET.set(true);
}

/// Turns panics into errors: redb has them for files that are damaged.
fn unwinding(act: impl FnOnce() -> Result<Vec<u8>, StoreError>) -> Result<Vec<u8>, StoreError> {
    // The file is closed after a panic, so nobody sees its state.
    catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|panic| Err(StoreError::of_panic(&*panic)))
}
