//! Counters: relaxed atomics, read by one call into a `Float64Array`.

use std::sync::atomic::{AtomicU64, Ordering};

/// A relaxed atomic counter.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Sets the value of a number that is counted elsewhere.
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// Returns the current value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Traffic of one connection.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    /// Stream bytes received, including those of negotiations.
    pub(crate) bytes_in: Counter,
    /// Stream bytes sent.
    pub(crate) bytes_out: Counter,
    /// Muxer frames received; those of the `yamux` crate are not counted.
    pub(crate) frames_in: Counter,
    /// Muxer frames sent; those of the `yamux` crate are not counted.
    pub(crate) frames_out: Counter,
    /// Smoothed round-trip time in microseconds; 0 while unknown.
    pub(crate) round_trip_us: Counter,
}

impl Traffic {
    /// Returns every figure, in field order.
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
        /// Counters of one JavaScript environment.
        #[derive(Debug, Default)]
        pub struct HubStats {
            $($(#[$doc])* pub $name: Counter,)*
        }

        impl HubStats {
            /// Names in the order of [`HubStats::values`].
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name)),*];

            /// Returns every counter, in the order of [`HubStats::NAMES`].
            pub fn values(&self) -> impl Iterator<Item = u64> + '_ {
                [$(self.$name.get()),*].into_iter()
            }
        }
    };
}

counters! {
    /// Doorbell calls: requested wakeups of the JavaScript thread.
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
    /// Bytes read from sockets.
    socket_bytes_in,
    /// Bytes written to sockets.
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
    /// Bytes sealed by the JavaScript thread in those flushes.
    inline_bytes,
    /// Reads of sockets registered with JavaScript's event loop.
    inline_reads,
    /// Times JavaScript's event loop polled its sockets before sleeping.
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
    /// Streams reset because their connection exceeded its memory limit.
    memory_resets,
    /// Times a connection stopped reading because JavaScript did not drain.
    read_pauses,
    /// Inbound connections whose upgrade failed.
    upgrades_failed,
    /// Inbound connections refused before the handshake, or after it by a limit of their peer or by
    /// the gate.
    admissions_refused,
    /// Diagnostic facts dropped because the ring was full or the limit per second was reached.
    diagnostics_dropped,
    /// Chunks of stream pipes that came from the allocator and not from the pool.
    chunk_allocations,
    /// Times a receive window did not grow because a limit did not allow it.
    window_refusals,
}
