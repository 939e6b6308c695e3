/** Counters of streams and connections. */
import { pattern, until } from '../support/pair.ts'
import { overPairs } from '../support/stacks.ts'

/** More than any engine accepts for an idle reader. */
const PLENTY = 8 * 1024 * 1024

overPairs('a stream counts its bytes, including queued ones', async (t, pair) => {
  const { near, far } = await pair.openStreams()
  // The lines of the negotiation.
  const lines = far.counters()?.bytesReceived ?? 0
  await near.write(pattern(1_000))
  await until(() => far.counters()?.bytesUnread === 1_000)
  await far.read(400)
  t.like(far.counters(), { bytesReceived: lines + 1_000, bytesUnread: 600, bytesUnsent: 0 })
  t.like(near.counters(), { bytesSent: lines + 1_000, bytesUnsent: 0 })
  // Bytes beyond the reader's window wait here.
  near.send(pattern(PLENTY))
  await until(() => (near.counters()?.bytesUnsent ?? 0) > 0)
  near.reset()
  await until(() => near.counters() === undefined && far.counters() === undefined)
})

overPairs('a connection counts the bytes of all its streams', async (t, pair, stack) => {
  const before = pair.outbound.counters()?.bytesSent ?? 0
  for (let index = 0; index < 3; index += 1) {
    const { near, far } = await pair.openStreams()
    await near.write(pattern(10_000))
    await near.closeWrite()
    t.is((await far.read()).length, 10_000)
    await far.close()
  }
  // The negotiations add few.
  const sent = (pair.outbound.counters()?.bytesSent ?? 0) - before
  t.true(sent >= 30_000 && sent < 31_000, `${sent} bytes`)
  const received = pair.inbound.counters()
  t.true((received?.bytesReceived ?? 0) >= 30_000)
  if (stack.options.muxers === undefined) {
    t.true((received?.framesReceived ?? 0) >= 6)
    await until(() => pair.outbound.counters()?.roundTripMs !== undefined)
  } else {
    t.like(received, { framesReceived: 0, framesSent: 0, roundTripMs: undefined })
  }
  await pair.outbound.close()
  t.is(pair.outbound.counters(), undefined)
})
