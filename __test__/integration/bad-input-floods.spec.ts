import test, { type ExecutionContext } from 'ava'
import {
  DATA,
  drained,
  FIN,
  FLOOD_GROWTH_MAX,
  MIB,
  OPEN,
  PING,
  pong,
  RST,
  SHORT,
  SYN,
  times,
  WINDOW,
  WINDOW_UPDATE
} from '../support/bad-input.ts'
import { until } from '../support/pair.ts'
import { processFigures } from '../support/process-figures.ts'
import { line, MULTISTREAM, type RawFrame, RawPeer } from '../support/raw-peer.ts'
import { createStand, UNREAD_PROTOCOL } from '../support/stand.ts'
import { startVictim, type Victim } from '../support/victim.ts'

// The floods measure memory, so their node runs in its own process and the tests are serial.

// Maximum growth of a node during a flood: the noise of a working process. bench/hostile.mjs measures it more closely.
const GROWTH_MAX = 4 * MIB

interface Flood {
  /** Frames of one record. */
  readonly frames: (round: number) => readonly RawFrame[]
  readonly rounds: number
  /** Whether the flooder is disconnected, or may go on. */
  readonly ends: boolean
  /** Whether the flooder reads the node's answers. */
  readonly reads?: boolean
}

const SERVED = Buffer.concat([line(MULTISTREAM), line(UNREAD_PROTOCOL)])

const FLOODS: Readonly<Record<string, Flood>> = {
  'pings (A080)': {
    frames: () => times(5_000, (index) => ({ type: PING, flags: SYN, length: index })),
    rounds: 200,
    ends: false
  },
  'empty frames (A075)': {
    frames: () => times(4_000, () => ({ type: DATA, id: 1 })),
    rounds: 250,
    ends: true
  },
  'streams that end in their first frame (A078)': {
    frames: (round) =>
      times(2_000, (index) => ({
        ...OPEN,
        id: (round * 2_000 + index) * 2 + 3,
        flags: SYN | FIN
      })),
    rounds: 50,
    ends: false,
    reads: true
  },
  'streams (A079)': {
    frames: (round) => times(4_000, (index) => ({ ...OPEN, id: (round * 4_000 + index) * 2 + 3 })),
    rounds: 50,
    ends: true
  },
  'streams, with the refusals read (A079)': {
    frames: (round) => times(4_000, (index) => ({ ...OPEN, id: (round * 4_000 + index) * 2 + 3 })),
    rounds: 50,
    ends: true,
    reads: true
  },
  'streams reset at once (A077)': {
    frames: (round) =>
      times(2_000, (index) => (round * 2_000 + index) * 2 + 3).flatMap((id) => [
        { ...OPEN, id },
        { ...OPEN, id, flags: RST }
      ]),
    rounds: 50,
    ends: true
  },
  'streams reset once they are served (A077)': {
    frames: (round) =>
      times(500, (index) => (round * 500 + index) * 2 + 3).flatMap((id) => [
        { ...OPEN, id },
        { type: DATA, id, body: SERVED },
        { ...OPEN, id, flags: RST }
      ]),
    rounds: 200,
    ends: true,
    reads: true
  },
  'data for streams that never existed (A092)': {
    frames: (round) => [{ type: DATA, id: round * 2 + 3, body: Buffer.alloc(60_000) }],
    rounds: 2_000,
    ends: true
  },
  'credit in single bytes': {
    frames: () => times(5_000, () => ({ type: WINDOW_UPDATE, id: 1, length: 1 })),
    rounds: 200,
    ends: true
  }
}

async function attacked(t: ExecutionContext): Promise<Victim> {
  // The raw peer answers no keepalive pings; at the default timeout it would be disconnected for that.
  const victim = await startVictim({ keepaliveTimeoutMs: 60_000 })
  t.teardown(() => victim.close())
  return victim
}

for (const [what, { frames, rounds, ends, reads = false }] of Object.entries(FLOODS)) {
  const fate = ends ? 'disconnects the flooder' : 'costs no memory'
  test.serial(`a flood of ${what} ${fate} and disturbs no other peer`, async (t) => {
    const victim = await attacked(t)
    const flooded = async (): Promise<RawPeer> => {
      const peer = await RawPeer.connect(t, victim.port)
      const session = await peer.dial()
      session.send(OPEN)
      if (reads) peer.socket.resume()
      for (let round = 0; round < rounds && !peer.socket.destroyed; round += 1) {
        if (!session.send(...frames(round))) await drained(peer)
        if (round % 20 === 0) await victim.echo()
      }
      return peer
    }
    // What the first flood allocates once is no growth.
    const first = await flooded()
    first.socket.destroy()
    const before = await victim.figuresWhen(({ connections }) => connections === 1)
    const peer = await flooded()
    if (ends) await t.notThrowsAsync(peer.closedWithin())
    else t.false(peer.socket.destroyed)
    await victim.echo()
    // The flooder's first stream is left, unless the flooder was disconnected.
    const after = await victim.figuresWhen(({ streams }) => streams === 0)
    t.deepEqual(after.ends.slice(before.ends.length), ends ? ['ERR_MUXER_PROTOCOL'] : [])
    t.is(after.connections, ends ? 1 : 2)
    const grown = after.residentBytes - before.residentBytes
    t.log(`grown by ${(grown / MIB).toFixed(1)} MiB`)
    t.true(grown < GROWTH_MAX, `${grown}`)
    // The allowance of 1,000 refills with time, so a flooder gets a few more.
    t.true(after.taken - before.taken <= 4_000, `${after.taken - before.taken}`)
  })
}

test.serial("a disconnected peer's socket closes even if nothing else happens", async (t) => {
  const victim = await attacked(t)
  const { descriptors } = await victim.figures()
  const peer = await RawPeer.connect(t, victim.port)
  const session = await peer.dial()
  for (let round = 0; round < 250 && !peer.socket.destroyed; round += 1) {
    if (!session.send(...times(4_000, () => ({ type: DATA, id: 1 })))) await drained(peer)
  }
  await t.notThrowsAsync(peer.closedWithin())
  t.is((await victim.figures()).descriptors, descriptors)
})

test.serial('unread single bytes cost at most twice their number (A073)', async (t) => {
  const victim = await attacked(t)
  const peer = await RawPeer.connect(t, victim.port)
  const session = await peer.dial()
  // Enough of them that memory kept in reserve by the process does not matter.
  const streams = 48
  const ids = times(streams, (index) => index * 2 + 1)
  session.send(
    ...ids.flatMap((id) => [
      { ...OPEN, id },
      { type: DATA, id, body: SERVED }
    ])
  )
  const before = await victim.figuresWhen(({ taken }) => taken === streams)
  for (const id of ids) {
    for (let left = WINDOW - SERVED.length; left > 0; ) {
      const count = Math.min(left, 4_000)
      left -= count
      const frames = times(count, () => ({ type: DATA, id, body: Buffer.of(7) }))
      if (!session.send(...frames)) await drained(peer)
    }
  }
  session.send({ type: PING, flags: SYN, length: 11 })
  await pong(session, 11)
  await victim.echo()
  const after = await victim.figures()
  const grown = after.residentBytes - before.residentBytes
  t.log(`grown by ${(grown / MIB).toFixed(1)} MiB`)
  t.true(grown < 2 * streams * WINDOW, `${grown}`)
  t.is(after.streams, streams)
})

test.serial('frames whose bodies never arrive cost next to nothing (A072)', async (t) => {
  const victim = await attacked(t)
  const count = 250
  const send = async (): Promise<void> => {
    const peer = await RawPeer.connect(t, victim.port)
    const session = await peer.dial()
    session.send(...times(4, (index) => ({ ...OPEN, id: index * 2 + 1 })))
    session.send({ type: DATA, id: 1, length: WINDOW })
  }
  for (let warm = 0; warm < 20; warm += 1) await send()
  const before = await victim.figures()
  for (let sent = 0; sent < count; sent += 1) await send()
  await victim.echo()
  const after = await victim.figuresWhen(({ connections }) => connections === count + 21)
  const each = (after.residentBytes - before.residentBytes) / count
  t.log(`${(each / 1_024).toFixed(1)} KiB a connection`)
  t.true(each < 64 * 1_024, `${each}`)
})

// Its memory cost is measured where each end is a process of its own.
test.serial('unread streams beyond the memory of a connection are reset (A074)', async (t) => {
  const stand = await createStand(t)
  const peer = await RawPeer.connect(t, stand.port)
  const session = await peer.dial()
  const opening = Buffer.concat([line(MULTISTREAM), line(UNREAD_PROTOCOL)])
  const chunk = Buffer.alloc(50_000)
  const resets = stand.node.counters().memoryResets
  for (let stream = 0; stream < 250; stream += 1) {
    const id = stream * 2 + 1
    session.send({ ...OPEN, id }, { type: DATA, id, body: opening })
    for (let sent = 0; sent < 5; sent += 1) {
      if (!session.send({ type: DATA, id, body: chunk })) await drained(peer)
    }
    if (stream % 25 === 0) await stand.echo()
  }
  session.send({ type: PING, flags: SYN, length: 11 })
  await pong(session, 11)
  t.true(stand.node.counters().memoryResets > resets)
  t.is((await stand.stranger()).isClosed, false)
  await stand.echo()
})

test.serial('connections that are reset at once leave nothing behind', async (t) => {
  const stand = await createStand(t)
  const before = processFigures()
  for (let round = 0; round < 20; round += 1) {
    const peers = await Promise.all(times(25, () => RawPeer.connect(t, stand.port)))
    for (const [index, peer] of peers.entries()) {
      if (index % 3 === 1) peer.send(line(MULTISTREAM))
      if (index % 3 === 2) peer.send(line(MULTISTREAM), line('/noise'), Buffer.from('0020', 'hex'))
      peer.socket.resetAndDestroy()
    }
    await stand.echo()
  }
  await until(() => processFigures().descriptors <= before.descriptors)
  t.deepEqual(stand.strangers, [])
  t.is(processFigures().threads, before.threads)
})

test.serial('silent peers, as many as there is room for, are disconnected', async (t) => {
  const stand = await createStand(t, SHORT)
  const before = processFigures()
  const peers = await Promise.all(times(200, () => RawPeer.connect(t, stand.port)))
  await stand.echo()
  await Promise.all(peers.map((peer) => peer.closedWithin()))
  await until(() => processFigures().descriptors <= before.descriptors)
  const grown = processFigures().nativeBytes - before.nativeBytes
  t.true(grown < FLOOD_GROWTH_MAX, `${grown}`)
  await stand.echo()
})
