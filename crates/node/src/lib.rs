//! The Node-API addon: JavaScript's calls into the runtime, and its facts back.
//!
//! No decision about networking is taken here. `hot` has the calls that run per read and write,
//! [`native_node`] the commands, `record` the layout of facts, `wake` the doorbell, [`tables`]
//! the numbers of both sides; the contract is in `docs/boundary.md`.

mod attachment;
#[cfg(target_os = "linux")]
mod busy_poll;
mod diagnostic;
pub mod error_code;
#[cfg(target_os = "linux")]
mod event_loop;
mod hot;
pub mod keys;
pub mod native_node;
mod number;
pub mod options;
mod record;
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

/// Makes a hub in the environment and returns its hot calls; `ring` asks for a drain. Other calls of the
/// addon take the number that the hot calls have as `attachment`.
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

/// The attachment of that number.
pub(crate) fn attached(id: f64) -> Result<Rc<Attachment>, Failure> {
    Attachment::of(whole(id)?).ok_or_else(|| failure(ErrorCode::ERR_STATE, "not attached"))
}

/// Has the environment's event loop, which must be libuv's own, wait for the sockets of connections with
/// little traffic, and call `ring` for them. Where it cannot, every socket stays with the I/O threads.
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
