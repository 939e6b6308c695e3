//! The congestion controller: CUBIC (RFC 9438), which also lets the close of a connection pass, and tells
//! when nothing is in flight.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use quinn_proto::congestion::{Controller, ControllerFactory, Cubic, CubicConfig};
use quinn_proto::{Connection, RttEstimator};

/// Creates the controllers of connections.
pub(crate) struct Congestion(Arc<CubicConfig>);

impl Default for Congestion {
    fn default() -> Self {
        let mut cubic = CubicConfig::default();
        cubic.initial_window(INITIAL_WINDOW);
        Self(Arc::new(cubic))
    }
}

/// Bytes in flight on a new path (RFC 9002, section 7.2); two of the longest datagrams fit.
const INITIAL_WINDOW: u64 = 14_720;

impl ControllerFactory for Congestion {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        let config = Arc::clone(&self.0);
        Box::new(ClosableCubic {
            cubic: Cubic::new(config, now, current_mtu),
            shared: Arc::default(),
        })
    }
}

/// What the controller of a path shares with its connection.
#[derive(Default)]
pub(crate) struct Shared {
    is_closing: AtomicBool,
    /// Times that the last bytes in flight were acknowledged.
    emptied: AtomicU64,
}

impl Shared {
    /// Returns that of the path in use.
    pub(crate) fn of(connection: &Connection) -> Arc<Self> {
        let controller = connection.congestion_state().clone_box().into_any();
        let controller = controller.downcast::<ClosableCubic>();
        controller
            .map(|controller| controller.shared)
            .unwrap_or_default()
    }

    /// Lets the close of the connection pass, however much is in flight: quinn-proto counts it as one
    /// more packet of data if data is left, and then nothing opens the window any more.
    pub(crate) fn admit_close(&self) {
        self.is_closing.store(true, Ordering::Relaxed);
    }

    /// Returns how often the last bytes in flight were acknowledged.
    pub(crate) fn emptied(&self) -> u64 {
        self.emptied.load(Ordering::Relaxed)
    }
}

/// CUBIC until the connection is closed.
#[derive(Clone)]
struct ClosableCubic {
    cubic: Cubic,
    /// Shared with its copies, which is how it is reached.
    shared: Arc<Shared>,
}

impl Controller for ClosableCubic {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.cubic.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(
        &mut self,
        now: Instant,
        sent: Instant,
        bytes: u64,
        app_limited: bool,
        rtt: &RttEstimator,
    ) {
        self.cubic.on_ack(now, sent, bytes, app_limited, rtt);
    }

    fn on_end_acks(
        &mut self,
        now: Instant,
        in_flight: u64,
        app_limited: bool,
        largest_packet_num_acked: Option<u64>,
    ) {
        if in_flight == 0 {
            self.shared.emptied.fetch_add(1, Ordering::Relaxed);
        }
        self.cubic
            .on_end_acks(now, in_flight, app_limited, largest_packet_num_acked);
    }

    fn on_congestion_event(
        &mut self,
        now: Instant,
        sent: Instant,
        is_persistent_congestion: bool,
        lost_bytes: u64,
    ) {
        self.cubic
            .on_congestion_event(now, sent, is_persistent_congestion, lost_bytes);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.cubic.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        if self.shared.is_closing.load(Ordering::Relaxed) {
            // Beyond 32 bits, nothing is paced either.
            return u64::MAX;
        }
        self.cubic.window()
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        self.cubic.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
