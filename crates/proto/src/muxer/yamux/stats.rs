//! Counters of a session.

/// Traffic counters of a session. They influence no decision.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Frames received.
    pub frames_received: u64,
    /// Frames written, data headers included.
    pub frames_sent: u64,
    /// Payload bytes announced by received data frames.
    pub payload_received: u64,
    /// Payload bytes announced by sent data frames.
    pub payload_sent: u64,
    /// Streams opened by the remote, refused ones excluded.
    pub inbound_opened: u64,
    /// Streams opened locally.
    pub outbound_opened: u64,
    /// Inbound streams refused by a limit.
    pub refused: u64,
    /// Of these, those beyond the limit on live inbound streams.
    pub beyond_inbound_max: u64,
    /// Streams reset by the remote.
    pub resets_received: u64,
    /// Resets sent.
    pub resets_sent: u64,
    /// Pings left unanswered because there were too many.
    pub pings_dropped: u64,
}
