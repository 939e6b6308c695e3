//! JavaScript's calls on a stream, over a live connection.

mod ends;
mod reading;
mod states;
mod writing;

use crate::State;
use crate::live::Live;

const CODE: u32 = 77;

fn state(live: &mut Live, stream: u32) -> State {
    live.dialer.change(stream, |slot| Ok(slot.state())).unwrap()
}
