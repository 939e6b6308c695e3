//! Polls the loop sockets of an environment through libuv, see `docs/boundary.md`.
//!
//! Only on Linux, and in a program that exports libuv's functions, as Node.js does: they are looked up at
//! run time, and if one is missing every socket stays on the I/O threads.

use std::ffi::{CStr, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::time::{Duration, Instant};

use napi::sys;

use crate::attachment::Attachment;
use crate::busy_poll::BusyPoll;

/// `uv_handle_type` of a `uv_poll_t` and a `uv_prepare_t`, and `UV_READABLE`: fixed for libuv 1.
const UV_POLL: c_int = 8;
const UV_PREPARE: c_int = 9;
const UV_READABLE: c_int = 1;

type Loop = *mut sys::uv_loop_s;
type Ready = unsafe extern "C" fn(handle: *mut c_void, status: c_int, events: c_int);
type Callback = unsafe extern "C" fn(handle: *mut c_void);

/// The libuv functions used here.
#[derive(Clone, Copy)]
struct Libuv {
    handle_size: unsafe extern "C" fn(c_int) -> usize,
    poll_init: unsafe extern "C" fn(Loop, *mut c_void, c_int) -> c_int,
    poll_start: unsafe extern "C" fn(*mut c_void, c_int, Ready) -> c_int,
    prepare_init: unsafe extern "C" fn(Loop, *mut c_void) -> c_int,
    prepare_start: unsafe extern "C" fn(*mut c_void, Callback) -> c_int,
    backend_fd: unsafe extern "C" fn(Loop) -> c_int,
    backend_timeout: unsafe extern "C" fn(Loop) -> c_int,
    close: unsafe extern "C" fn(*mut c_void, Callback),
    unref: unsafe extern "C" fn(*mut c_void),
}

impl Libuv {
    fn find() -> Option<Self> {
        // SAFETY: the types are those of libuv 1's header.
        unsafe {
            Some(Self {
                handle_size: function(c"uv_handle_size")?,
                poll_init: function(c"uv_poll_init")?,
                poll_start: function(c"uv_poll_start")?,
                prepare_init: function(c"uv_prepare_init")?,
                prepare_start: function(c"uv_prepare_start")?,
                backend_fd: function(c"uv_backend_fd")?,
                backend_timeout: function(c"uv_backend_timeout")?,
                close: function(c"uv_close")?,
                unref: function(c"uv_unref")?,
            })
        }
    }
}

/// Looks up a function of the program or of a library that it has loaded.
///
/// # Safety
/// `F` is the type of the function with that name.
unsafe fn function<F: Copy>(name: &CStr) -> Option<F> {
    // SAFETY: the name is a C string.
    let symbol = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    assert_eq!(size_of::<F>(), size_of_val(&symbol));
    // SAFETY: a function's address; the caller guarantees the type.
    (!symbol.is_null()).then(|| unsafe { std::mem::transmute_copy(&symbol) })
}

/// Handles that poll an environment's loop sockets; lives until the event loop has closed both.
struct Watch {
    attachment: u32,
    libuv: Libuv,
    event_loop: Loop,
    /// Memory of a `uv_poll_t`: a loop socket is ready.
    poll: Box<[u64]>,
    /// Memory of a `uv_prepare_t`: the loop is about to sleep.
    prepare: Box<[u64]>,
    /// Handles registered with the loop.
    live: u32,
    busy: BusyPoll,
    /// Null until registered.
    cleanup: sys::napi_async_cleanup_hook_handle,
}

impl Watch {
    fn new(attachment: u32, libuv: Libuv, event_loop: Loop) -> *mut Self {
        // SAFETY: the function accepts any number.
        let memory = |kind| unsafe {
            let bytes = (libuv.handle_size)(kind);
            vec![0; bytes.div_ceil(size_of::<u64>())].into_boxed_slice()
        };
        let (poll, prepare) = (memory(UV_POLL), memory(UV_PREPARE));
        Box::into_raw(Box::new(Self {
            attachment,
            libuv,
            event_loop,
            poll,
            prepare,
            live: 0,
            busy: BusyPoll::default(),
            cleanup: ptr::null_mut(),
        }))
    }

    /// Returns the watch that owns a handle.
    ///
    /// # Safety
    /// The handle is one of `start`'s and not closed, and this is the loop's thread.
    unsafe fn of<'a>(handle: *mut c_void) -> &'a mut Self {
        // SAFETY: a handle begins with a pointer for its owner's use, which `adopt` has set.
        unsafe { &mut **handle.cast::<*mut Self>() }
    }

    /// Starts the callbacks for `descriptor` and before the loop sleeps; returns whether both were started.
    ///
    /// # Safety
    /// Called once, on the loop's thread, with a watch from `new` that does not move while it has live handles.
    unsafe fn start(watch: *mut Self, descriptor: c_int) -> bool {
        // SAFETY: the handles' memory has their size, and each is used only after initialisation.
        unsafe {
            let Self {
                libuv, event_loop, ..
            } = &*watch;
            let (libuv, event_loop) = (*libuv, *event_loop);
            let [poll, prepare] = Self::handles(watch);
            if (libuv.poll_init)(event_loop, poll, descriptor) != 0 {
                return false;
            }
            Self::adopt(watch, poll);
            if (libuv.prepare_init)(event_loop, prepare) != 0 {
                return false;
            }
            Self::adopt(watch, prepare);
            (libuv.poll_start)(poll, UV_READABLE, ready) == 0
                && (libuv.prepare_start)(prepare, before_sleep) == 0
        }
    }

    /// Points an initialised handle at its watch and lets the loop end despite it.
    unsafe fn adopt(watch: *mut Self, handle: *mut c_void) {
        // SAFETY: a handle begins with a pointer for its owner's use.
        unsafe {
            (*watch).live += 1;
            *handle.cast::<*mut Self>() = watch;
            ((*watch).libuv.unref)(handle);
        }
    }

    /// Returns the handles in the order of `start`.
    unsafe fn handles(watch: *mut Self) -> [*mut c_void; 2] {
        // SAFETY: `watch` comes from `new`.
        let (poll, prepare) = unsafe { (&mut (*watch).poll, &mut (*watch).prepare) };
        [poll.as_mut_ptr().cast(), prepare.as_mut_ptr().cast()]
    }

    /// Closes the handles; the last close callback frees the watch.
    ///
    /// # Safety
    /// Called once, on the loop's thread, with a watch from `new` that nothing else refers to.
    unsafe fn end(watch: *mut Self) {
        // SAFETY: `closed` is called by the loop, never from here.
        unsafe {
            let (close, live) = ((*watch).libuv.close, (*watch).live);
            let handles = Self::handles(watch);
            if live == 0 {
                drop(Box::from_raw(watch));
            }
            for handle in &handles[..live as usize] {
                close(*handle, closed);
            }
        }
    }
}

/// Enables loop sockets on the environment's event loop, if it is libuv's.
pub(crate) fn enable_loop_polling(env: sys::napi_env, attachment: &Attachment) {
    let Some(libuv) = Libuv::find() else { return };
    let mut event_loop = ptr::null_mut();
    // SAFETY: `env` is live.
    let status = unsafe { sys::napi_get_uv_event_loop(env, &mut event_loop) };
    if status == sys::Status::napi_ok && !event_loop.is_null() {
        let environment = attachment.environment.borrow();
        environment.enable_loop_polling(|descriptor| {
            let watch = Watch::new(attachment.id, libuv, event_loop);
            install(env, watch, descriptor)
        });
    }
}

/// Has the loop poll `descriptor` until the environment ends; returns whether it does.
fn install(env: sys::napi_env, watch: *mut Watch, descriptor: c_int) -> bool {
    // SAFETY: on the loop's thread, with a watch from `Watch::new` that does not move until `closed`.
    unsafe {
        // The hook is registered after the teardown hook and so runs before it: nothing is read into an
        // environment that ends.
        let is_installed = Watch::start(watch, descriptor)
            && sys::napi_add_async_cleanup_hook(
                env,
                Some(stop),
                watch.cast(),
                &raw mut (*watch).cleanup,
            ) == sys::Status::napi_ok;
        if !is_installed {
            Watch::end(watch);
        }
        is_installed
    }
}

unsafe extern "C" fn ready(handle: *mut c_void, _status: c_int, _events: c_int) {
    let read = catch_unwind(|| {
        // SAFETY: libuv passes the handle on its loop's thread.
        let id = unsafe { Watch::of(handle) }.attachment;
        if let Some(attachment) = Attachment::of(id) {
            let event = attachment.environment.borrow_mut().read_ready();
            if let Some(limit) = event {
                // SAFETY: libuv passes the handle on its loop's thread; the borrow ends here.
                unsafe { Watch::of(handle) }
                    .busy
                    .event(Instant::now(), limit);
                // Nothing is locked or borrowed: JavaScript may call anything, or exit.
                attachment.bell.ring_directly();
            }
            attachment.environment.borrow_mut().flush();
        }
    });
    // A connection's panic has already ended that connection; any other must not unwind into C.
    drop(read);
}

unsafe extern "C" fn before_sleep(handle: *mut c_void) {
    // SAFETY: libuv passes the handle on its loop's thread.
    let watch = unsafe { Watch::of(handle) };
    // A panic must not unwind into C; at worst the loop sleeps without polling.
    drop(catch_unwind(AssertUnwindSafe(|| poll_before_sleep(watch))));
}

fn poll_before_sleep(watch: &mut Watch) {
    // SAFETY: the loop is alive: this is its callback.
    let (timeout, descriptor) = unsafe {
        let Libuv {
            backend_timeout,
            backend_fd,
            ..
        } = watch.libuv;
        (
            backend_timeout(watch.event_loop),
            backend_fd(watch.event_loop),
        )
    };
    // Zero: the loop has work to do.
    if timeout != 0
        && let Some(limit) = watch.busy.before_sleep(Instant::now())
    {
        if let Some(attachment) = Attachment::of(watch.attachment) {
            attachment
                .environment
                .borrow()
                .hub()
                .stats
                .busy_polls
                .add(1);
        }
        if !poll(descriptor, limit) {
            watch.busy.missed();
        }
    }
}

/// Busy polls `descriptor` for up to `limit`; returns whether it became readable. Yields the core to other
/// threads meanwhile.
fn poll(descriptor: c_int, limit: Duration) -> bool {
    let start = Instant::now();
    let mut entry = libc::pollfd {
        fd: descriptor,
        events: libc::POLLIN,
        revents: 0,
    };
    loop {
        // SAFETY: one valid entry, and the call does not block.
        if unsafe { libc::poll(&mut entry, 1, 0) } != 0 {
            return true;
        }
        if start.elapsed() >= limit {
            return false;
        }
        // SAFETY: no preconditions.
        unsafe { libc::sched_yield() };
    }
}

unsafe extern "C" fn stop(_cleanup: sys::napi_async_cleanup_hook_handle, data: *mut c_void) {
    let ended = catch_unwind(|| {
        // SAFETY: `install` passed `data`, and nothing else ends it.
        unsafe { Watch::end(data.cast()) };
    });
    drop(ended);
}

unsafe extern "C" fn closed(handle: *mut c_void) {
    let freed = catch_unwind(|| {
        // SAFETY: libuv is done with this handle; after the last one nothing refers to the watch.
        unsafe {
            let watch: *mut Watch = Watch::of(handle);
            (*watch).live -= 1;
            if (*watch).live == 0 {
                let Watch { cleanup, .. } = *Box::from_raw(watch);
                if !cleanup.is_null() {
                    sys::napi_remove_async_cleanup_hook(cleanup);
                }
            }
        }
    });
    drop(freed);
}
