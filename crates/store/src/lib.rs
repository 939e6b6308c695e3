//! A durable map of bytes in one file, on a thread of its own.
//!
//! A [`Store`] takes one call after the other and answers each through its reply, from its thread.
//! A commit is answered once it is on the disk: neither a crash of the process nor a power failure
//! loses it. The caller gathers what it writes meanwhile into the next commit, so that one sync
//! serves many writes.
#![forbid(unsafe_code)]

pub use batch::{Batch, Change};
pub use error::StoreError;

mod batch;
mod error;
mod file;
mod worker;

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use worker::Job;

/// Calls that wait at a time: a load or commit, and the close. More are a bug of the caller.
const JOBS_MAX: usize = 4;

/// Takes the answer of a call: the bytes of a page, none for the other calls.
pub type Reply = Box<dyn FnOnce(Result<Vec<u8>, StoreError>) + Send>;

/// An open file. Dropping it finishes the calls that wait, and closes the file.
pub struct Store {
    running: Mutex<Option<Running>>,
}

struct Running {
    jobs: SyncSender<Job>,
    thread: JoinHandle<()>,
}

impl Store {
    /// Opens the file at `path`, which is made with its folders if there is none. The answer is empty,
    /// or one byte if the file was damaged and has been repaired, maybe without the latest commits.
    ///
    /// # Errors
    /// The error of starting a thread; all others go to `reply`.
    pub fn open(path: PathBuf, reply: Reply) -> std::io::Result<Self> {
        let (jobs, waiting) = sync_channel(JOBS_MAX);
        let thread = std::thread::Builder::new()
            .name("ferroswarm-store".into())
            .spawn(move || worker::run(path, reply, &waiting))?;
        Ok(Self {
            running: Mutex::new(Some(Running { jobs, thread })),
        })
    }

    /// Answers with the next entries in the order of their keys, as a [`Batch`] of about 1 MiB: the
    /// first ones, or those after a key. It is empty at the end.
    pub fn load(&self, after: Option<Vec<u8>>, reply: Reply) {
        self.send(Job::Load { after, reply });
    }

    /// Stores the changes of a [`Batch`], all or none.
    pub fn commit(&self, batch: Vec<u8>, reply: Reply) {
        self.send(Job::Commit { batch, reply });
    }

    /// Closes the file, after the calls that wait.
    pub fn close(&self, reply: Reply) {
        self.send(Job::Close { reply });
    }

    /// Closes the file after the calls that wait, and waits for it. Idempotent.
    pub fn stop(&self) {
        let Some(Running { jobs, thread }) = self.take() else {
            return;
        };
        drop(jobs);
        // A panic of a call has been answered; this one has nobody left to tell.
        drop(thread.join());
    }

    fn send(&self, job: Job) {
        let running = self.running.lock().unwrap_or_else(|lock| lock.into_inner());
        let sent = match running.as_ref() {
            Some(running) => running.jobs.try_send(job),
            None => Err(TrySendError::Disconnected(job)),
        };
        drop(running);
        let (job, error) = match sent {
            Ok(()) => return,
            Err(TrySendError::Full(job)) => (job, StoreError::Busy),
            Err(TrySendError::Disconnected(job)) => (job, StoreError::Closed),
        };
        job.into_reply()(Err(error));
    }

    fn take(&self) -> Option<Running> {
        let mut running = self.running.lock().unwrap_or_else(|lock| lock.into_inner());
        running.take()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests;
