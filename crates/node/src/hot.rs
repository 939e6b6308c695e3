//! The hot calls: raw Node-API callbacks that take handles and typed arrays and return a number.
//!
//! A `#[napi]` function costs several times as much as a small read or write itself, so these few are
//! written against the C interface. Each is wrapped by [`enter`].

use std::ffi::c_void;
use std::ptr;
use std::rc::Rc;

use ferroswarm_runtime::{
    CallError, CloseManner, Direction, End, Framing, HANDLE_PENDING, Handler, Proposals,
    ResetReport, State, StreamFault, StreamSlot,
};
use napi::sys;

use crate::attachment::Attachment;
use crate::call::{enter, misuse};
use crate::diagnostic::{self, DIAGNOSTIC_TEXT_MAX, DIAGNOSTIC_WORDS};
use crate::error_code::ErrorCode;
use crate::record::{self, WORDS};
use crate::wake::Hold;

/// Names and callbacks of the hot calls.
pub(crate) const CALLS: &[(&std::ffi::CStr, Callback)] = &[
    (c"drain", drain),
    (c"open", open),
    (c"read", read),
    (c"readLeft", read_left),
    (c"readMessages", read_messages),
    (c"frame", frame),
    (c"write", write),
    (c"submit", submit),
    (c"flush", flush),
    (c"flushBeforeDrain", flush_before_drain),
    (c"closeRead", close_read),
    (c"discard", discard),
    (c"remove", remove),
    (c"reset", reset),
    (c"resetBehind", reset_behind),
    (c"setState", set_state),
    (c"openForeign", open_foreign),
    (c"feed", feed),
    (c"feedEnd", feed_end),
    (c"feedReset", feed_reset),
    (c"take", take),
    (c"feedPipe", feed_pipe),
    (c"takePipe", take_pipe),
    (c"endPipe", end_pipe),
    (c"dropPipe", drop_pipe),
    (c"answer", answer),
    (c"closeConnection", close_connection),
    (c"allowEarlyFin", allow_early_fin),
    (c"counters", counters),
    (c"measure", measure),
    (c"listenTo", listen_to),
    (c"takeDiagnostics", take_diagnostics),
    (c"hold", hold),
];

/// Returns the names of the hot calls, in the order of the table.
pub(crate) fn names() -> impl Iterator<Item = String> {
    CALLS
        .iter()
        .map(|(name, _)| name.to_string_lossy().into_owned())
}

type Callback = unsafe extern "C" fn(sys::napi_env, sys::napi_callback_info) -> sys::napi_value;

/// Registers the hot calls on `target`; returns whether it did. They use `attachment` until the environment
/// ends, kept alive by the thread's reference.
pub(crate) fn register(
    env: sys::napi_env,
    target: sys::napi_value,
    attachment: &Rc<Attachment>,
) -> bool {
    let data = Rc::as_ptr(attachment).cast_mut().cast::<c_void>();
    CALLS.iter().all(|(name, callback)| {
        let mut function = ptr::null_mut();
        // SAFETY: `env` and `target` are live; the names are static; `data` stays valid until the
        // environment's teardown drops the thread's reference, after which no JavaScript runs.
        unsafe {
            sys::napi_create_function(
                env,
                name.as_ptr(),
                name.count_bytes() as isize,
                Some(*callback),
                data,
                &mut function,
            ) == sys::Status::napi_ok
                && sys::napi_set_named_property(env, target, name.as_ptr(), function)
                    == sys::Status::napi_ok
        }
    })
}

/// Converts a count to a return value. Every buffer is far smaller than 2 GiB, or its tail is left for the
/// next call.
fn count(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

macro_rules! hot {
    ($(#[$doc:meta])* $name:ident, $call:ident => $body:expr) => {
        $(#[$doc])*
        unsafe extern "C" fn $name(
            env: sys::napi_env,
            info: sys::napi_callback_info,
        ) -> sys::napi_value {
            // SAFETY: Node-API calls this only as the callback that `register` made.
            unsafe { enter(env, info, |$call| $body) }
        }
    };
}

hot!(drain, call => {
    let words = call.elements::<u32>(0)?;
    let mut environment = call.attachment.environment.borrow_mut();
    let mut chunks = words.chunks_exact_mut(WORDS);
    let drained = environment.drain(chunks.len(), |fact| {
        if let Some(chunk) = chunks.next() {
            chunk.copy_from_slice(&record::words(fact));
        }
    });
    Ok(count(drained))
});

hot!(open, call => {
    let protocols = call.elements::<u32>(1)?;
    let proposals = match *protocols {
        [] => Proposals::Raw,
        [protocol] if call.flag(2)? => Proposals::Lazy(protocol),
        _ => Proposals::AnyOf(Box::from(&*protocols)),
    };
    let mut environment = call.environment();
    let handle = environment.open(call.number(0)?, proposals)?;
    environment.arm(handle & !HANDLE_PENDING)?;
    // Handles have 31 bits.
    Ok(handle as i32)
});

hot!(read, call => {
    let into = call.elements::<u8>(1)?;
    Ok(count(call.environment().read(call.number(0)?, into)?))
});

hot!(read_left, call => {
    let into = call.elements::<u8>(1)?;
    Ok(count(call.environment().read_left(call.number(0)?, into)?))
});

hot!(read_messages, call => {
    let (into, lengths) = call.distinct::<u8, u32>(1, 2)?;
    match call.environment().read_messages(call.number(0)?, into, lengths) {
        Err(CallError::BufferTooSmall(needed)) => {
            if let Some(first) = lengths.first_mut() {
                *first = u32::try_from(needed).unwrap_or(u32::MAX);
            }
            Err(ErrorCode::ERR_BUFFER_TOO_SMALL)
        }
        other => Ok(count(other?)),
    }
});

hot!(frame, call => {
    let framing = match call.number(1)? {
        record::FRAMING_VARINT => Framing::Varint,
        record::FRAMING_FIXED8 => Framing::Fixed8,
        record::FRAMING_FIXED16 => Framing::Fixed16,
        record::FRAMING_FIXED32 => Framing::Fixed32,
        record::FRAMING_FIXED64 => Framing::Fixed64,
        _ => return misuse(),
    };
    let max = call.number(2)? as usize;
    call.environment().set_framing(call.number(0)?, framing, max)?;
    Ok(0)
});

hot!(write, call => {
    let bytes = call.elements::<u8>(1)?;
    Ok(count(call.environment().write(call.number(0)?, bytes)?))
});

hot!(submit, call => {
    let (table, staging) = call.distinct::<i32, u8>(0, 2)?;
    let entries = call.number(1)? as usize;
    let mut environment = call.environment();
    let mut rest = &*staging;
    for row in table.chunks_exact_mut(3).take(entries) {
        let length = usize::try_from(row[1]).or_else(|_| misuse())?;
        let Some((bytes, after)) = rest.split_at_checked(length) else { return misuse() };
        rest = after;
        let end = match row[2] as u32 {
            record::ORDER_NONE => None,
            record::ORDER_CLOSE_WRITE => Some(End::Write),
            record::ORDER_CLOSE => Some(End::Both),
            _ => return misuse(),
        };
        row[1] = match environment.submit(row[0] as u32, bytes, end) {
            Ok(credit) => credit,
            Err(error) => ErrorCode::from(error).return_value(),
        };
    }
    Ok(0)
});

hot!(flush, call => {
    call.environment().flush();
    Ok(0)
});

hot!(flush_before_drain, call => Ok(call.environment().flush_before_drain().into()));

/// Converts a state to a return value.
fn state(state: State) -> i32 {
    i32::from(state as u8)
}

hot!(close_read, call => {
    let stream = call.number(0)?;
    Ok(state(call.environment().change(stream, |slot| slot.close_read())?))
});

hot!(discard, call => {
    let stream = call.number(0)?;
    Ok(state(call.environment().change(stream, |slot| slot.discard())?))
});

hot!(remove, call => {
    let stream = call.number(0)?;
    Ok(state(call.environment().change(stream, |slot| Ok(slot.remove()))?))
});

hot!(reset, call => {
    let (stream, code) = (call.number(0)?, call.number(1)?);
    Ok(state(call.environment().change(stream, |slot| Ok(slot.reset(code)))?))
});

hot!(reset_behind, call => {
    let (stream, code) = (call.number(0)?, call.number(1)?);
    Ok(state(call.environment().change(stream, |slot| Ok(slot.reset_behind(code)))?))
});

hot!(set_state, call => {
    let stream = call.number(0)?;
    let next = u8::try_from(call.number(1)?).ok().and_then(State::from_number);
    let Some(next) = next else { return misuse() };
    Ok(state(call.environment().change(stream, |slot| slot.set_state(next))?))
});

hot!(open_foreign, call => {
    let direction = match call.number(0)? {
        1 => Direction::Inbound,
        2 => Direction::Outbound,
        _ => return misuse(),
    };
    let mut environment = call.environment();
    let handle = environment.open_foreign(direction)?;
    environment.arm(handle)?;
    // Handles have 31 bits.
    Ok(handle as i32)
});

hot!(feed, call => {
    let bytes = call.elements::<u8>(1)?;
    Ok(count(call.environment().foreign(call.number(0)?, |slot| slot.feed(bytes))?))
});

hot!(feed_end, call => {
    call.environment().foreign(call.number(0)?, StreamSlot::feed_end)?;
    Ok(0)
});

hot!(feed_reset, call => {
    let (stream, code, flags) = (call.number(0)?, call.number(1)?, call.number(2)?);
    let report = ResetReport {
        code,
        remote: flags & record::FLAG_REMOTE != 0,
        connection_lost: flags & record::FLAG_CONNECTION_LOST != 0,
        orderly: flags & record::FLAG_ORDERLY != 0,
        fault: (flags & record::FLAG_FAULT != 0).then_some(StreamFault::Application),
        ..ResetReport::default()
    };
    call.environment().foreign(stream, |slot| slot.feed_reset(report))?;
    Ok(0)
});

hot!(
    /// Returns the number of bytes; the orders go into the second array: flags, the reset code, and the
    /// unread bytes held.
    take, call => {
    let (into, orders) = call.distinct::<u8, u32>(1, 2)?;
    let [flags, code, held] = orders else { return misuse() };
    let taken = call.environment().foreign(call.number(0)?, |slot| slot.take(into))?;
    *flags = record::taken_flags(&taken);
    *code = taken.reset.unwrap_or(0);
    *held = u32::try_from(taken.held).unwrap_or(u32::MAX);
    Ok(count(taken.bytes))
});

hot!(feed_pipe, call => {
    let bytes = call.elements::<u8>(1)?;
    Ok(count(call.environment().feed_pipe(call.number(0)?, bytes)?))
});

hot!(take_pipe, call => {
    let into = call.elements::<u8>(1)?;
    Ok(count(call.environment().take_pipe(call.number(0)?, into)?))
});

hot!(end_pipe, call => {
    call.environment().end_pipe(call.number(0)?)?;
    Ok(0)
});

hot!(drop_pipe, call => {
    call.environment().drop_pipe(call.number(0)?)?;
    Ok(0)
});

hot!(answer, call => {
    let (stream, protocol, inbound_max) = (call.number(0)?, call.number(1)?, call.number(2)?);
    let handler = (protocol != 0).then_some(Handler {
        protocol,
        inbound_max,
        service: 0,
    });
    call.environment().answer(stream, handler)?;
    Ok(0)
});

hot!(close_connection, call => {
    let manner = if call.flag(2)? { CloseManner::AtOnce } else { CloseManner::Orderly };
    call.environment().close_connection(call.number(0)?, call.number(1)?, manner)?;
    Ok(0)
});

hot!(allow_early_fin, call => {
    call.environment().allow_early_fin(call.number(0)?)?;
    Ok(0)
});

hot!(counters, call => {
    let into = call.elements::<f64>(0)?;
    let environment = call.attachment.environment.borrow();
    let mut written = 0;
    for (place, value) in into.iter_mut().zip(environment.hub().counted().values()) {
        *place = value as f64;
        written += 1;
    }
    Ok(written)
});

hot!(measure, call => {
    let into = call.elements::<f64>(1)?;
    let figures = call.environment().measure(call.number(0)?)?;
    for (place, figure) in into.iter_mut().zip(figures) {
        *place = figure as f64;
    }
    Ok(count(into.len().min(figures.len())))
});

hot!(
    /// One bit per level: 1 error, 2 warn, 4 info, 8 debug.
    listen_to, call => {
    call.environment().hub().listen_to(call.number(0)?);
    Ok(0)
});

hot!(take_diagnostics, call => {
    let (words, mut texts) = call.distinct::<u32, u8>(0, 1)?;
    let environment = call.environment();
    let mut taken = 0;
    for words in words.chunks_exact_mut(DIAGNOSTIC_WORDS) {
        if texts.len() < DIAGNOSTIC_TEXT_MAX {
            break;
        }
        let Some(diagnostic) = environment.hub().take_diagnostic() else { break };
        let bytes = diagnostic::write(&diagnostic, words, texts);
        texts = &mut texts[bytes..];
        taken += 1;
    }
    Ok(count(taken))
});

hot!(hold, call => {
    let hold = if call.flag(0)? { Hold::On } else { Hold::Off };
    call.attachment.bell.hold(call.env, hold);
    Ok(0)
});
