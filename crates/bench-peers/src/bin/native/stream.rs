//! The asynchronous stream that tasks use.

use std::future::poll_fn;
use std::task::Poll;

use ferroswarm_bench_peers::Result;
use ferroswarm_runtime::{CallError, HANDLE_PENDING, Proposals};

use crate::reactor::{Reactor, Waits};

/// A stream, reset on drop, which has no effect after an orderly end.
pub(crate) struct Stream {
    reactor: Reactor,
    handle: u32,
}

impl Stream {
    /// Wraps an inbound stream.
    pub(crate) const fn new(reactor: Reactor, handle: u32) -> Self {
        Self { reactor, handle }
    }

    /// Opens a stream; its protocol is negotiated with the first bytes.
    pub(crate) async fn open(reactor: &Reactor, connection: u32, protocol: &str) -> Result<Self> {
        let (handle, is_pending) = {
            let mut world = reactor.world.borrow_mut();
            let protocol = world.protocol(protocol)?;
            let opened = world
                .environment
                .open(connection, Proposals::Lazy(protocol))?;
            let handle = opened & !HANDLE_PENDING;
            *world.waits(handle) = Waits::default();
            (handle, opened != handle)
        };
        let stream = Self::new(reactor.clone(), handle);
        if is_pending {
            stream.negotiated().await?;
        }
        Ok(stream)
    }

    async fn negotiated(&self) -> Result<()> {
        let fault = poll_fn(|cx| {
            let mut world = self.reactor.world.borrow_mut();
            let waits = world.waits(self.handle);
            if let Some(fault) = waits.negotiated.take() {
                return Poll::Ready(fault);
            }
            waits.reader = Some(cx.waker().clone());
            Poll::Pending
        });
        match fault.await {
            None => Ok(()),
            Some(fault) => Err(fault.into()),
        }
    }

    /// Reads up to `into.len()` bytes; returns 0 at the end.
    pub(crate) async fn read(&self, into: &mut [u8]) -> Result<usize> {
        let read = poll_fn(|cx| {
            let mut world = self.reactor.world.borrow_mut();
            match world.environment.read(self.handle, into) {
                Ok(0) => {
                    world.waits(self.handle).reader = Some(cx.waker().clone());
                    Poll::Pending
                }
                Err(CallError::EndOfStream) => Poll::Ready(Ok(0)),
                read => Poll::Ready(read),
            }
        });
        Ok(read.await?)
    }

    /// Reads exactly `into.len()` bytes.
    pub(crate) async fn read_exact(&self, into: &mut [u8]) -> Result<()> {
        let mut filled = 0;
        while filled < into.len() {
            let count = self.read(&mut into[filled..]).await?;
            if count == 0 {
                return Err("the stream ended too early".into());
            }
            filled += count;
        }
        Ok(())
    }

    /// Reads to the end.
    pub(crate) async fn read_to_end(&self, into: &mut Vec<u8>) -> Result<()> {
        let mut filled = into.len();
        loop {
            into.resize(filled.max(512) * 2, 0);
            match self.read(&mut into[filled..]).await? {
                0 => break,
                count => filled += count,
            }
        }
        into.truncate(filled);
        Ok(())
    }

    /// Writes all of `bytes`.
    pub(crate) async fn write(&self, bytes: &[u8]) -> Result<()> {
        let mut written = 0;
        poll_fn(|cx| {
            let mut world = self.reactor.world.borrow_mut();
            match world.environment.write(self.handle, &bytes[written..]) {
                Ok(count) => written += count,
                Err(error) => return Poll::Ready(Err(error)),
            }
            if written == bytes.len() {
                return Poll::Ready(Ok(()));
            }
            world.waits(self.handle).writer = Some(cx.waker().clone());
            Poll::Pending
        })
        .await?;
        self.reactor.count_written(bytes.len());
        Ok(())
    }

    /// Ends the write half after all written bytes.
    pub(crate) fn close_write(&self) -> Result<()> {
        let mut world = self.reactor.world.borrow_mut();
        world
            .environment
            .change(self.handle, |slot| slot.close_write())?;
        Ok(())
    }

    /// Ends both halves after all written bytes; further input is discarded.
    pub(crate) fn close(&self) -> Result<()> {
        let mut world = self.reactor.world.borrow_mut();
        world
            .environment
            .change(self.handle, |slot| Ok(slot.close()))?;
        Ok(())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut world = self.reactor.world.borrow_mut();
        // The handle of a stream that has ended is stale.
        let _ = world
            .environment
            .change(self.handle, |slot| Ok(slot.reset(0)));
    }
}
