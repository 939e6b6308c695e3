/** Names of the numbers that the native side counts; mirrors `crates/runtime/src/stats.rs`. */
import type { HotCalls } from './addon.ts'
import type { ConnectionHandle, StreamHandle } from './handles.ts'

/** The order in which `counters` writes them. */
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
  'windowGrowth'
] as const

/**
 * Counts since the start of this thread, of all its swarms together. Bytes read and written are those of streams;
 * `calls` are crossings other than `drain`. `windowGrowth` is what the receive windows of the whole process are above
 * their first 256 KiB at present.
 */
export type Counters = Readonly<Record<(typeof COUNTER_NAMES)[number], number>>

/** @internal Names the numbers. Those that the native side did not write are 0. */
export function namedCounters(numbers: Float64Array, written: number): Counters {
  const counters: Record<string, number> = {}
  for (const [index, name] of COUNTER_NAMES.entries()) {
    counters[name] = index < written ? (numbers[index] ?? 0) : 0
  }
  // Every name has its number.
  return counters as Counters
}

/** What a stream has carried so far, in bytes; those of its negotiation are among them. */
export interface StreamCounters {
  readonly bytesReceived: number
  /** Those that have left for the remote. */
  readonly bytesSent: number
  /** Received, and not read yet. */
  readonly bytesUnread: number
  /** Written, and not sent yet: the remote gives no credit, or the socket takes nothing. */
  readonly bytesUnsent: number
}

/** What a connection has carried so far. */
export interface ConnectionCounters {
  /** Bytes of its streams, those of their negotiations included. */
  readonly bytesReceived: number
  readonly bytesSent: number
  /** Frames of the muxer; 0 with `yamux-crate`. */
  readonly framesReceived: number
  readonly framesSent: number
  /** Smoothed round trip of its pings in milliseconds; undefined before the first answer and with `yamux-crate`. */
  readonly roundTripMs: number | undefined
}

/** @internal Numbers that `measure` writes, and of which `connectionCarried` records tell one each. */
export const FIGURES = 5

/** @internal What has gone over a stream; undefined once the native side has abandoned it. */
export function streamCounters(hot: HotCalls, handle: StreamHandle): StreamCounters | undefined {
  const figures = new Float64Array(FIGURES)
  if (hot.measure(handle, figures) < 0) return undefined
  const [bytesReceived = 0, bytesSent = 0, bytesUnread = 0, bytesUnsent = 0] = figures
  return { bytesReceived, bytesSent, bytesUnread, bytesUnsent }
}

/** @internal The figures of a connection that lives. */
export function connectionFigures(hot: HotCalls, handle: ConnectionHandle): Float64Array {
  const figures = new Float64Array(FIGURES)
  hot.measure(handle, figures)
  return figures
}

/** @internal Names the figures of a connection; those that were not told are 0. */
export function connectionCounters(figures: ArrayLike<number>): ConnectionCounters {
  const [bytesReceived = 0, bytesSent = 0, framesReceived = 0, framesSent = 0, micros = 0] =
    Array.from(figures)
  const roundTripMs = micros === 0 ? undefined : micros / 1_000
  return { bytesReceived, bytesSent, framesReceived, framesSent, roundTripMs }
}
