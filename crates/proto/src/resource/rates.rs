//! Rates of inbound connections of each subnet.

use core::net::IpAddr;
use std::collections::HashMap;
use std::time::Duration;

use thiserror::Error;

use super::network::{Network, NetworkMap};
use super::subnets::{SubnetLimits, UNLIMITED};

/// Maximum number of subnets in each of the two generations of a rate.
///
/// A map of 8,192 slots holds no more; two of them take some 670 KiB. At the default rate, subnets
/// in that number connect 35,840 times a second, so an attacker who has more of them gains nothing
/// if some are forgotten.
const BUCKETS_MAX: usize = 7_168;

/// Minimum time per token; connections never arrive that fast, so it limits nothing.
const TOKEN_MIN: Duration = Duration::from_nanos(1);

/// Maximum time per token: 136 years, in effect no refill. Multiplied by any burst it still fits into
/// a [`Duration`].
const TOKEN_MAX: Duration = Duration::from_secs(1 << 32);

/// Refill of unverified handshakes per subnet, as in go-libp2p: one each 10 s. A handshake lasts 5 s
/// at most, so spoofed ones occupy the refilled place for half of the time.
const UNVERIFIED_PER_SECOND: f64 = 0.1;

/// Rate of each subnet of one prefix length.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Prefix length.
    pub prefix: u8,
    /// Tokens added per second. Zero, a negative number and NaN add none.
    pub per_second: f64,
    /// Capacity of the bucket: connections that may arrive at once. Zero refuses all.
    pub burst: u32,
}

/// Rates by prefix length. All rates of a family apply; an empty list limits nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct RateLimits {
    /// Rates of IPv4 subnets.
    pub ipv4: Vec<Rate>,
    /// Rates of IPv6 subnets.
    pub ipv6: Vec<Rate>,
}

impl Default for RateLimits {
    /// The bursts of go-libp2p with the rate of js-libp2p. The rate of go-libp2p, one connection each
    /// 5 s, refuses honest peers behind a shared address.
    fn default() -> Self {
        let rate = |prefix, per_second, burst| Rate {
            prefix,
            per_second,
            burst,
        };
        Self {
            ipv4: vec![rate(32, 5.0, 16)],
            ipv6: vec![rate(56, 5.0, 16), rate(48, 25.0, 80)],
        }
    }
}

/// A subnet connects faster than its rate.
#[derive(Debug, Error, Clone, Copy, PartialEq)]
#[error("{network} exceeds {per_second} connections per second after a burst of {burst}")]
pub struct RateRefusal {
    /// The subnet.
    pub network: Network,
    /// Its rate.
    pub per_second: f64,
    /// Its burst.
    pub burst: u32,
    /// Tokens that it has left.
    pub left: u32,
}

/// Token buckets of subnets.
///
/// Time is passed as the duration since an epoch of the caller's choice. However many subnets
/// connect, a call takes amortised constant time, and memory is bounded: beyond the bound the subnets
/// that were least recently seen are forgotten, which refills their buckets.
#[derive(Debug)]
pub struct Rates {
    ipv4: Vec<Buckets>,
    ipv6: Vec<Buckets>,
}

impl Rates {
    /// Creates full buckets.
    pub fn new(limits: &RateLimits) -> Self {
        let buckets = |rates: &[Rate]| rates.iter().copied().map(Buckets::new).collect();
        Self {
            ipv4: buckets(&limits.ipv4),
            ipv6: buckets(&limits.ipv6),
        }
    }

    /// Takes a token of each subnet of `address`, or none.
    ///
    /// # Errors
    /// The first subnet, in the order of the limits, that has no token left.
    pub fn take(&mut self, address: IpAddr, now: Duration) -> Result<(), RateRefusal> {
        self.take_many(address, 1, now)
    }

    /// Takes `tokens` of each subnet of `address`, or none.
    ///
    /// # Errors
    /// The first subnet, in the order of the limits, that has fewer left.
    pub fn take_many(
        &mut self,
        address: IpAddr,
        tokens: u32,
        now: Duration,
    ) -> Result<(), RateRefusal> {
        let buckets = self.of(address);
        for buckets in &mut *buckets {
            buckets.check(address, tokens, now)?;
        }
        for buckets in buckets {
            buckets.take(address, tokens, now);
        }
        Ok(())
    }

    /// Fills the buckets of the subnets of `address`.
    pub fn refill(&mut self, address: IpAddr) {
        for buckets in self.of(address) {
            buckets.refill(address);
        }
    }

    /// Fills all buckets.
    pub fn refill_all(&mut self) {
        for buckets in self.ipv4.iter_mut().chain(&mut self.ipv6) {
            buckets.recent.clear();
            buckets.older.clear();
        }
    }

    fn of(&mut self, address: IpAddr) -> &mut [Buckets] {
        match address.to_canonical() {
            IpAddr::V4(_) => &mut self.ipv4,
            IpAddr::V6(_) => &mut self.ipv6,
        }
    }
}

/// Decides which source addresses of datagrams must be verified before their handshake.
///
/// Each subnet may start half of its permitted connections unverified, then one each 10 s. A
/// verification costs an honest peer a round trip; a spoofed address never completes it.
#[derive(Debug)]
pub struct VerifySource {
    rates: Rates,
    /// `None` for an unlimited network.
    networks: NetworkMap<Option<Bucket>>,
}

impl VerifySource {
    /// Creates full buckets for the subnets of `limits`.
    pub fn new(limits: &SubnetLimits) -> Self {
        let rates = |limits: &[(u8, u32)]| {
            let limited = limits.iter().filter(|(_, limit)| *limit != UNLIMITED);
            let rate = |&(prefix, limit): &(u8, u32)| Rate {
                prefix,
                per_second: UNVERIFIED_PER_SECOND,
                burst: limit / 2,
            };
            limited.map(rate).collect()
        };
        let bucket = |limit| {
            (limit != UNLIMITED).then(|| Bucket {
                refill: Refill::new(UNVERIFIED_PER_SECOND, limit / 2),
                full_at: Duration::ZERO,
            })
        };
        let networks = limits.networks.iter();
        Self {
            rates: Rates::new(&RateLimits {
                ipv4: rates(&limits.ipv4),
                ipv6: rates(&limits.ipv6),
            }),
            networks: networks
                .map(|&(network, limit)| (network, bucket(limit)))
                .collect(),
        }
    }

    /// Returns whether `address` must be verified; takes a token if not.
    pub fn must_verify(&mut self, address: IpAddr, now: Duration) -> bool {
        let Some(bucket) = self.networks.find_mut(address) else {
            return self.rates.take(address, now).is_err();
        };
        let Some(bucket) = bucket else {
            return false;
        };
        let Some(full_at) = bucket.refill.take(bucket.full_at, 1, now) else {
            return true;
        };
        bucket.full_at = full_at;
        false
    }
}

/// The bucket of one network.
#[derive(Debug)]
struct Bucket {
    refill: Refill,
    full_at: Duration,
}

/// The buckets of one rate; each is stored as the time at which it will be full.
///
/// Buckets used since `rotated_at` are in `recent`, others in `older`. Once an empty bucket has had
/// time to fill, all of `older` are full: they are dropped together, and `recent` replaces them.
#[derive(Debug)]
struct Buckets {
    rate: Rate,
    refill: Refill,
    recent: HashMap<Network, Duration>,
    older: HashMap<Network, Duration>,
    rotated_at: Duration,
}

impl Buckets {
    fn new(rate: Rate) -> Self {
        Self {
            rate,
            refill: Refill::new(rate.per_second, rate.burst),
            recent: HashMap::new(),
            older: HashMap::new(),
            rotated_at: Duration::ZERO,
        }
    }

    /// Checks that the subnet of `address` has `tokens`.
    fn check(&mut self, address: IpAddr, tokens: u32, now: Duration) -> Result<(), RateRefusal> {
        if now.saturating_sub(self.rotated_at) >= self.refill.period() {
            self.rotate(now);
        }
        let network = Network::of(address, self.rate.prefix);
        let full_at = self.full_at(network);
        if self.refill.take(full_at, tokens, now).is_some() {
            return Ok(());
        }
        // Refusals count as use: a subnet that keeps trying is not forgotten when others fill the
        // maps.
        self.keep(network, full_at, now);
        Err(RateRefusal {
            network,
            per_second: self.rate.per_second,
            burst: self.rate.burst,
            left: self.refill.left(full_at, now),
        })
    }

    /// Takes tokens; none if the bucket has fewer.
    fn take(&mut self, address: IpAddr, tokens: u32, now: Duration) {
        let network = Network::of(address, self.rate.prefix);
        if let Some(full_at) = self.refill.take(self.full_at(network), tokens, now) {
            self.keep(network, full_at, now);
        }
    }

    fn refill(&mut self, address: IpAddr) {
        let network = Network::of(address, self.rate.prefix);
        self.recent.remove(&network);
        self.older.remove(&network);
    }

    fn full_at(&self, network: Network) -> Duration {
        let known = self.recent.get(&network);
        let known = known.or_else(|| self.older.get(&network));
        known.copied().unwrap_or(Duration::ZERO)
    }

    fn keep(&mut self, network: Network, full_at: Duration, now: Duration) {
        if self.recent.len() >= BUCKETS_MAX && !self.recent.contains_key(&network) {
            self.rotate(now);
        }
        self.recent.insert(network, full_at);
    }

    fn rotate(&mut self, now: Duration) {
        self.older = std::mem::take(&mut self.recent);
        self.rotated_at = now;
    }
}

/// A rate as the time per token.
#[derive(Debug, Clone, Copy)]
struct Refill {
    /// Time that adds one token.
    token: Duration,
    burst: u32,
}

impl Refill {
    fn new(per_second: f64, burst: u32) -> Self {
        let token = Duration::try_from_secs_f64(per_second.max(0.0).recip()).unwrap_or(TOKEN_MAX);
        Self {
            token: token.clamp(TOKEN_MIN, TOKEN_MAX),
            burst,
        }
    }

    /// Returns the time that fills an empty bucket.
    fn period(self) -> Duration {
        self.token * self.burst
    }

    /// Takes `tokens` of a bucket that is full at `full_at`; returns the time at which it will be
    /// full again, or `None` if it has fewer.
    fn take(self, full_at: Duration, tokens: u32, now: Duration) -> Option<Duration> {
        let full_at = full_at.max(now).saturating_add(self.token * tokens);
        (full_at - now <= self.period()).then_some(full_at)
    }

    /// Returns the tokens of a bucket that is full at `full_at`.
    fn left(self, full_at: Duration, now: Duration) -> u32 {
        let missing = full_at.saturating_sub(now).as_nanos();
        let taken = u32::try_from(missing.div_ceil(self.token.as_nanos())).unwrap_or(u32::MAX);
        self.burst.saturating_sub(taken)
    }
}

#[cfg(test)]
mod tests;
