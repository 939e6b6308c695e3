/** Names of the native counters; mirrors `crates/runtime/src/stats.rs`. */
import type { HotCalls } from './addon.ts'
import type { ConnectionHandle, StreamHandle } from './handles.ts'

/** Names in the order in which the native `counters` writes the values. */
export const COUNTER_NAMES = [
  'rings',
  'drains',
  'records',
  'calls',
  'bytesRead',
  'bytesWritten',
  'socketBytesIn',
  'socketBytesOut',
  'framesIn',
  'framesOut',
  'socketReads',
  'socketWrites',
  'inlineWrites',
  'inlineBytes',
  'inlineReads',
  'busyPolls',
  'kicks',
  'connectionsOpened',
  'connectionsClosed',
  'streamsOpened',
  'streamsClosed',
  'memoryResets',
  'readPauses',
  'upgradesFailed',
  'admissionsRefused',
  'diagnosticsDropped',
  'chunkAllocations',
  'windowRefusals'
] as const

/**
 * Native counters since the start of this thread, summed over its swarms.
 *
 * `bytesRead` and `bytesWritten` are bytes of streams; `calls` are calls into native code other than `drain`.
 * `windowRefusals` counts the times that a receive window did not grow because a limit of memory did not allow it.
 */
export type Counters = Readonly<Record<(typeof COUNTER_NAMES)[number], number>>

/** @internal Returns the counters by name. Those not written by the native side are 0. */
export function namedCounters(numbers: Float64Array, written: number): Counters {
  const counters: Record<string, number> = {}
  for (const [index, name] of COUNTER_NAMES.entries()) {
    counters[name] = index < written ? (numbers[index] ?? 0) : 0
  }
  // All names are set by the loop.
  return counters as Counters
}

/** Bytes carried by a stream, including its negotiation. */
export interface StreamCounters {
  /** Bytes received. */
  readonly bytesReceived: number
  /** Bytes sent to the remote. */
  readonly bytesSent: number
  /** Bytes received and not yet read. */
  readonly bytesUnread: number
  /** Bytes written and not yet sent, for lack of credit from the remote or of socket buffer space. */
  readonly bytesUnsent: number
}

/** Bytes and frames carried by a connection. */
export interface ConnectionCounters {
  /** Bytes received on its streams, including their negotiations. */
  readonly bytesReceived: number
  /** Bytes sent on its streams, including their negotiations. */
  readonly bytesSent: number
  /** Muxer frames received; 0 with `yamux-crate`. */
  readonly framesReceived: number
  /** Muxer frames sent; 0 with `yamux-crate`. */
  readonly framesSent: number
  /** Smoothed round trip of muxer pings in milliseconds; undefined before the first pong and with `yamux-crate`. */
  readonly roundTripMs: number | undefined
}

/** @internal Numbers written by the native `measure`; `connectionCarried` records carry one each. */
export const FIGURES = 5

/** @internal Returns the counters of a stream; undefined once the native side has dropped it. */
export function streamCounters(hot: HotCalls, handle: StreamHandle): StreamCounters | undefined {
  const figures = new Float64Array(FIGURES)
  if (hot.measure(handle, figures) < 0) return undefined
  const [bytesReceived = 0, bytesSent = 0, bytesUnread = 0, bytesUnsent = 0] = figures
  return { bytesReceived, bytesSent, bytesUnread, bytesUnsent }
}

/** @internal Returns the figures of an open connection. */
export function connectionFigures(hot: HotCalls, handle: ConnectionHandle): Float64Array {
  const figures = new Float64Array(FIGURES)
  hot.measure(handle, figures)
  return figures
}

/** @internal Returns the counters of a connection by name; missing figures are 0. */
export function connectionCounters(figures: ArrayLike<number>): ConnectionCounters {
  const [bytesReceived = 0, bytesSent = 0, framesReceived = 0, framesSent = 0, micros = 0] =
    Array.from(figures)
  const roundTripMs = micros === 0 ? undefined : micros / 1_000
  return { bytesReceived, bytesSent, framesReceived, framesSent, roundTripMs }
}
