import test from 'ava'
import {
  codeOf,
  DATA,
  drained,
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

// The floods measure memory, so they come one at a time and, as serial tests do, before the others.

interface Flood {
  /** Frames of one record. */
  readonly frames: (round: number) => readonly RawFrame[]
  readonly rounds: number
  /** Whether the flooder is put out, or may go on. */
  readonly ends: boolean
}

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
  'streams (A076)': {
    frames: (round) => times(4_000, (index) => ({ ...OPEN, id: (round * 4_000 + index) * 2 + 1 })),
    rounds: 25,
    ends: true
  },
  'streams that are reset at once (A077)': {
    frames: (round) =>
      times(2_000, (index) => (round * 2_000 + index) * 2 + 1).flatMap((id) => [
        { ...OPEN, id },
        { ...OPEN, id, flags: RST }
      ]),
    rounds: 50,
    ends: true
  },
  'data for streams that never were (A092)': {
    frames: (round) => [{ type: DATA, id: round * 2 + 1, body: Buffer.alloc(60_000) }],
    rounds: 2_000,
    ends: true
  },
  'credit in single bytes': {
    frames: () => times(5_000, () => ({ type: WINDOW_UPDATE, id: 1, length: 1 })),
    rounds: 200,
    ends: true
  }
}

for (const [what, { frames, rounds, ends }] of Object.entries(FLOODS)) {
  const fate = ends ? 'puts the flooder out' : 'costs no memory'
  test.serial(`a flood of ${what} that reads nothing ${fate} and disturbs nobody`, async (t) => {
    // Who does not answer a ping is put out for that otherwise.
    const stand = await createStand(t, { keepaliveTimeoutMs: 60_000 })
    const peer = await RawPeer.connect(t, stand.port)
    const session = await peer.dial()
    const connection = await stand.stranger()
    session.send(OPEN)
    await stand.echo()
    const before = processFigures().nativeBytes
    for (let round = 0; round < rounds && !peer.socket.destroyed; round += 1) {
      if (!session.send(...frames(round))) await drained(peer)
      if (round % 20 === 0) await stand.echo()
    }
    if (ends) {
      await t.notThrowsAsync(peer.closedWithin())
      await until(() => connection.isClosed)
      t.is(codeOf(connection), 'ERR_MUXER_PROTOCOL')
    }
    await stand.echo()
    const grown = processFigures().nativeBytes - before
    t.log(`grown by ${(grown / MIB).toFixed(1)} MiB`)
    t.true(grown < FLOOD_GROWTH_MAX, `${grown}`)
    t.true(stand.taken.count <= 1_000)
  })
}

test.serial('single bytes that nobody reads cost no more than their window (A073)', async (t) => {
  const stand = await createStand(t)
  const peer = await RawPeer.connect(t, stand.port)
  const session = await peer.dial()
  const opening = Buffer.concat([line(MULTISTREAM), line(UNREAD_PROTOCOL)])
  session.send(OPEN, { type: DATA, id: 1, body: opening })
  await until(() => stand.taken.count === 1)
  const before = processFigures().nativeBytes
  // The credit of the negotiation may have come back or not.
  let left = WINDOW - opening.length
  while (left > 0) {
    const count = Math.min(left, 4_000)
    left -= count
    const frames = times(count, () => ({ type: DATA, id: 1, body: Buffer.of(7) }))
    if (!session.send(...frames)) await drained(peer)
  }
  session.send({ type: PING, flags: SYN, length: 11 })
  await pong(session, 11)
  await stand.echo()
  const grown = processFigures().nativeBytes - before
  t.log(`grown by ${(grown / MIB).toFixed(1)} MiB`)
  t.true(grown < FLOOD_GROWTH_MAX, `${grown}`)
})

// What it costs in memory is measured where the two ends are processes of their own.
test.serial('more unread streams than a connection may hold cost one of them (A074)', async (t) => {
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

test.serial('connections that are reset at once leave nothing', async (t) => {
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

test.serial('peers that say nothing, as many as there is room for, are let go of', async (t) => {
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
