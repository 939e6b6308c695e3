//! Budgets for frames and resets that serve no purpose.

use std::time::Duration;

/// Token bucket for one kind of abuse; it refills with time and with legitimate traffic.
#[derive(Clone, Debug)]
pub struct Allowance {
    left: u32,
    rules: Rules,
    /// `None` until the first token is spent.
    refilled_at: Option<Duration>,
}

#[derive(Copy, Clone, Debug)]
struct Rules {
    /// Initial tokens, and the maximum that time alone refills.
    start: u32,
    per_second: u32,
    /// Maximum that legitimate traffic refills.
    max: u32,
}

impl Allowance {
    /// Frames without effect: data frames of length zero, repeated flags, FIN and RST for streams
    /// that are gone, unsolicited pongs.
    ///
    /// A stream that ends leaves at most a few such frames in flight and earns
    /// [`STRAYS_PER_STREAM`]; anything beyond is noise.
    pub(super) const fn idle_frames() -> Self {
        Self::new(Rules {
            start: 1_000,
            per_second: 10,
            max: 16_384,
        })
    }

    /// Window updates. A remote sends them for bytes it consumed, so every byte sent earns one, up
    /// to the number that a reader of single bytes sends for a window of 16 MiB; the initial tokens
    /// cover growth and updates on new streams.
    pub(super) const fn window_updates() -> Self {
        Self::new(Rules {
            start: 10_000,
            per_second: 100,
            max: 16 << 20,
        })
    }

    /// Inbound streams that the remote resets before we have finished our half. A stream that ends
    /// in order earns one, so only a remote that mostly resets runs out.
    pub const fn rapid_resets() -> Self {
        Self::new(Rules {
            start: 1_000,
            per_second: 50,
            max: 1_000,
        })
    }

    /// Inbound streams refused by a limit: plenty for legitimate retries, but it ends a flood.
    pub const fn refusals() -> Self {
        Self::new(Rules {
            start: 16_384,
            per_second: 256,
            max: 16_384,
        })
    }

    /// Pings answered; the others are dropped, which well-behaved remotes, with one ping in flight
    /// at a time and seconds between them, never notice.
    pub(super) const fn pongs() -> Self {
        Self::new(Rules {
            start: 256,
            per_second: 128,
            max: 256,
        })
    }

    const fn new(rules: Rules) -> Self {
        Self {
            left: rules.start,
            rules,
            refilled_at: None,
        }
    }

    /// Takes one token; `false` when there is none.
    pub fn spend(&mut self, now: Duration) -> bool {
        let refilled_at = *self.refilled_at.get_or_insert(now);
        if self.left == 0 {
            self.refill(now, refilled_at);
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }

    /// Adds `count` tokens for legitimate traffic.
    pub fn earn(&mut self, count: u32) {
        self.left = self
            .left
            .saturating_add(count)
            .min(self.rules.max.max(self.left));
    }

    fn refill(&mut self, now: Duration, refilled_at: Duration) {
        let elapsed = now.saturating_sub(refilled_at).as_millis();
        let tokens = elapsed * u128::from(self.rules.per_second) / 1_000;
        if tokens > 0 {
            self.left = u32::try_from(tokens)
                .unwrap_or(u32::MAX)
                .min(self.rules.start);
            self.refilled_at = Some(now);
        }
    }
}

/// Frames without effect that may still arrive for a stream after its end: a reset, a FIN and an
/// acknowledgement may each come separately.
pub(super) const STRAYS_PER_STREAM: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_refills_tokens() {
        let mut pongs = Allowance::pongs();
        let at = Duration::from_secs(1_000);
        for _ in 0..256 {
            assert!(pongs.spend(at));
        }
        assert!(!pongs.spend(at));
        assert!(!pongs.spend(at + Duration::from_millis(1)));
        assert!(pongs.spend(at + Duration::from_millis(10)));
        assert!(!pongs.spend(at + Duration::from_millis(10)));
    }

    #[test]
    fn legitimate_traffic_refills_up_to_the_maximum() {
        let mut resets = Allowance::rapid_resets();
        resets.earn(5_000);
        for _ in 0..1_000 {
            assert!(resets.spend(Duration::ZERO));
        }
        assert!(!resets.spend(Duration::ZERO));
        resets.earn(1);
        assert!(resets.spend(Duration::ZERO));
        assert!(!resets.spend(Duration::ZERO));
    }
}
