//! Runs a scenario under many random schedules, and many with few thread switches.

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, Runner};

use crate::sync::set_time;

/// Thread switches that a schedule of the second kind may place.
const PCT_DEPTH: usize = 3;

/// Bytes of stack per thread: frames of unoptimised code are large.
const STACK_BYTES: usize = 1 << 20;

/// Runs `scenario` under `schedules` schedules of either kind; `MODEL_FACTOR` multiplies them.
pub(crate) fn explore(schedules: usize, scenario: fn()) {
    let factor = std::env::var("MODEL_FACTOR").map_or(1, |text| text.parse().expect("a number"));
    let schedules = schedules * factor;
    run(RandomScheduler::new(schedules), scenario);
    run(PctScheduler::new(PCT_DEPTH, schedules), scenario);
}

fn run(scheduler: impl Scheduler + 'static, scenario: fn()) {
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    // The modelled sources rely on sequentially consistent operations only.
    config.silence_warnings = true;
    Runner::new(scheduler, config).run(move || {
        set_time(std::time::Duration::ZERO);
        scenario();
    });
}
