//! Counters of a session.

/// What has gone through a session. Nothing is decided by it.
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
    /// Streams that the remote opened, refused ones excluded.
    pub inbound_opened: u64,
    /// Streams that were opened here.
    pub outbound_opened: u64,
    /// Inbound streams refused by a limit.
    pub refused: u64,
    /// Of these, those beyond the inbound streams that there may be.
    pub beyond_inbound_max: u64,
    /// Streams that the remote reset.
    pub resets_received: u64,
    /// Resets sent.
    pub resets_sent: u64,
    /// Pings that were not answered because there were too many.
    pub pings_dropped: u64,
}
