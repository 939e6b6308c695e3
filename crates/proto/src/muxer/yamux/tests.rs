//! A session against raw frames, and two sessions against each other.
//!
//! Ids like A066 and Y9 name the cases of the project's adversarial and conformance lists.

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
