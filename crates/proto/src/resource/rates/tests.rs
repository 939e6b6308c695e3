use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn network(text: &str) -> Network {
    text.parse().unwrap()
}

/// Returns one rate for single addresses of both families.
fn rates(per_second: f64, burst: u32) -> Rates {
    let rate = |prefix| Rate {
        prefix,
        per_second,
        burst,
    };
    Rates::new(&RateLimits {
        ipv4: vec![rate(32)],
        ipv6: vec![rate(128)],
    })
}

/// Returns the number of tokens that are taken until a refusal.
fn drain(rates: &mut Rates, address: IpAddr, now: Duration) -> usize {
    (0..1_000)
        .take_while(|_| rates.take(address, now).is_ok())
        .count()
}

fn len(buckets: &Buckets) -> usize {
    buckets.recent.len() + buckets.older.len()
}

// go 124
#[test]
fn a_burst_passes_then_the_rate_applies() {
    let mut rates = rates(1.0, 2);
    let (peer, other) = (address("192.0.2.1"), address("192.0.2.2"));
    let start = 1_000 * SECOND;
    assert_eq!(drain(&mut rates, peer, start), 2);
    let refusal = rates.take(address("::ffff:192.0.2.1"), start).unwrap_err();
    let text = "192.0.2.1/32 exceeds 1 connections per second after a burst of 2";
    assert_eq!(refusal.to_string(), text);
    assert_eq!(rates.take(other, start), Ok(()));
    let early = start + SECOND - Duration::from_nanos(1);
    assert_eq!(drain(&mut rates, peer, early), 0);
    assert_eq!(drain(&mut rates, peer, start + SECOND), 1);
    assert_eq!(drain(&mut rates, peer, start + 100 * SECOND), 2);
}

#[test]
fn several_tokens_are_taken_together_or_none_and_a_bucket_is_refilled() {
    let mut rates = rates(1.0, 4);
    let (peer, other) = (address("192.0.2.1"), address("2001:db8::1"));
    assert_eq!(rates.take_many(peer, 3, SECOND), Ok(()));
    assert_eq!(rates.take_many(peer, 2, SECOND).unwrap_err().left, 1);
    assert_eq!(rates.take_many(peer, 1, SECOND), Ok(()));
    assert_eq!(rates.take_many(peer, u32::MAX, SECOND).unwrap_err().left, 0);
    // Half a token is none.
    let early = SECOND + SECOND / 2;
    assert_eq!(rates.take(peer, early).unwrap_err().left, 0);
    assert_eq!(drain(&mut rates, other, SECOND), 4);
    rates.refill(peer);
    assert_eq!(drain(&mut rates, peer, SECOND), 4);
    assert_eq!(drain(&mut rates, other, SECOND), 0);
    rates.refill_all();
    assert_eq!(drain(&mut rates, other, SECOND), 4);
}

#[test]
fn the_defaults_apply_to_addresses_customers_and_sites() {
    let mut rates = Rates::new(&RateLimits::default());
    assert_eq!(drain(&mut rates, address("192.0.2.1"), SECOND), 16);
    let customers = (0..6).map(|at| address(&format!("2001:db8:1:{at}00::{at}")));
    let taken: Vec<usize> = customers
        .map(|customer| drain(&mut rates, customer, SECOND))
        .collect();
    assert_eq!(taken, [16, 16, 16, 16, 16, 0]);
    let refusal = rates
        .take(address("2001:db8:1:9900::1"), SECOND)
        .unwrap_err();
    let expected = RateRefusal {
        network: network("2001:db8:1::/48"),
        per_second: 25.0,
        burst: 80,
        left: 0,
    };
    assert_eq!(refusal, expected);
    assert_eq!(drain(&mut rates, address("2001:db8:1::1"), 2 * SECOND), 5);
}

#[test]
fn a_refusal_takes_no_token_of_any_subnet() {
    let rate = |prefix, burst| Rate {
        prefix,
        per_second: 1.0,
        burst,
    };
    let mut rates = Rates::new(&RateLimits {
        ipv4: vec![rate(24, 5), rate(32, 2)],
        ..RateLimits::default()
    });
    assert_eq!(drain(&mut rates, address("192.0.2.1"), SECOND), 2);
    for _ in 0..10 {
        assert!(rates.take(address("192.0.2.1"), SECOND).is_err());
    }
    assert_eq!(drain(&mut rates, address("192.0.2.2"), SECOND), 2);
    assert_eq!(drain(&mut rates, address("192.0.2.3"), SECOND), 1);
}

#[test]
fn extreme_rates_are_none_or_all() {
    for none in [
        0.0,
        -0.0,
        -1.0,
        f64::NAN,
        f64::NEG_INFINITY,
        f64::MIN_POSITIVE,
    ] {
        let mut rates = rates(none, 3);
        assert_eq!(drain(&mut rates, address("192.0.2.1"), SECOND), 3, "{none}");
        let much_later = Duration::from_secs(1 << 31);
        assert_eq!(
            drain(&mut rates, address("192.0.2.1"), much_later),
            0,
            "{none}"
        );
    }
    assert_eq!(drain(&mut rates(f64::MAX, 0), address("::1"), SECOND), 0);
    let mut widest = rates(0.0, u32::MAX);
    assert_eq!(drain(&mut widest, address("::1"), Duration::MAX), 1_000);
    assert_eq!(
        drain(&mut rates(f64::INFINITY, u32::MAX), address("::1"), SECOND),
        1_000
    );
}

#[test]
fn no_rates_limit_nothing() {
    let mut rates = Rates::new(&RateLimits {
        ipv4: Vec::new(),
        ipv6: Vec::new(),
    });
    assert_eq!(drain(&mut rates, address("192.0.2.1"), SECOND), 1_000);
}

#[test]
fn an_earlier_time_than_before_is_harmless() {
    let mut rates = rates(1.0, 2);
    let peer = address("192.0.2.1");
    assert_eq!(drain(&mut rates, peer, 10 * SECOND), 2);
    assert_eq!(drain(&mut rates, peer, 9 * SECOND), 0);
    assert_eq!(drain(&mut rates, peer, 11 * SECOND), 1);
}

// A161
#[test]
fn a_peer_that_reconnects_100_times_a_second_has_its_rate_and_one_bucket() {
    let mut rates = Rates::new(&RateLimits::default());
    let peer = address("192.0.2.1");
    let mut taken = 0;
    for tick in 0..6_000 {
        taken += u32::from(rates.take(peer, tick * Duration::from_millis(10)).is_ok());
        assert_eq!(rates.ipv4[0].recent.len(), 1);
        assert!(len(&rates.ipv4[0]) <= 2);
    }
    // The burst, and 5 in each of 59.99 seconds.
    assert_eq!(taken, 16 + 299);
}

#[test]
fn full_buckets_are_dropped() {
    let mut rates = rates(5.0, 16);
    for host in 0..1_000 {
        rates
            .take(
                IpAddr::from([10, 0, (host / 250) as u8, (host % 250) as u8]),
                SECOND,
            )
            .unwrap();
    }
    let buckets = &mut rates.ipv4[0];
    assert_eq!(len(buckets), 1_000);
    let period = buckets.refill.period();
    for round in 1..=2 {
        rates
            .take(address("192.0.2.1"), SECOND + round * period)
            .unwrap();
    }
    assert_eq!(len(&rates.ipv4[0]), 2);
}

// A161
#[test]
fn many_subnets_fill_bounded_memory_refuse_nobody_and_hide_nobody() {
    let mut rates = rates(5.0, 16);
    let flooder = address("192.0.2.1");
    assert_eq!(drain(&mut rates, flooder, SECOND), 16);
    for host in 0..100_000_u32 {
        let other = IpAddr::from(host.to_be_bytes());
        assert_eq!(rates.take(other, SECOND), Ok(()));
        if host % 5_000 == 0 {
            assert!(rates.take(flooder, SECOND).is_err(), "{host}");
        }
        assert!(len(&rates.ipv4[0]) <= 2 * BUCKETS_MAX);
    }
    assert!(rates.ipv4[0].recent.capacity() <= BUCKETS_MAX);
}

// go 125
#[test]
fn a_source_is_verified_once_its_burst_is_used() {
    let mut verify = VerifySource::new(&SubnetLimits::default());
    let mut burst = |text: &str, now| {
        let unverified = (0..100).take_while(|_| !verify.must_verify(address(text), now));
        unverified.count()
    };
    assert_eq!(burst("192.0.2.1", SECOND), 4);
    assert_eq!(burst("192.0.2.1", 10 * SECOND), 0);
    assert_eq!(burst("192.0.2.1", 11 * SECOND), 1);
    assert_eq!(burst("192.0.2.2", SECOND), 4);
    let customers: Vec<usize> = (0..9)
        .map(|at| burst(&format!("2001:db8:1:{at}00::1"), SECOND))
        .collect();
    assert_eq!(customers, [4, 4, 4, 4, 4, 4, 4, 4, 0]);
}

#[test]
fn the_burst_of_a_source_follows_the_limit_of_its_network() {
    let mut verify = VerifySource::new(&SubnetLimits {
        ipv4: vec![(32, 1)],
        ipv6: vec![(56, UNLIMITED)],
        networks: vec![
            (network("192.0.2.0/24"), 20),
            (network("192.0.2.9"), UNLIMITED),
            (network("198.51.100.0/24"), 0),
        ],
    });
    let mut burst = |text: &str| {
        let unverified = (0..1_000).take_while(|_| !verify.must_verify(address(text), SECOND));
        unverified.count()
    };
    assert_eq!(burst("203.0.113.1"), 0);
    assert_eq!(burst("2001:db8::1"), 1_000);
    assert_eq!(burst("192.0.2.1"), 10);
    assert_eq!(burst("192.0.2.2"), 0);
    assert_eq!(burst("192.0.2.9"), 1_000);
    assert_eq!(burst("198.51.100.1"), 0);
    // Not even after years: there is no bucket.
    assert_eq!(verify.rates.ipv6.len(), 0);
    assert!(matches!(
        verify.networks.find(address("192.0.2.9")),
        Some((_, None))
    ));
}

/// Buckets that hold a number of tokens, and of which none is dropped. A token is `token` units; one
/// unit is added each nanosecond.
struct Model {
    rate: Rate,
    token: u128,
    levels: HashMap<Network, (u128, Duration)>,
}

impl Model {
    fn new(rate: Rate) -> Self {
        let token = (1e9 / rate.per_second) as u128;
        Self {
            rate,
            token,
            levels: HashMap::new(),
        }
    }

    fn level(&mut self, address: IpAddr, now: Duration) -> &mut u128 {
        let full = self.token * u128::from(self.rate.burst);
        let network = Network::of(address, self.rate.prefix);
        let (level, at) = self.levels.entry(network).or_insert((full, now));
        *level = full.min(*level + (now - *at).as_nanos());
        *at = now;
        level
    }
}

proptest! {
    // go 124
    #[test]
    fn prop_agrees_with_buckets_that_are_never_dropped(
        steps in proptest::collection::vec((0..4_u8, 0..3_u8, 0..900_u64, 1..30_u32), 1..150),
    ) {
        let rate = |prefix, per_second, burst| Rate { prefix, per_second, burst };
        let limits = RateLimits {
            ipv4: vec![rate(32, 4.0, 3), rate(24, 10.0, 7)],
            ipv6: Vec::new(),
        };
        let mut rates = Rates::new(&limits);
        let mut models: Vec<Model> = limits.ipv4.into_iter().map(Model::new).collect();
        let mut now = Duration::ZERO;
        for (host, net, rest, attempts) in steps {
            let address = IpAddr::from([192, 0, net, host]);
            now += Duration::from_millis(rest);
            for _ in 0..attempts {
                let has_tokens = models.iter_mut().all(|model| {
                    let token = model.token;
                    *model.level(address, now) >= token
                });
                if has_tokens {
                    for model in &mut models {
                        let token = model.token;
                        *model.level(address, now) -= token;
                    }
                }
                prop_assert_eq!(rates.take(address, now).is_ok(), has_tokens);
            }
        }
    }
}
