//! Counters: relaxed atomics, read by one call into a `Float64Array`.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Sets the value, of a number that somebody else counts.
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// The present value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one connection has carried.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    /// Bytes of its streams received, those of negotiations included.
    pub(crate) bytes_in: Counter,
    /// Bytes of its streams sent.
    pub(crate) bytes_out: Counter,
    /// Muxer frames received; those of the `yamux` crate are not counted.
    pub(crate) frames_in: Counter,
    /// Muxer frames sent; those of the `yamux` crate are not counted.
    pub(crate) frames_out: Counter,
    /// Smoothed round trip in microseconds; 0 while it is not known.
    pub(crate) round_trip_us: Counter,
}

impl Traffic {
    /// All of it, in the order of the fields.
    pub(crate) fn figures(&self) -> [u64; 5] {
        [
            self.bytes_in.get(),
            self.bytes_out.get(),
            self.frames_in.get(),
            self.frames_out.get(),
            self.round_trip_us.get(),
        ]
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// What one JavaScript environment has seen of its native side.
        #[derive(Debug, Default)]
        pub struct HubStats {
            $($(#[$doc])* pub $name: Counter,)*
        }

        impl HubStats {
            /// Names in the order of [`HubStats::values`].
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name)),*];

            /// Every counter, in the order of [`HubStats::NAMES`].
            pub fn values(&self) -> impl Iterator<Item = u64> + '_ {
                [$(self.$name.get()),*].into_iter()
            }
        }
    };
}

counters! {
    /// Doorbell calls: wakes of JavaScript asked for.
    rings,
    /// Calls of `drain`.
    drains,
    /// Records handed to JavaScript.
    records,
    /// Hot calls of any kind but `drain`.
    calls,
    /// Stream bytes copied into JavaScript memory.
    bytes_read,
    /// Stream bytes copied out of JavaScript memory.
    bytes_written,
    /// Bytes taken from sockets.
    socket_bytes_in,
    /// Bytes given to sockets.
    socket_bytes_out,
    /// Muxer frames received; those of the `yamux` crate are not counted.
    frames_in,
    /// Muxer frames sent; those of the `yamux` crate are not counted.
    frames_out,
    /// Read calls on sockets.
    socket_reads,
    /// Write calls on sockets.
    socket_writes,
    /// Flushes that the JavaScript thread sealed and sent itself.
    inline_writes,
    /// Bytes that the JavaScript thread sealed at those.
    inline_bytes,
    /// Reads of sockets that JavaScript's own event loop waits for.
    inline_reads,
    /// Times that JavaScript's event loop polled its sockets before it slept.
    busy_polls,
    /// Flushes that woke an I/O thread.
    kicks,
    /// Connections opened.
    connections_opened,
    /// Connections closed.
    connections_closed,
    /// Streams opened, both directions.
    streams_opened,
    /// Streams closed, both directions.
    streams_closed,
    /// Streams reset because their connection held too much.
    memory_resets,
    /// Times a connection stopped reading because JavaScript did not drain.
    read_pauses,
    /// Inbound connections whose upgrade failed.
    upgrades_failed,
    /// Inbound connections refused before a byte was spent.
    admissions_refused,
    /// Diagnostic facts dropped for want of room, or because there were too many in a second.
    diagnostics_dropped,
    /// Chunks of stream pipes that came from the allocator and not from the pool.
    chunk_allocations,
    /// Bytes by which receive windows of the whole process have grown at present.
    window_growth,
}
