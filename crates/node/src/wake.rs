//! The doorbell, and the hooks that stop it and every thread that rings it before their JavaScript
//! environment ends.

use std::ffi::{CStr, c_void};
use std::ptr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard};

use ferroswarm_runtime::Doorbell;
use napi::sys;

/// Calls JavaScript: from any thread until it is silenced, or directly on the environment's own.
pub(crate) struct Bell {
    /// Locked for writing only to silence it: JavaScript's thread does not wait for a ring of another thread.
    function: RwLock<Option<Function>>,
    /// For calls on the environment's own thread, if its event loop has loop sockets.
    direct: OnceLock<Direct>,
    /// State of [`Bell::ring_directly`]: one of the three below.
    state: AtomicU8,
}

/// Not running: a ring goes through the event loop.
const IDLE: u8 = 0;
/// Running; it checks for rings before it returns, so a ring costs nothing.
const CALLING: u8 = 1;
/// Running, and the bell has been rung since.
const RUNG: u8 = 2;

/// Maximum consecutive calls of JavaScript, each caused by the one before. Further ones go through the event
/// loop, so as not to starve its other handles.
const CALLS_MAX: u32 = 4;

/// Handles for a call on the environment's thread. Used only by that thread, and only while `function` is
/// present.
struct Direct {
    env: sys::napi_env,
    ring: sys::napi_ref,
    context: sys::napi_async_context,
}

// SAFETY: other threads own it but do not use it.
unsafe impl Send for Direct {}
// SAFETY: as above.
unsafe impl Sync for Direct {}

struct Function(sys::napi_threadsafe_function);

// SAFETY: Node-API allows a thread-safe function to be called from any thread; the pointer is valid
// until `Bell::silence` takes it, which waits for every call.
unsafe impl Send for Function {}
// SAFETY: as above.
unsafe impl Sync for Function {}

const NAME: &CStr = c"ferroswarm";

impl Bell {
    /// Creates a doorbell that calls `ring` without arguments on the environment's thread. It does not
    /// keep the process alive until [`Bell::hold`] is called.
    pub(crate) fn new(env: sys::napi_env, ring: sys::napi_value) -> Option<Arc<Self>> {
        let mut name = ptr::null_mut();
        let mut function = ptr::null_mut();
        // SAFETY: `env` and `ring` are live for the duration of the native call that passed them,
        // and both results are read only after their call reported success.
        let created = unsafe {
            let named = sys::napi_create_string_utf8(
                env,
                NAME.as_ptr(),
                NAME.count_bytes() as isize,
                &mut name,
            );
            named == sys::Status::napi_ok
                && sys::napi_create_threadsafe_function(
                    env,
                    ring,
                    ptr::null_mut(),
                    name,
                    // A queue of one: pending rings coalesce.
                    1,
                    1,
                    ptr::null_mut(),
                    None,
                    ptr::null_mut(),
                    None,
                    &mut function,
                ) == sys::Status::napi_ok
                && sys::napi_unref_threadsafe_function(env, function) == sys::Status::napi_ok
        };
        created.then(|| {
            Arc::new(Self {
                function: RwLock::new(Some(Function(function))),
                direct: OnceLock::new(),
                state: AtomicU8::new(IDLE),
            })
        })
    }

    /// Enables direct calls of `ring` on the environment's own thread; returns whether they are possible.
    ///
    /// Not for every environment: Deno cannot destroy an async context when its environment ends.
    #[cfg(target_os = "linux")]
    pub(crate) fn call_directly(&self, env: sys::napi_env, ring: sys::napi_value) -> bool {
        let mut name = ptr::null_mut();
        let mut direct = Direct {
            env,
            ring: ptr::null_mut(),
            context: ptr::null_mut(),
        };
        // SAFETY: as in `new`.
        let is_created = unsafe {
            sys::napi_create_string_utf8(env, NAME.as_ptr(), NAME.count_bytes() as isize, &mut name)
                == sys::Status::napi_ok
                && sys::napi_create_reference(env, ring, 1, &mut direct.ring)
                    == sys::Status::napi_ok
                && sys::napi_async_init(env, ptr::null_mut(), name, &mut direct.context)
                    == sys::Status::napi_ok
        };
        is_created && self.direct.set(direct).is_ok()
    }

    /// Sets whether the doorbell keeps the environment's event loop alive.
    pub(crate) fn hold(&self, env: sys::napi_env, on: Hold) {
        if let Some(Function(function)) = &*self.function() {
            // SAFETY: called on the environment's thread with its own `env`; the function is live
            // while the lock is held.
            unsafe {
                match on {
                    Hold::On => sys::napi_ref_threadsafe_function(env, *function),
                    Hold::Off => sys::napi_unref_threadsafe_function(env, *function),
                };
            }
        }
    }

    /// Calls JavaScript synchronously, from the environment's own event loop, and again if the bell is rung
    /// meanwhile; returns after its microtasks and ticks have run.
    pub(crate) fn ring_directly(&self) {
        for _ in 0..CALLS_MAX {
            // Before the call, which drains: it covers every ring up to now.
            self.state.store(CALLING, Ordering::SeqCst);
            self.call();
            if self.transition(CALLING, IDLE) != Err(RUNG) {
                return;
            }
        }
        self.state.store(IDLE, Ordering::SeqCst);
        self.ring();
    }

    /// Calls JavaScript once, on the environment's thread.
    fn call(&self) {
        if self.function().is_none() {
            return;
        }
        let Some(&Direct { env, ring, context }) = self.direct.get() else {
            return;
        };
        let mut scope = ptr::null_mut();
        let (mut global, mut function) = (ptr::null_mut(), ptr::null_mut());
        let (mut result, mut thrown) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: on the environment's thread, outside of any other call of it; the bell is not silenced,
        // so `ring` and `context` are live; results are read only after their call reported success.
        unsafe {
            if sys::napi_open_handle_scope(env, &mut scope) != sys::Status::napi_ok {
                return;
            }
            if sys::napi_get_global(env, &mut global) == sys::Status::napi_ok
                && sys::napi_get_reference_value(env, ring, &mut function) == sys::Status::napi_ok
                && sys::napi_make_callback(
                    env,
                    context,
                    global,
                    function,
                    0,
                    ptr::null(),
                    &mut result,
                ) == sys::Status::napi_pending_exception
                && sys::napi_get_and_clear_last_exception(env, &mut thrown) == sys::Status::napi_ok
            {
                sys::napi_fatal_exception(env, thrown);
            }
            sys::napi_close_handle_scope(env, scope);
        }
    }

    /// Stops all calls of JavaScript.
    pub(crate) fn silence(&self) {
        let mut function = self
            .function
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(Function(function)) = function.take() {
            // SAFETY: taken under the lock for writing, so no other thread calls it now or later; this is the thread of
            // the environment, which is ending.
            unsafe {
                sys::napi_release_threadsafe_function(
                    function,
                    sys::ThreadsafeFunctionReleaseMode::abort,
                );
                if let Some(&Direct { env, ring, context }) = self.direct.get() {
                    sys::napi_async_destroy(env, context);
                    sys::napi_delete_reference(env, ring);
                }
            }
        }
    }

    fn transition(&self, from: u8, to: u8) -> Result<u8, u8> {
        self.state
            .compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst)
    }

    fn function(&self) -> RwLockReadGuard<'_, Option<Function>> {
        // No panic under this lock can leave an inconsistent state.
        self.function.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether to keep an event loop alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Keep it alive.
    On,
    /// Let it end.
    Off,
}

impl Doorbell for Bell {
    fn ring(&self) {
        if self.transition(CALLING, RUNG) != Err(IDLE) {
            return;
        }
        if let Some(Function(function)) = &*self.function() {
            // SAFETY: the function is live while the lock is held. A full queue means that a ring is already
            // pending.
            unsafe {
                sys::napi_call_threadsafe_function(
                    *function,
                    ptr::null_mut(),
                    sys::ThreadsafeFunctionCallMode::nonblocking,
                );
            }
        }
    }
}

/// The hub's reference to the doorbell, which the attachment shares.
pub(crate) struct SharedBell(pub(crate) Arc<Bell>);

impl Doorbell for SharedBell {
    fn ring(&self) {
        self.0.ring();
    }
}

/// Data of an environment's cleanup hook.
struct Teardown {
    run: fn(u32),
    id: u32,
}

/// Runs `teardown` with `id` when the environment ends, before its thread-safe functions are finalised:
/// hooks run in reverse order of registration, and the doorbell registered its own before this one.
pub(crate) fn at_teardown(env: sys::napi_env, teardown: fn(u32), id: u32) -> bool {
    unsafe extern "C" fn run(data: *mut c_void) {
        // SAFETY: `at_teardown` passed the box `data`, and a hook runs once.
        let teardown = unsafe { Box::from_raw(data.cast::<Teardown>()) };
        // A panic must not unwind into C++.
        drop(std::panic::catch_unwind(|| (teardown.run)(teardown.id)));
    }
    let data = Box::into_raw(Box::new(Teardown { run: teardown, id }));
    // SAFETY: `env` is live; the box lives until the hook takes it.
    unsafe {
        let added = sys::napi_add_env_cleanup_hook(env, Some(run), data.cast());
        if added != sys::Status::napi_ok {
            drop(Box::from_raw(data));
        }
        added == sys::Status::napi_ok
    }
}

/// Runs `teardown` when the process exits, before libraries loaded so far free their state. On Windows no
/// other thread is alive by then.
pub(crate) fn at_exit(teardown: extern "C" fn()) {
    #[cfg(unix)]
    // SAFETY: the function is this library's, which stays loaded while the process lives.
    unsafe {
        libc::atexit(teardown);
    }
    #[cfg(not(unix))]
    let _ = teardown;
}
