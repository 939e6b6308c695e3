//! The doorbell and the guard that keeps it, and every thread behind it, inside the life of its
//! JavaScript environment.

use std::ffi::{CStr, c_void};
use std::ptr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ferroswarm_runtime::Doorbell;
use napi::sys;

/// Calls JavaScript: from any thread until it is taken away, or at once on the environment's own.
pub(crate) struct Bell {
    function: Mutex<Option<Function>>,
    /// For calls on the environment's own thread: where the event loop takes guests.
    direct: OnceLock<Direct>,
    /// Where the environment's thread is: one of the three below.
    thread: AtomicU8,
}

/// Anywhere: a ring goes over the event loop.
const ELSEWHERE: u8 = 0;
/// In [`Bell::ring_here`], which looks once more before it returns: a ring costs nothing.
const HERE: u8 = 1;
/// As before, and the bell was rung meanwhile.
const RUNG: u8 = 2;

/// Calls of JavaScript in a row, each for what the one before has brought about. More go over the event
/// loop, so that others have their turn.
const CALLS_MAX: u32 = 4;

/// What a call on the environment's thread needs. Only that thread uses it, and only while
/// `function` is there.
struct Direct {
    env: sys::napi_env,
    ring: sys::napi_ref,
    context: sys::napi_async_context,
}

// SAFETY: other threads carry it about and do not use it.
unsafe impl Send for Direct {}
// SAFETY: as above.
unsafe impl Sync for Direct {}

struct Function(sys::napi_threadsafe_function);

// SAFETY: Node-API allows a thread-safe function to be called from any thread; the pointer stays
// valid until `Bell::silence` has taken it, and every call holds the same lock.
unsafe impl Send for Function {}

const NAME: &CStr = c"ferroswarm";

impl Bell {
    /// A doorbell that calls `ring` with no arguments on the environment's thread. It does not
    /// hold the process open until [`Bell::hold`] says so.
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
                    // A queue of one: rings that JavaScript has not answered yet coalesce.
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
                function: Mutex::new(Some(Function(function))),
                direct: OnceLock::new(),
                thread: AtomicU8::new(ELSEWHERE),
            })
        })
    }

    /// From here on it can call `ring` on the environment's own thread; returns whether it can.
    ///
    /// Not for every environment: Deno cannot give such a context back when one ends.
    #[cfg(target_os = "linux")]
    pub(crate) fn call_directly(&self, env: sys::napi_env, ring: sys::napi_value) -> bool {
        let mut name = ptr::null_mut();
        let mut direct = Direct {
            env,
            ring: ptr::null_mut(),
            context: ptr::null_mut(),
        };
        // SAFETY: as in `new`.
        let made = unsafe {
            sys::napi_create_string_utf8(env, NAME.as_ptr(), NAME.count_bytes() as isize, &mut name)
                == sys::Status::napi_ok
                && sys::napi_create_reference(env, ring, 1, &mut direct.ring)
                    == sys::Status::napi_ok
                && sys::napi_async_init(env, ptr::null_mut(), name, &mut direct.context)
                    == sys::Status::napi_ok
        };
        made && self.direct.set(direct).is_ok()
    }

    /// Whether the environment's event loop stays alive for the doorbell's sake.
    pub(crate) fn hold(&self, env: sys::napi_env, on: Hold) {
        if let Some(Function(function)) = &*self.lock() {
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

    /// Calls JavaScript now, from the environment's own event loop, and again for what it is rung for
    /// meanwhile; returns when its microtasks and ticks have run too.
    pub(crate) fn ring_here(&self) {
        for _ in 0..CALLS_MAX {
            // Before the call, which drains: it answers whoever has rung by now.
            self.thread.store(HERE, Ordering::SeqCst);
            self.call();
            if self.moves(HERE, ELSEWHERE) != Err(RUNG) {
                return;
            }
        }
        self.thread.store(ELSEWHERE, Ordering::SeqCst);
        self.ring();
    }

    /// One call of JavaScript, on the environment's thread.
    fn call(&self) {
        if self.lock().is_none() {
            return;
        }
        let Some(&Direct { env, ring, context }) = self.direct.get() else {
            return;
        };
        let mut scope = ptr::null_mut();
        let (mut global, mut function) = (ptr::null_mut(), ptr::null_mut());
        let (mut result, mut thrown) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: on the environment's thread, outside of any other call of it; the bell is not silent,
        // so that `ring` and `context` live; results are read only after their call reported success.
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

    /// No call reaches JavaScript any more.
    pub(crate) fn silence(&self) {
        if let Some(Function(function)) = self.lock().take() {
            // SAFETY: taken under the lock, so no other thread calls it now or later; this is the
            // environment's own, which ends.
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

    fn moves(&self, from: u8, to: u8) -> Result<u8, u8> {
        self.thread
            .compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Function>> {
        // Nothing under this lock can leave it half done.
        self.function.lock().unwrap_or_else(PoisonError::into_inner)
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
        if self.moves(HERE, RUNG) != Err(ELSEWHERE) {
            return;
        }
        if let Some(Function(function)) = &*self.lock() {
            // SAFETY: the function is live while the lock is held. A full queue means that a ring
            // is on its way already.
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

/// Lets the hub own the doorbell that the environment keeps too.
pub(crate) struct SharedBell(pub(crate) Arc<Bell>);

impl Doorbell for SharedBell {
    fn ring(&self) {
        self.0.ring();
    }
}

/// What ends with an environment.
struct Teardown {
    run: fn(u32),
    id: u32,
}

/// Runs `teardown` with `id` when the environment ends, before its thread-safe functions are finalised:
/// hooks run in the reverse order of their registration, and the doorbell registered its own
/// before this one.
pub(crate) fn at_teardown(env: sys::napi_env, teardown: fn(u32), id: u32) -> bool {
    unsafe extern "C" fn run(data: *mut c_void) {
        // SAFETY: `data` is the box that `at_teardown` passed, and a hook runs once.
        let teardown = unsafe { Box::from_raw(data.cast::<Teardown>()) };
        // An unwinding hook would cross into C++.
        drop(std::panic::catch_unwind(|| (teardown.run)(teardown.id)));
    }
    let data = Box::into_raw(Box::new(Teardown { run: teardown, id }));
    // SAFETY: `env` is live; the box stays until the hook takes it.
    unsafe {
        let added = sys::napi_add_env_cleanup_hook(env, Some(run), data.cast());
        if added != sys::Status::napi_ok {
            drop(Box::from_raw(data));
        }
        added == sys::Status::napi_ok
    }
}

/// Runs `teardown` when the process exits, before the libraries that were loaded by now take down
/// what they own. On Windows no other thread is alive by then.
pub(crate) fn at_exit(teardown: extern "C" fn()) {
    #[cfg(unix)]
    // SAFETY: the function is this library's, which stays loaded while the process lives.
    unsafe {
        libc::atexit(teardown);
    }
    #[cfg(not(unix))]
    let _ = teardown;
}
