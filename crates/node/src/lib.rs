//! The Node-API addon: JavaScript's calls into the runtime, and its facts back.
//!
//! No decision about networking is taken here. [`hot`] has the calls that run per read and write,
//! [`native_node`] the commands, [`record`] the layout of facts, [`wake`] the doorbell; the
//! contract is in `docs/boundary.md`.

mod attachment;
pub mod error_code;
#[cfg(target_os = "linux")]
mod event_loop;
mod hot;
pub mod keys;
#[cfg(target_os = "linux")]
mod lookout;
pub mod native_node;
pub mod options;
mod record;
pub mod secure_session;
mod wake;

use napi::Env;
use napi::bindgen_prelude::{Function, JsValue, Object};
use napi_derive::napi;

use crate::attachment::{Attachment, tear_down};
use crate::error_code::ErrorCode;
use crate::keys::{Failure, failure};
use crate::wake::{Bell, at_teardown};

/// Makes the environment's hub and returns its hot calls; `ring` asks for a drain.
#[napi(ts_return_type = "HotCalls", catch_unwind)]
pub fn attach<'env>(env: &'env Env, ring: Function<'env, (), ()>) -> Result<Object<'env>, Failure> {
    let refused = |reason: &str| failure(ErrorCode::ERR_INTERNAL, reason);
    if Attachment::current().is_some() {
        return Err(failure(ErrorCode::ERR_STATE, "attached already"));
    }
    let bell = Bell::new(env.raw(), ring.raw()).ok_or_else(|| refused("no doorbell"))?;
    let attachment = Attachment::install(bell);
    if !at_teardown(env.raw(), tear_down) {
        return Err(refused("no teardown hook"));
    }
    let calls = Object::new(env).map_err(|_| refused("no object"))?;
    if !hot::register(env.raw(), calls.raw(), &attachment) {
        return Err(refused("no hot calls"));
    }
    Ok(calls)
}

/// Has the environment's event loop, which must be libuv's own, wait for the sockets of connections with
/// little traffic. Where it cannot, every socket stays with the I/O threads.
#[napi(catch_unwind)]
pub fn host_guests(env: &Env) -> Result<(), Failure> {
    let attachment = Attachment::current();
    let attachment = attachment.ok_or_else(|| failure(ErrorCode::ERR_STATE, "not attached"))?;
    #[cfg(target_os = "linux")]
    event_loop::host_guests(env.raw(), &attachment);
    #[cfg(not(target_os = "linux"))]
    let _ = (env, attachment);
    Ok(())
}
