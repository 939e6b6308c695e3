/** Names of the numbers that the native side counts; mirrors `crates/runtime/src/stats.rs`. */

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
  'kicks',
  'connectionsOpened',
  'connectionsClosed',
  'streamsOpened',
  'streamsClosed',
  'memoryResets',
  'readPauses',
  'upgradesFailed',
  'admissionsRefused',
  'chunkAllocations',
  'windowGrowth'
] as const

/**
 * Counts since the start of this thread, of all its swarms together. Bytes read and written are those of streams;
 * `calls` are crossings other than `drain`. `windowGrowth` is what the receive windows of the whole process are above
 * their first 256 KiB at present.
 */
export type Counters = Readonly<Record<(typeof COUNTER_NAMES)[number], number>>

/** Names the numbers. Those that the native side did not write are 0. */
export function namedCounters(numbers: Float64Array, written: number): Counters {
  const counters: Record<string, number> = {}
  for (const [index, name] of COUNTER_NAMES.entries()) {
    counters[name] = index < written ? (numbers[index] ?? 0) : 0
  }
  return counters as Counters
}
