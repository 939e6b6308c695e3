//! Decides whether an event loop busy polls its connections before it sleeps, see `docs/boundary.md`.

use std::time::{Duration, Instant};

/// Wake-up latency of a sleeping core, virtual ones included: an event that finds the loop asleep is
/// handled that much later.
const WAKE: Duration = Duration::from_micros(50);

/// Consecutive prompt events before polling starts, so that eight messages pay for one fruitless poll.
const PROMPT_MIN: u32 = 8;

/// Recent event latency of the connections of one event loop.
#[derive(Debug, Default)]
pub(crate) struct BusyPoll {
    /// Maximum duration of a poll, as configured for its connections.
    limit: Duration,
    /// Consecutive events that arrived in time.
    prompt: u32,
    phase: Phase,
}

/// The state of the loop since its last event.
#[derive(Debug, Default, Clone, Copy)]
enum Phase {
    /// No answer is expected soon.
    #[default]
    Idle,
    /// The event is being handled.
    Handling,
    /// The event has been handled; the loop has had nothing to do since.
    Waiting(Instant),
}

impl BusyPoll {
    /// Called when the loop has nothing left to do; returns how long to poll before it sleeps, if at all.
    pub(crate) fn before_sleep(&mut self, now: Instant) -> Option<Duration> {
        let since = match self.phase {
            Phase::Idle => return None,
            Phase::Handling => now,
            Phase::Waiting(since) => since,
        };
        self.phase = Phase::Waiting(since);
        // Something else may have woken the loop meanwhile: only the remaining time is left.
        let left = self.limit.checked_sub(now.duration_since(since))?;
        (self.prompt == PROMPT_MIN).then_some(left)
    }

    /// Called after a poll without an event.
    pub(crate) fn missed(&mut self) {
        *self = Self::default();
    }

    /// Called when a connection has an event for JavaScript, after which the loop may poll for `limit`. Zero
    /// disables polling.
    pub(crate) fn event(&mut self, now: Instant, limit: Duration) {
        if limit.is_zero() {
            *self = Self::default();
            return;
        }
        self.limit = limit;
        if let Phase::Waiting(since) = self.phase {
            self.prompt = if now.duration_since(since) <= limit + WAKE {
                PROMPT_MIN.min(self.prompt + 1)
            } else {
                0
            };
        }
        self.phase = Phase::Handling;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_micros(100);

    /// Counts the polls in `rounds` of a loop whose events arrive `gap` after it began to wait.
    fn polls(busy: &mut BusyPoll, now: &mut Instant, gap: Duration, rounds: usize) -> usize {
        let round = |_: &usize| {
            let poll = busy.before_sleep(*now);
            if poll.is_some_and(|limit| limit < gap) {
                busy.missed();
            }
            *now += gap;
            busy.event(*now, LIMIT);
            poll.is_some()
        };
        (0..rounds).filter(round).count()
    }

    fn started() -> (BusyPoll, Instant) {
        let (mut busy, now) = (BusyPoll::default(), Instant::now());
        busy.event(now, LIMIT);
        (busy, now)
    }

    #[test]
    fn polls_after_a_run_of_prompt_events() {
        let (mut busy, mut now) = started();
        assert_eq!(polls(&mut busy, &mut now, LIMIT, 100), 92);
    }

    #[test]
    fn events_just_after_the_limit_waste_one_poll_in_nine() {
        let (mut busy, mut now) = started();
        let late = LIMIT + Duration::from_micros(1);
        assert_eq!(polls(&mut busy, &mut now, late, 90), 10);
    }

    #[test]
    fn one_fruitless_poll_stops_polling() {
        let (mut busy, mut now) = started();
        polls(&mut busy, &mut now, Duration::from_micros(10), 20);
        let slow = LIMIT + WAKE + Duration::from_micros(1);
        assert_eq!(polls(&mut busy, &mut now, slow, 20), 1);
    }

    #[test]
    fn an_unrelated_wakeup_leaves_the_remaining_poll_time() {
        let (mut busy, mut now) = started();
        polls(&mut busy, &mut now, Duration::from_micros(10), 20);
        assert_eq!(busy.before_sleep(now), Some(LIMIT));
        let later = Duration::from_micros(20);
        assert_eq!(busy.before_sleep(now + later), Some(LIMIT - later));
        assert_eq!(busy.before_sleep(now + 2 * LIMIT), None);
    }

    #[test]
    fn does_not_poll_without_connections() {
        assert_eq!(BusyPoll::default().before_sleep(Instant::now()), None);
    }

    #[test]
    fn a_limit_of_zero_disables_polling() {
        let (mut busy, mut now) = started();
        polls(&mut busy, &mut now, Duration::from_micros(10), 20);
        for _ in 0..2 * PROMPT_MIN {
            busy.event(now, Duration::ZERO);
            assert_eq!(busy.before_sleep(now), None);
            now += Duration::from_micros(10);
        }
    }
}
