//! The Node-API addon: JavaScript's calls into the runtime, and the runtime's records back.
//!
//! It makes no networking decisions. `hot` has the calls that run per read and write,
//! [`native_node`] the commands, `record` the layout of records, `wake` the doorbell, [`tables`]
//! the constants shared with TypeScript; the contract is in `docs/boundary.md`.

mod attachment;
#[cfg(target_os = "linux")]
mod busy_poll;
mod call;
mod diagnostic;
pub mod error_code;
#[cfg(target_os = "linux")]
mod event_loop;
pub mod gate;
mod hot;
pub mod http;
pub mod keys;
pub mod muxer_session;
pub mod native_node;
pub mod native_store;
mod number;
pub mod options;
mod record;
pub mod resources;
pub mod secure_session;
pub mod tables;
mod wake;

use std::rc::Rc;

use napi::Env;
use napi::bindgen_prelude::{Function, JsValue, Object};
use napi_derive::napi;

use crate::attachment::{Attachment, tear_down};
use crate::error_code::ErrorCode;
use crate::keys::{Failure, failure};
use crate::number::whole;
use crate::wake::{Bell, at_teardown};

/// Creates a hub in the environment and returns its hot calls; `ring` requests a drain. The addon's other
/// calls take the number in the hot calls' `attachment` property.
#[napi(ts_return_type = "HotCalls", catch_unwind)]
pub fn attach<'env>(env: &'env Env, ring: Function<'env, (), ()>) -> Result<Object<'env>, Failure> {
    let refused = |reason: &str| failure(ErrorCode::ERR_INTERNAL, reason);
    let bell = Bell::new(env.raw(), ring.raw()).ok_or_else(|| refused("no doorbell"))?;
    let attachment = Attachment::install(bell);
    if !at_teardown(env.raw(), tear_down, attachment.id) {
        return Err(refused("no teardown hook"));
    }
    let mut calls = Object::new(env).map_err(|_| refused("no object"))?;
    calls
        .set("attachment", attachment.id)
        .map_err(|_| refused("no number"))?;
    if !hot::register(env.raw(), calls.raw(), &attachment) {
        return Err(refused("no hot calls"));
    }
    Ok(calls)
}

/// Returns the attachment with that number.
pub(crate) fn attached(id: f64) -> Result<Rc<Attachment>, Failure> {
    Attachment::of(whole(id)?).ok_or_else(|| failure(ErrorCode::ERR_STATE, "not attached"))
}

/// Has the environment's event loop, which must be libuv's, poll the sockets of connections with little
/// traffic and call `ring` for them. If it cannot, every socket stays on the I/O threads.
#[napi(catch_unwind)]
pub fn enable_loop_polling(
    env: &Env,
    attachment: f64,
    ring: Function<'_, (), ()>,
) -> Result<(), Failure> {
    let attachment = attached(attachment)?;
    #[cfg(target_os = "linux")]
    if attachment.bell.call_directly(env.raw(), ring.raw()) {
        event_loop::enable_loop_polling(env.raw(), &attachment);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (env, attachment, ring);
    Ok(())
}
