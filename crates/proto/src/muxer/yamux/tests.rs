//! A session against raw frames, and two sessions against each other.
//!
//! Ids such as A066 and Y9 are the cases of docs/cases.md.

mod support;

mod conformance;
mod flags;
mod flow;
mod hostile;
mod interleavings;
mod keepalive;
mod limits;
mod lockstep;
mod model;
mod path;
mod properties;
mod scripts;
mod streams;
