//! One hot call: its arguments, and the wrapper that finds its attachment, catches panics and turns errors into
//! negative return values.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use ferroswarm_runtime::Environment;
use napi::sys;

use crate::attachment::Attachment;
use crate::error_code::ErrorCode;
use crate::number;

/// Maximum number of arguments of a hot call.
const ARGUMENTS_MAX: usize = 3;

/// A number, or an error code.
pub(crate) type CallResult = Result<i32, ErrorCode>;

/// The arguments of one call, valid while it runs.
pub(crate) struct Call<'a> {
    pub(crate) env: sys::napi_env,
    arguments: [sys::napi_value; ARGUMENTS_MAX],
    pub(crate) attachment: &'a Attachment,
}

/// Runs `body` with the call's arguments.
///
/// # Safety
/// `env` and `info` are those of a running callback created by [`register`](crate::hot::register).
pub(crate) unsafe fn enter(
    env: sys::napi_env,
    info: sys::napi_callback_info,
    body: impl FnOnce(&Call<'_>) -> CallResult,
) -> sys::napi_value {
    let mut arguments = [ptr::null_mut(); ARGUMENTS_MAX];
    let mut count = ARGUMENTS_MAX;
    let mut data = ptr::null_mut();
    // SAFETY: the caller guarantees `env` and `info`; `arguments` has room for `count` values.
    let status = unsafe {
        sys::napi_get_cb_info(
            env,
            info,
            &mut count,
            arguments.as_mut_ptr(),
            ptr::null_mut(),
            &mut data,
        )
    };
    let result = if status == sys::Status::napi_ok {
        // SAFETY: `register` passed `data`, which outlives every callback.
        let attachment = unsafe { &*data.cast::<Attachment>() };
        let call = Call {
            env,
            arguments,
            attachment,
        };
        catch_unwind(AssertUnwindSafe(|| body(&call))).unwrap_or(Err(ErrorCode::ERR_INTERNAL))
    } else {
        Err(ErrorCode::ERR_INTERNAL)
    };
    let mut value = ptr::null_mut();
    // SAFETY: `env` is live and `value` is written before it is read.
    unsafe {
        sys::napi_create_int32(
            env,
            result.unwrap_or_else(ErrorCode::return_value),
            &mut value,
        );
    }
    value
}

impl Call<'_> {
    pub(crate) fn environment(&self) -> std::cell::RefMut<'_, Environment> {
        let environment = self.attachment.environment.borrow_mut();
        environment.hub().stats.calls.add(1);
        environment
    }

    /// Returns a whole 32-bit number; Node-API's own conversion would wrap any other.
    pub(crate) fn number(&self, index: usize) -> Result<u32, ErrorCode> {
        let mut number = 0.0;
        // SAFETY: `env` is live; a missing argument is `undefined` and fails the conversion.
        let status =
            unsafe { sys::napi_get_value_double(self.env, self.arguments[index], &mut number) };
        if status == sys::Status::napi_ok {
            number::exact(number).map_or_else(misuse, Ok)
        } else {
            misuse()
        }
    }

    pub(crate) fn flag(&self, index: usize) -> Result<bool, ErrorCode> {
        let mut flag = false;
        // SAFETY: as in `number`.
        let status =
            unsafe { sys::napi_get_value_bool(self.env, self.arguments[index], &mut flag) };
        if status == sys::Status::napi_ok {
            Ok(flag)
        } else {
            misuse()
        }
    }

    /// Returns the address and number of the elements of a typed array of `T`; no elements if it is
    /// detached.
    fn place<T: Element>(&self, index: usize) -> Result<Place<T>, ErrorCode> {
        let mut kind = 0;
        let mut length = 0;
        let mut data = ptr::null_mut();
        // SAFETY: `env` is live; results are read only after success.
        let status = unsafe {
            sys::napi_get_typedarray_info(
                self.env,
                self.arguments[index],
                &mut kind,
                &mut length,
                &mut data,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        if status != sys::Status::napi_ok || kind != T::KIND {
            return misuse();
        }
        if data.is_null() {
            length = 0;
        }
        Ok(Place {
            start: data.cast(),
            length,
        })
    }
}

#[expect(
    clippy::mut_from_ref,
    reason = "the memory is JavaScript's, not the call's"
)]
impl Call<'_> {
    /// Returns the elements of a typed array, which must be the call's only one.
    pub(crate) fn elements<T: Element>(&self, index: usize) -> Result<&mut [T], ErrorCode> {
        let place = self.place::<T>(index)?;
        // SAFETY: the call makes no other slice.
        Ok(unsafe { place.slice() })
    }

    /// Returns the elements of two typed arrays that do not overlap.
    pub(crate) fn distinct<T: Element, U: Element>(
        &self,
        first: usize,
        second: usize,
    ) -> Result<(&mut [T], &mut [U]), ErrorCode> {
        let (one, other) = (self.place::<T>(first)?, self.place::<U>(second)?);
        let (a, b) = (one.addresses(), other.addresses());
        if a.is_empty() || b.is_empty() || a.end <= b.start || b.end <= a.start {
            // SAFETY: they do not overlap, and the call makes no other slice.
            Ok(unsafe { (one.slice(), other.slice()) })
        } else {
            misuse()
        }
    }
}

/// Memory of a typed array.
struct Place<T> {
    start: *mut T,
    length: usize,
}

impl<T> Place<T> {
    pub(crate) fn addresses(&self) -> std::ops::Range<usize> {
        let start = self.start.addr();
        start..start + self.length * size_of::<T>()
    }

    /// # Safety
    /// The slice is used only within the call whose argument it is, which makes no other slice of this memory.
    unsafe fn slice<'a>(self) -> &'a mut [T] {
        if self.length == 0 {
            return &mut [];
        }
        // SAFETY: Node-API guarantees the memory and its alignment during the call, in which no JavaScript
        // runs; every bit pattern is a valid element. The caller guarantees the rest.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.length) }
    }
}

/// An element type of a typed array argument.
pub(crate) trait Element: Copy {
    const KIND: sys::napi_typedarray_type;
}

impl Element for u8 {
    const KIND: sys::napi_typedarray_type = sys::TypedarrayType::uint8_array;
}

impl Element for u32 {
    const KIND: sys::napi_typedarray_type = sys::TypedarrayType::uint32_array;
}

#[expect(
    clippy::use_self,
    reason = "the type of the kind is i32 by coincidence"
)]
impl Element for i32 {
    const KIND: sys::napi_typedarray_type = sys::TypedarrayType::int32_array;
}

impl Element for f64 {
    const KIND: sys::napi_typedarray_type = sys::TypedarrayType::float64_array;
}

pub(crate) fn misuse<T>() -> Result<T, ErrorCode> {
    Err(ErrorCode::ERR_INVALID_PARAMETERS)
}
