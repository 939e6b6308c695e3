//! Admission control: the one point that every connection passes, accepted or dialled.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::config::Limits;
use crate::diagnostics::Refusal;
use crate::sync::{Arc, AtomicUsize, Mutex, Ordering};

/// Factor by which an IPv6 /48 may have more pending connections than a host, see [`host_of`]: a
/// customer has one /56 of a provider, a site a /48 with 256 of them. go-libp2p allows 64
/// connections per /48 and 8 per /56.
const HOSTS_OF_SITE_MAX: usize = 8;

/// Counts connections, and inbound ones not yet reported to JavaScript.
#[derive(Default)]
pub(crate) struct Admission {
    pending: Mutex<Pending>,
    connections: AtomicUsize,
}

#[derive(Default)]
struct Pending {
    total: usize,
    hosts: HashMap<IpAddr, usize>,
    sites: HashMap<IpAddr, usize>,
}

/// A permit for a pending connection, from the accepted socket until the connection is reported
/// to JavaScript; released on drop.
pub(crate) struct Ticket {
    admission: Arc<Admission>,
    host: Option<IpAddr>,
    site: Option<IpAddr>,
}

/// A permit for a connection of the node, including those in progress; released on drop.
pub(crate) struct Permit(Arc<Admission>);

impl Admission {
    /// Acquires a permit for one more connection.
    ///
    /// # Errors
    /// The limit, if it is reached.
    pub(crate) fn acquire(self: &Arc<Self>, limits: &Limits) -> Result<Permit, Refusal> {
        let permit = Permit(Arc::clone(self));
        let before = self.connections.fetch_add(1, Ordering::Relaxed);
        within("connectionsMax", limits.connections_max, before).map(|()| permit)
    }

    /// Acquires a permit for a pending inbound connection from `address`.
    ///
    /// # Errors
    /// The limit that is reached.
    pub(crate) fn admit(
        self: &Arc<Self>,
        address: IpAddr,
        limits: &Limits,
    ) -> Result<Ticket, Refusal> {
        let host = host_of(address);
        let site = site_of(address);
        let per_host = limits.pending_inbound_per_host_max;
        let mut pending = self.pending.lock();
        within(
            "pendingInboundMax",
            limits.pending_inbound_max,
            pending.total,
        )?;
        let per_site = per_host.saturating_mul(HOSTS_OF_SITE_MAX);
        for (limit, count) in [
            (per_host, count_of(&pending.hosts, host)),
            (per_site, count_of(&pending.sites, site)),
        ] {
            within("pendingInboundPerHostMax", limit, count)?;
        }
        pending.total += 1;
        enter(&mut pending.hosts, host);
        enter(&mut pending.sites, site);
        Ok(Ticket {
            admission: Arc::clone(self),
            host,
            site,
        })
    }
}

/// Checks that there is room for one more under the limit of this option.
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
        leave(&mut pending.hosts, self.host);
        leave(&mut pending.sites, self.site);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

type Counts = HashMap<IpAddr, usize>;

fn count_of(counts: &Counts, of: Option<IpAddr>) -> usize {
    of.and_then(|of| counts.get(&of).copied()).unwrap_or(0)
}

fn enter(counts: &mut Counts, of: Option<IpAddr>) {
    if let Some(of) = of {
        *counts.entry(of).or_default() += 1;
    }
}

fn leave(counts: &mut Counts, of: Option<IpAddr>) {
    let Some(of) = of else { return };
    if let Some(count) = counts.get_mut(&of) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&of);
        }
    }
}

/// Returns the prefix that counts as one host: an IPv4 address, an IPv6 /56; `None` for loopback.
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

/// Returns the prefix that counts as one site: an IPv6 /48; `None` for IPv4.
fn site_of(address: IpAddr) -> Option<IpAddr> {
    match host_of(address)? {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => {
            let mut octets = address.octets();
            octets[6..].fill(0);
            Some(IpAddr::from(octets))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_pending_connections_in_total_and_per_host() {
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

    // A151
    #[test]
    fn an_ipv6_site_is_refused_at_its_65th_pending_connection_and_each_customer_at_its_9th() {
        let limits = Limits::default();
        let admission = Arc::new(Admission::default());
        let from = |customer: u16, host: u16| {
            let address = format!("2001:db8:1:{:x}::{host:x}", customer << 8);
            admission.admit(address.parse().unwrap(), &limits)
        };
        let mut tickets: Vec<Ticket> = Vec::new();
        for customer in 0..8 {
            for host in 1..=8 {
                tickets.push(from(customer, host).unwrap());
            }
            assert!(from(customer, 9).is_err(), "customer {customer}");
        }
        assert!(from(8, 1).is_err(), "the 65th of the /48");
        let elsewhere: IpAddr = "2001:db8:2::1".parse().unwrap();
        assert!(admission.admit(elsewhere, &limits).is_ok());
        tickets.pop();
        assert!(from(8, 1).is_ok());
    }

    #[test]
    fn connections_beyond_the_limit_are_refused_until_one_ends() {
        let limits = Limits {
            connections_max: 2,
            ..Limits::default()
        };
        let admission = Arc::new(Admission::default());
        let first = admission.acquire(&limits);
        let second = admission.acquire(&limits);
        assert!(first.is_ok() && second.is_ok());
        assert!(admission.acquire(&limits).is_err());
        drop(first);
        assert!(admission.acquire(&limits).is_ok());
    }
}
