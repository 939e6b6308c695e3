//! How much of each nuisance a remote may cause.

use std::time::Duration;

/// Tokens that a nuisance costs; they come back with time and with honest work.
#[derive(Clone, Debug)]
pub(super) struct Allowance {
    left: u32,
    rules: Rules,
    /// `None` until the first token is spent.
    refilled_at: Option<Duration>,
}

#[derive(Copy, Clone, Debug)]
struct Rules {
    /// At the start, and what time alone fills up to.
    start: u32,
    per_second: u32,
    /// What honest work fills up to.
    max: u32,
}

impl Allowance {
    /// Frames that change nothing: data frames of length zero, repeated flags, FIN and RST for
    /// streams that are gone, pongs that nobody asked for.
    ///
    /// A stream that ends leaves at most a few such frames on the way and earns
    /// [`STRAYS_PER_STREAM`]; anything beyond is noise.
    pub(super) const fn idle_frames() -> Self {
        Self::new(Rules {
            start: 1_000,
            per_second: 10,
            max: 16_384,
        })
    }

    /// Window updates. A remote updates for bytes that it consumed, so that every byte sent earns
    /// one, up to the number that a reader of single bytes makes of a window of 16 MiB; the start is for
    /// growth and for updates on new streams.
    pub(super) const fn window_updates() -> Self {
        Self::new(Rules {
            start: 10_000,
            per_second: 100,
            max: 16 << 20,
        })
    }

    /// Inbound streams that the remote resets before we have finished our half. One that ends in order
    /// earns one, so that only a remote that mostly resets runs out.
    pub(super) const fn rapid_resets() -> Self {
        Self::new(Rules {
            start: 1_000,
            per_second: 50,
            max: 1_000,
        })
    }

    /// Inbound streams refused by a limit: plenty for honest retries, an end for a flood.
    pub(super) const fn refusals() -> Self {
        Self::new(Rules {
            start: 16_384,
            per_second: 256,
            max: 16_384,
        })
    }

    /// Pings answered; the others are dropped, which honest remotes, with one ping on its way at a
    /// time and seconds between them, never see.
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
    pub(super) fn spend(&mut self, now: Duration) -> bool {
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

    /// Gives `count` tokens for honest work.
    pub(super) fn earn(&mut self, count: u32) {
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

/// Frames without effect that may still come for a stream after its end: a reset, a FIN, an
/// acknowledgement, each possibly by itself.
pub(super) const STRAYS_PER_STREAM: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_brings_tokens_back() {
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
    fn honest_work_earns_up_to_a_ceiling() {
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
