//! Our engine and the `yamux` crate: with the same remote, and connected to each other.
//!
//! Scripts are random and reproducible by number: `FERROSWARM_SCRIPTS` sets how many run,
//! `FERROSWARM_SCRIPT` runs a single one.

mod differential;
mod pairs;
mod random;
mod subject;
mod tolerances;
mod wire;

use differential::Script;
use pairs::Pair;
use subject::Kind::{self, Crate, Ours};

/// Default number of scripts to run.
const SCRIPTS: u64 = 2_000;

/// Returns the numbers of the scripts to run: one in `share` of all.
fn scripts(share: u64) -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>());
    if let Some(Ok(script)) = number("FERROSWARM_SCRIPT") {
        return script..script + 1;
    }
    let count = match number("FERROSWARM_SCRIPTS") {
        Some(count) => count.expect("FERROSWARM_SCRIPTS is a number"),
        None => SCRIPTS,
    };
    0..count / share
}

/// Prints the number and the steps of a script that fails.
struct Report<'a>(u64, &'a dyn Fn() -> Vec<String>);

impl Drop for Report<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let steps = (self.1)().join("\n  ");
            eprintln!("FERROSWARM_SCRIPT={} fails after\n  {steps}", self.0);
        }
    }
}

#[test]
fn both_engines_behave_alike_with_the_same_remote() {
    for number in scripts(1) {
        let script = std::cell::RefCell::new(Script::new(number));
        let log = || {
            script
                .try_borrow()
                .map_or_else(|_| Vec::new(), |script| script.log.clone())
        };
        let report = Report(number, &log);
        script.borrow_mut().run();
        drop(report);
    }
}

fn every_byte_arrives(kinds: [Kind; 2]) {
    for number in scripts(4) {
        let report = Report(number, &Vec::new);
        Pair::new(kinds, number).run();
        drop(report);
    }
}

#[test]
fn our_dialer_and_a_listener_of_the_crate_carry_every_byte() {
    every_byte_arrives([Ours, Crate]);
}

#[test]
fn a_dialer_of_the_crate_and_our_listener_carry_every_byte() {
    every_byte_arrives([Crate, Ours]);
}

#[test]
fn the_crate_at_both_ends_carries_every_byte() {
    every_byte_arrives([Crate, Crate]);
}

#[test]
fn our_engine_at_both_ends_carries_every_byte() {
    every_byte_arrives([Ours, Ours]);
}
