//! Who may come in: the one point that every accepted connection and every inbound stream passes.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::config::Limits;
use crate::diagnostics::Refusal;
use crate::sync::{Arc, Mutex};

/// Counts inbound connections that are still being upgraded.
#[derive(Default)]
pub(crate) struct Admission {
    pending: Mutex<Pending>,
}

#[derive(Default)]
struct Pending {
    total: usize,
    hosts: HashMap<IpAddr, usize>,
}

/// A place among the pending connections; given back when dropped.
pub(crate) struct Ticket {
    admission: Arc<Admission>,
    host: Option<IpAddr>,
}

impl Admission {
    /// A place for a connection from `address`.
    ///
    /// # Errors
    /// The limit that says no.
    pub(crate) fn admit(
        self: &Arc<Self>,
        address: IpAddr,
        limits: &Limits,
    ) -> Result<Ticket, Refusal> {
        let host = host_of(address);
        let mut pending = self.pending.lock();
        within(
            "pendingInboundMax",
            limits.pending_inbound_max,
            pending.total,
        )?;
        if let Some(host) = host {
            let count = pending.hosts.entry(host).or_default();
            let limit = limits.pending_inbound_per_host_max;
            within("pendingInboundPerHostMax", limit, *count)?;
            *count += 1;
        }
        pending.total += 1;
        Ok(Ticket {
            admission: Arc::clone(self),
            host,
        })
    }
}

/// Whether there is room for one more under the limit of this option.
fn within(option: &'static str, limit: usize, current: usize) -> Result<(), Refusal> {
    if current < limit {
        return Ok(());
    }
    Err(Refusal {
        option,
        limit: limit as u64,
        current: current as u64,
    })
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut pending = self.admission.pending.lock();
        pending.total -= 1;
        let Some(host) = self.host else { return };
        if let Some(count) = pending.hosts.get_mut(&host) {
            *count -= 1;
            if *count == 0 {
                pending.hosts.remove(&host);
            }
        }
    }
}

/// What counts as one host: an IPv4 address, an IPv6 /56. Loopback counts as none.
fn host_of(address: IpAddr) -> Option<IpAddr> {
    match address.to_canonical() {
        address if address.is_loopback() => None,
        IpAddr::V4(address) => Some(address.into()),
        IpAddr::V6(address) => {
            let mut octets = address.octets();
            octets[7..].fill(0);
            Some(IpAddr::from(octets))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_pending_connections_in_all_and_per_host() {
        let limits = Limits {
            pending_inbound_max: 3,
            pending_inbound_per_host_max: 2,
            ..Limits::default()
        };
        let admission = Arc::new(Admission::default());
        let host: IpAddr = "192.0.2.1".parse().unwrap();
        let other: IpAddr = "192.0.2.2".parse().unwrap();
        let first = admission.admit(host, &limits);
        let _second = admission.admit(host, &limits).unwrap();
        let refused = |host| admission.admit(host, &limits).err().unwrap();
        assert_eq!(refused(host).option, "pendingInboundPerHostMax");
        let _third = admission.admit(other, &limits).unwrap();
        let refusal = Refusal {
            option: "pendingInboundMax",
            limit: 3,
            current: 3,
        };
        assert_eq!(refused(other), refusal);
        drop(first);
        assert!(admission.admit(host, &limits).is_ok());
    }

    #[test]
    fn counts_one_ipv6_customer_once_and_loopback_never() {
        let one = host_of("2001:db8:1:2300::1".parse().unwrap());
        let same = host_of("2001:db8:1:23ff::9".parse().unwrap());
        let other = host_of("2001:db8:1:2400::1".parse().unwrap());
        assert_eq!(one, same);
        assert_ne!(one, other);
        assert_eq!(host_of("::1".parse().unwrap()), None);
        assert_eq!(host_of("::ffff:127.0.0.1".parse().unwrap()), None);
    }
}
