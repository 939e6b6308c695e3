/** Crossings and system calls, counted at both ends. The table is docs/budgets.md. */
import test, { type ExecutionContext } from 'ava'
import type { Counters } from '../../ts/native/counters.ts'
import { countEnds } from '../support/ends.ts'
import type { BulkOptions } from '../support/programs/bulk.ts'
import type { StreamsOptions } from '../support/programs/streams.ts'

const MIB = 1024 * 1024

/** Maximum of each count per MiB or per stream. */
interface Budget {
  readonly wakes: number
  readonly crossings: number
  readonly socketCalls: number
  /** Sent. */
  readonly frames?: number
}

for (const readBytes of [65_536, MIB]) {
  const title = `256 MiB through readInto of ${readBytes} bytes and 64 KiB writes`
  test.serial(`${title} copy each byte once and stay within the budgets per MiB`, async (t) => {
    const bytes = 256 * MIB
    const options: BulkOptions = { bytes, writeBytes: 65_536, readBytes }
    const { listener, dialer } = await countEnds(t, 'bulk', options)
    t.is(listener.bytes, bytes)
    t.is(dialer.bytes, bytes)
    // One copy: exactly the payload crosses.
    t.is(listener.counts.bytesRead, bytes)
    t.is(dialer.counts.bytesWritten, bytes)
    // A reader faster than the socket is woken for whatever has arrived; a writer once per pipe of 256 KiB.
    holds(t, 'reader', listener.counts, bytes / MIB, { wakes: 10, crossings: 40, socketCalls: 40 })
    holds(t, 'writer', dialer.counts, bytes / MIB, { wakes: 6, crossings: 40, socketCalls: 40 })
    for (const { chunkAllocations } of [listener.counts, dialer.counts]) {
      // The pipes hold at most a window; its memory is allocated once and then recycled.
      t.true(chunkAllocations < 1_000, `${chunkAllocations} chunks`)
    }
  })
}

const STREAMS = 5_000
const STREAM_BUDGETS: readonly { atOnce: number; dialer: Budget; listener: Budget }[] = [
  {
    atOnce: 1,
    dialer: { wakes: 4, crossings: 12, socketCalls: 6, frames: 2.2 },
    // The acknowledgement goes with the answer.
    listener: { wakes: 4, crossings: 12, socketCalls: 6, frames: 2.2 }
  },
  {
    atOnce: 100,
    dialer: { wakes: 0.2, crossings: 4, socketCalls: 0.5, frames: 2.5 },
    listener: { wakes: 0.2, crossings: 3, socketCalls: 0.5, frames: 4 }
  }
]

for (const { atOnce, ...budgets } of STREAM_BUDGETS) {
  const title = `5,000 streams, ${atOnce} at once, with 1 KiB each way`
  test.serial(`${title} stay within the budgets per stream`, async (t) => {
    const options: StreamsOptions = { streams: STREAMS, atOnce, bytes: 1_024 }
    const { listener, dialer } = await countEnds(t, 'streams', options)
    t.is(listener.bytes, STREAMS * 1_024)
    t.is(dialer.bytes, STREAMS * 1_024)
    holds(t, 'dialer', dialer.counts, STREAMS, budgets.dialer)
    holds(t, 'listener', listener.counts, STREAMS, budgets.listener)
  })
}

function holds(
  t: ExecutionContext,
  end: string,
  counts: Counters,
  units: number,
  budget: Budget
): void {
  const counted = {
    frames: counts.framesOut / units,
    wakes: counts.rings / units,
    crossings: (counts.drains + counts.calls) / units,
    socketCalls: (counts.socketReads + counts.socketWrites) / units
  }
  for (const name of ['wakes', 'crossings', 'socketCalls', 'frames'] as const) {
    const most = budget[name]
    if (most === undefined) continue
    t.log(`${end}: ${counted[name].toFixed(2)} ${name} of at most ${most}`)
    t.true(counted[name] <= most, `${end}: ${counted[name]} ${name}`)
  }
  // A doorbell that was rung is not rung again before it is answered.
  t.true(
    counts.rings <= counts.drains + 1,
    `${end}: ${counts.rings} rings, ${counts.drains} drains`
  )
}
