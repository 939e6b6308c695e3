//! What is counted, and the limits of each scope.

/// A counted resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Resource {
    /// Connections that a remote has opened.
    ConnectionsInbound,
    /// Connections that were dialled.
    ConnectionsOutbound,
    /// Connections in either direction.
    Connections,
    /// Streams that a remote has opened.
    StreamsInbound,
    /// Streams that were opened here.
    StreamsOutbound,
    /// Streams in either direction.
    Streams,
    /// File descriptors.
    Fds,
    /// Bytes.
    Memory,
}

impl Resource {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::ConnectionsInbound,
        Self::ConnectionsOutbound,
        Self::Connections,
        Self::StreamsInbound,
        Self::StreamsOutbound,
        Self::Streams,
        Self::Fds,
        Self::Memory,
    ];

    /// Returns its name, which is that of the option as well.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ConnectionsInbound => "connectionsInbound",
            Self::ConnectionsOutbound => "connectionsOutbound",
            Self::Connections => "connections",
            Self::StreamsInbound => "streamsInbound",
            Self::StreamsOutbound => "streamsOutbound",
            Self::Streams => "streams",
            Self::Fds => "fds",
            Self::Memory => "memory",
        }
    }
}

/// The side that opened a connection or a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The remote.
    Inbound,
    /// This node.
    Outbound,
}

/// Share of a memory limit that a reservation may use up: `limit * (1 + priority) / 256`, so that
/// what matters less is refused first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Priority(pub u8);

impl Priority {
    /// 40 % of the limit.
    pub const LOW: Self = Self(101);
    /// Half of the limit: growth of receive windows.
    pub const WINDOW: Self = Self(128);
    /// 60 % of the limit.
    pub const MEDIUM: Self = Self(152);
    /// 80 % of the limit.
    pub const HIGH: Self = Self(203);
    /// All of it.
    pub const ALWAYS: Self = Self(255);

    /// Returns the share of `limit` that this priority may use.
    pub const fn share_of(self, limit: u64) -> u64 {
        if limit == u64::MAX {
            return limit;
        }
        ((limit as u128 * (1 + self.0 as u128)) >> 8) as u64
    }
}

/// Usage of a scope by resource. The totals of both directions are derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Bytes.
    pub memory: u64,
    /// Inbound connections.
    pub connections_inbound: u32,
    /// Outbound connections.
    pub connections_outbound: u32,
    /// Inbound streams.
    pub streams_inbound: u32,
    /// Outbound streams.
    pub streams_outbound: u32,
    /// File descriptors.
    pub fds: u32,
}

impl Usage {
    /// Returns the usage by one connection.
    pub const fn connection(direction: Direction, fds: u32) -> Self {
        let (connections_inbound, connections_outbound) = match direction {
            Direction::Inbound => (1, 0),
            Direction::Outbound => (0, 1),
        };
        Self {
            connections_inbound,
            connections_outbound,
            fds,
            ..Self::NONE
        }
    }

    /// Returns the usage by one stream.
    pub const fn stream(direction: Direction) -> Self {
        let (streams_inbound, streams_outbound) = match direction {
            Direction::Inbound => (1, 0),
            Direction::Outbound => (0, 1),
        };
        Self {
            streams_inbound,
            streams_outbound,
            ..Self::NONE
        }
    }

    /// Returns the usage by `bytes` of memory.
    pub const fn memory(bytes: u64) -> Self {
        Self {
            memory: bytes,
            ..Self::NONE
        }
    }

    /// Nothing.
    pub const NONE: Self = Self {
        memory: 0,
        connections_inbound: 0,
        connections_outbound: 0,
        streams_inbound: 0,
        streams_outbound: 0,
        fds: 0,
    };

    /// Returns the amount of one resource.
    #[inline]
    pub fn of(&self, resource: Resource) -> u64 {
        let sum = |one: u32, other: u32| u64::from(one) + u64::from(other);
        match resource {
            Resource::ConnectionsInbound => self.connections_inbound.into(),
            Resource::ConnectionsOutbound => self.connections_outbound.into(),
            Resource::Connections => sum(self.connections_inbound, self.connections_outbound),
            Resource::StreamsInbound => self.streams_inbound.into(),
            Resource::StreamsOutbound => self.streams_outbound.into(),
            Resource::Streams => sum(self.streams_inbound, self.streams_outbound),
            Resource::Fds => self.fds.into(),
            Resource::Memory => self.memory,
        }
    }

    /// Returns whether nothing is used.
    pub fn is_none(&self) -> bool {
        *self == Self::NONE
    }

    /// Adds `more`. Saturates, which only a dry run can reach: limits are checked before.
    pub(super) const fn add(&mut self, more: &Self) {
        self.memory = self.memory.saturating_add(more.memory);
        self.connections_inbound = self
            .connections_inbound
            .saturating_add(more.connections_inbound);
        self.connections_outbound = self
            .connections_outbound
            .saturating_add(more.connections_outbound);
        self.streams_inbound = self.streams_inbound.saturating_add(more.streams_inbound);
        self.streams_outbound = self.streams_outbound.saturating_add(more.streams_outbound);
        self.fds = self.fds.saturating_add(more.fds);
    }

    /// Subtracts `less`, down to zero.
    pub(super) const fn subtract(&mut self, less: &Self) {
        self.memory = self.memory.saturating_sub(less.memory);
        self.connections_inbound = self
            .connections_inbound
            .saturating_sub(less.connections_inbound);
        self.connections_outbound = self
            .connections_outbound
            .saturating_sub(less.connections_outbound);
        self.streams_inbound = self.streams_inbound.saturating_sub(less.streams_inbound);
        self.streams_outbound = self.streams_outbound.saturating_sub(less.streams_outbound);
        self.fds = self.fds.saturating_sub(less.fds);
    }
}

/// Limits of one scope. The maximum of a type is unlimited, zero blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Bytes.
    pub memory: u64,
    /// Inbound connections.
    pub connections_inbound: u32,
    /// Outbound connections.
    pub connections_outbound: u32,
    /// Connections in both directions together.
    pub connections: u32,
    /// Inbound streams.
    pub streams_inbound: u32,
    /// Outbound streams.
    pub streams_outbound: u32,
    /// Streams in both directions together.
    pub streams: u32,
    /// File descriptors.
    pub fds: u32,
}

impl Limit {
    /// No limit.
    pub const UNLIMITED: Self = Self {
        memory: u64::MAX,
        connections_inbound: u32::MAX,
        connections_outbound: u32::MAX,
        connections: u32::MAX,
        streams_inbound: u32::MAX,
        streams_outbound: u32::MAX,
        streams: u32::MAX,
        fds: u32::MAX,
    };

    /// Returns the limit of one resource; `u64::MAX` is unlimited.
    pub fn of(&self, resource: Resource) -> u64 {
        let count = |limit: u32| match limit {
            u32::MAX => u64::MAX,
            limit => limit.into(),
        };
        match resource {
            Resource::ConnectionsInbound => count(self.connections_inbound),
            Resource::ConnectionsOutbound => count(self.connections_outbound),
            Resource::Connections => count(self.connections),
            Resource::StreamsInbound => count(self.streams_inbound),
            Resource::StreamsOutbound => count(self.streams_outbound),
            Resource::Streams => count(self.streams),
            Resource::Fds => count(self.fds),
            Resource::Memory => self.memory,
        }
    }

    /// Checks that `more` fits beside `used`.
    ///
    /// # Errors
    /// The first resource whose limit it would exceed: that of one direction before the total.
    #[inline]
    pub(super) fn check(
        &self,
        used: &Usage,
        more: &Usage,
        priority: Priority,
    ) -> Result<(), Resource> {
        // Most operations concern streams alone, or memory alone.
        if more.connections_inbound | more.connections_outbound | more.fds != 0 {
            self.check_connections(used, more)?;
        }
        if more.streams_inbound | more.streams_outbound != 0 {
            self.check_streams(used, more)?;
        }
        if !self.has_memory(used, more.memory, priority) {
            return Err(Resource::Memory);
        }
        Ok(())
    }

    fn check_connections(&self, used: &Usage, more: &Usage) -> Result<(), Resource> {
        for (resource, limit) in [
            (Resource::ConnectionsInbound, self.connections_inbound),
            (Resource::ConnectionsOutbound, self.connections_outbound),
            (Resource::Fds, self.fds),
            (Resource::Connections, self.connections),
        ] {
            check_count(used, more, resource, limit)?;
        }
        Ok(())
    }

    #[inline]
    fn check_streams(&self, used: &Usage, more: &Usage) -> Result<(), Resource> {
        check_count(used, more, Resource::StreamsInbound, self.streams_inbound)?;
        check_count(used, more, Resource::StreamsOutbound, self.streams_outbound)?;
        check_count(used, more, Resource::Streams, self.streams)
    }

    /// Returns whether `bytes` fit beside `used`.
    #[inline]
    pub(super) fn has_memory(&self, used: &Usage, bytes: u64, priority: Priority) -> bool {
        let after = used.memory.checked_add(bytes);
        bytes == 0 || after.is_some_and(|after| after <= priority.share_of(self.memory))
    }
}

/// Checks that `more` of a resource fits beside `used`: nothing always does. The sum cannot
/// overflow, as that of counts of 32 bits.
#[inline]
fn check_count(used: &Usage, more: &Usage, resource: Resource, limit: u32) -> Result<(), Resource> {
    let more = more.of(resource);
    if more == 0 || used.of(resource) + more <= u64::from(limit) {
        Ok(())
    } else {
        Err(resource)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn memory(limit: u64, used: u64, more: u64, priority: u8) -> bool {
        let limit = Limit {
            memory: limit,
            ..Limit::UNLIMITED
        };
        limit
            .check(
                &Usage::memory(used),
                &Usage::memory(more),
                Priority(priority),
            )
            .is_ok()
    }

    // go 111
    #[test]
    fn memory_is_checked_without_overflow() {
        assert!(memory(u64::MAX, u64::MAX - 1, 1, 255));
        assert!(memory(u64::MAX, 1 << 62, 1 << 62, 0), "unlimited");
        assert!(!memory(u64::MAX, u64::MAX, 1, 255), "overflow");
        assert!(!memory(u64::MAX - 1, u64::MAX - 1, 1, 255));
        assert!(memory(u64::MAX - 1, 0, (u64::MAX - 1) / 2, 127));
        assert!(!memory(u64::MAX - 1, 0, (u64::MAX - 1) / 2 + 1, 127));
        assert!(memory(0, 0, 0, 0), "nothing is always granted");
        assert!(!memory(0, 0, 1, 255));
    }

    proptest! {
        // go 111
        #[test]
        fn a_reservation_fits_if_it_stays_within_the_share_of_its_priority(
            limit in 0_u64..1 << 40, used in 0_u64..1 << 40, more in 1_u64..1 << 40, priority: u8,
        ) {
            let share = limit * (u64::from(priority) + 1) / 256;
            prop_assert_eq!(memory(limit, used, more, priority), used + more <= share);
        }
    }

    // go 112
    #[test]
    fn each_count_is_granted_up_to_its_limit() {
        let limit = Limit {
            connections_inbound: 2,
            connections: 3,
            fds: 4,
            streams_outbound: 1,
            ..Limit::UNLIMITED
        };
        let check = |used: Usage, more: Usage| limit.check(&used, &more, Priority::ALWAYS);
        let inbound = Usage::connection(Direction::Inbound, 1);
        let outbound = Usage::connection(Direction::Outbound, 1);
        let used = |connections_inbound, connections_outbound, fds| Usage {
            connections_inbound,
            connections_outbound,
            fds,
            ..Usage::NONE
        };
        assert_eq!(check(used(1, 0, 1), inbound), Ok(()));
        assert_eq!(
            check(used(2, 0, 2), inbound),
            Err(Resource::ConnectionsInbound)
        );
        assert_eq!(check(used(2, 0, 3), outbound), Ok(()));
        assert_eq!(check(used(1, 2, 3), outbound), Err(Resource::Connections));
        assert_eq!(check(used(0, 0, 4), outbound), Err(Resource::Fds));
        let stream = Usage::stream(Direction::Outbound);
        assert_eq!(check(Usage::NONE, stream), Ok(()));
        assert_eq!(check(stream, stream), Err(Resource::StreamsOutbound));
    }
}
