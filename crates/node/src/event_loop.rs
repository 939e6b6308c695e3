//! Has libuv wait for the sockets of an environment's guests, see `docs/boundary.md`.
//!
//! Only on Linux and in a program that has libuv's functions, as Node.js has: they are looked up at run
//! time, and where one is missing every socket stays with the I/O threads.

use std::ffi::{CStr, c_int, c_void};
use std::ptr;

use napi::sys;

use crate::attachment::Attachment;

/// `uv_handle_type` of a `uv_poll_t`, and `UV_READABLE`: fixed for libuv 1.
const UV_POLL: c_int = 8;
const UV_READABLE: c_int = 1;

type Ready = unsafe extern "C" fn(handle: *mut c_void, status: c_int, events: c_int);
type Closed = unsafe extern "C" fn(handle: *mut c_void);

/// The functions of libuv that are used here.
struct Libuv {
    handle_size: unsafe extern "C" fn(c_int) -> usize,
    poll_init: unsafe extern "C" fn(*mut sys::uv_loop_s, *mut c_void, c_int) -> c_int,
    poll_start: unsafe extern "C" fn(*mut c_void, c_int, Ready) -> c_int,
    close: unsafe extern "C" fn(*mut c_void, Closed),
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
                close: function(c"uv_close")?,
                unref: function(c"uv_unref")?,
            })
        }
    }
}

/// A function of the program or of a library that it has loaded.
///
/// # Safety
/// `F` is the type of the function of that name.
unsafe fn function<F: Copy>(name: &CStr) -> Option<F> {
    // SAFETY: the name is a C string.
    let symbol = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    assert_eq!(size_of::<F>(), size_of_val(&symbol));
    // SAFETY: a function's address, of the type that the caller vouches for.
    (!symbol.is_null()).then(|| unsafe { std::mem::transmute_copy(&symbol) })
}

/// An initialised handle, until the event loop has closed it.
struct Watch {
    libuv: Libuv,
    /// Memory of a `uv_poll_t`.
    handle: Box<[u64]>,
    /// Null while there is none.
    cleanup: sys::napi_async_cleanup_hook_handle,
}

impl Watch {
    fn handle(&mut self) -> *mut c_void {
        self.handle.as_mut_ptr().cast()
    }
}

/// Has the environment's event loop take guests, where it can.
pub(crate) fn host_guests(env: sys::napi_env, attachment: &Attachment) {
    let Some(libuv) = Libuv::find() else { return };
    let mut event_loop = ptr::null_mut();
    // SAFETY: `env` is live.
    let status = unsafe { sys::napi_get_uv_event_loop(env, &mut event_loop) };
    if status == sys::Status::napi_ok && !event_loop.is_null() {
        let environment = attachment.environment.borrow();
        environment.host_guests(|descriptor| wait(env, libuv, event_loop, descriptor));
    }
}

/// Has the loop wait for `descriptor` until the environment ends; tells whether it does.
fn wait(
    env: sys::napi_env,
    libuv: Libuv,
    event_loop: *mut sys::uv_loop_s,
    descriptor: c_int,
) -> bool {
    // SAFETY: the function takes any number.
    let bytes = unsafe { (libuv.handle_size)(UV_POLL) };
    let watch = Box::into_raw(Box::new(Watch {
        handle: vec![0; bytes.div_ceil(size_of::<u64>())].into_boxed_slice(),
        libuv,
        cleanup: ptr::null_mut(),
    }));
    // SAFETY: on the loop's thread. The handle's memory is of its size and stays where it is until `closed`
    // has run; one that was not initialised is not known to the loop.
    unsafe {
        let handle = (*watch).handle();
        if ((*watch).libuv.poll_init)(event_loop, handle, descriptor) != 0 {
            drop(Box::from_raw(watch));
            return false;
        }
        // A handle begins with a pointer that is its owner's.
        *handle.cast::<*mut Watch>() = watch;
        ((*watch).libuv.unref)(handle);
        // Registered behind the teardown hook, so run before it: nothing is read into an environment
        // that ends.
        let hook = &raw mut (*watch).cleanup;
        let waits = ((*watch).libuv.poll_start)(handle, UV_READABLE, ready) == 0
            && sys::napi_add_async_cleanup_hook(env, Some(stop), watch.cast(), hook)
                == sys::Status::napi_ok;
        if !waits {
            ((*watch).libuv.close)(handle, closed);
        }
        waits
    }
}

unsafe extern "C" fn ready(_handle: *mut c_void, _status: c_int, _events: c_int) {
    let read = std::panic::catch_unwind(|| {
        if let Some(attachment) = Attachment::current() {
            let news = attachment.environment.borrow_mut().read_guests();
            if news {
                // Nothing is locked or borrowed: JavaScript may call everything, and may exit.
                attachment.bell.ring_here();
            }
            attachment.environment.borrow_mut().flush();
        }
    });
    // A panic of one connection ended that connection; another one must not unwind into C.
    drop(read);
}

unsafe extern "C" fn stop(_cleanup: sys::napi_async_cleanup_hook_handle, data: *mut c_void) {
    // SAFETY: `data` is what `wait` passed; libuv calls `closed` once, and the handle's memory lives till then.
    unsafe {
        let watch: *mut Watch = data.cast();
        ((*watch).libuv.close)((*watch).handle(), closed);
    }
}

unsafe extern "C" fn closed(handle: *mut c_void) {
    // SAFETY: `wait` has put there what it made with `Box`, and libuv is done with the handle.
    unsafe {
        let watch = Box::from_raw(*handle.cast::<*mut Watch>());
        if !watch.cleanup.is_null() {
            sys::napi_remove_async_cleanup_hook(watch.cleanup);
        }
    }
}
