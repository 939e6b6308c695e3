//! JavaScript's thread and the drivers, explored over many interleavings.
//!
//! The files below are the real ones, compiled against `shuttle`'s primitives instead of those of
//! `src/sync.rs`: two or three environments, real channels and sessions, and in-memory pipes. A
//! failing schedule is printed; `shuttle::replay` runs it again.
#![expect(
    dead_code,
    unnameable_types,
    unreachable_pub,
    reason = "the model uses a part of the library's sources"
)]

#[path = "../../src/attempts.rs"]
mod attempts;
#[path = "../../src/command.rs"]
mod command;
#[path = "../../src/config.rs"]
mod config;
#[path = "../../src/connection/mod.rs"]
mod connection;
#[path = "../../src/diagnostics.rs"]
mod diagnostics;
#[path = "../../src/environment/mod.rs"]
mod environment;
#[path = "../../src/error.rs"]
mod error;
#[path = "../../src/fed/mod.rs"]
mod fed;
#[path = "../../src/handlers.rs"]
mod handlers;
#[path = "../../src/hub.rs"]
mod hub;
#[path = "../../src/loop_sockets.rs"]
mod loop_sockets;
#[path = "../../src/memory_pipe.rs"]
mod memory_pipe;
#[path = "../../src/messages.rs"]
mod messages;
#[path = "../../src/pipe.rs"]
mod pipe;
#[path = "../../src/record.rs"]
mod record;
#[path = "../../src/registry.rs"]
mod registry;
#[path = "../../src/resolve/outcome.rs"]
mod resolve;
#[path = "../../src/resources/mod.rs"]
mod resources;
#[path = "../../src/slot/mod.rs"]
mod slot;
#[path = "../../src/socket.rs"]
mod socket;
#[path = "../../src/stats.rs"]
mod stats;
#[path = "../../src/testing/mod.rs"]
mod testing;
#[path = "../../src/tick.rs"]
mod tick;

mod accounting;
mod event_queue;
mod explore;
mod peer;
mod scenarios;
mod sync;
mod world;
