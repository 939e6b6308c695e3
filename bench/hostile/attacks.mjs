// Raw clients and their attacks.

import {
  DATA,
  drained,
  FIN,
  OPEN,
  PING,
  RST,
  SYN,
  times,
  WINDOW,
  WINDOW_UPDATE
} from '../../__test__/support/bad-input.ts'
import { frameBytes, line, MULTISTREAM, RawPeer } from '../../__test__/support/raw-peer.ts'
import { UNREAD_PROTOCOL } from '../../__test__/support/stand.ts'

/** Maximum time until a connection is closed, in milliseconds. */
const VERDICT_MS = 5_000

/** A test context that ends with the process. */
const CONTEXT = { teardown() {} }

export function connect(victim) {
  return RawPeer.connect(CONTEXT, victim.port)
}

export async function session(victim) {
  const peer = await connect(victim)
  return { peer, session: await peer.dial() }
}

/** Resolves to whether the remote ends the connection, in any way. */
export function isDisconnected(peer, ms = VERDICT_MS) {
  return peer.closedWithin(ms).then(
    () => true,
    () => false
  )
}

/** Stages of the upgrade at which a peer stalls. */
export const STAGES = {
  silent: (peer) => peer,
  noise: async (peer) => {
    peer.send(line(MULTISTREAM), line('/noise'))
    await peer.line()
    await peer.line()
  },
  'message 2': (peer) =>
    peer.dial({ frame: (frame, message) => (message === 3 ? Buffer.alloc(0) : frame) }),
  upgraded: (peer) => peer.dial()
}

/** Sends `rounds` records of frames while the remote accepts them; resolves to whether it accepted all. */
export async function flood(peer, session, rounds, frames) {
  for (let round = 0; round < rounds; round += 1) {
    if (peer.socket.destroyed) return false
    const record = session.record(Buffer.concat(frames(round).map(frameBytes)))
    if (!peer.socket.write(record)) await drained(peer)
  }
  return !peer.socket.destroyed
}

/** Opens streams that nobody reads and fills them with one-byte frames; resolves to the bytes sent and the growth. */
export async function dribble(victim, streams) {
  const { peer, session: yamux } = await session(victim)
  const opening = Buffer.concat([line(MULTISTREAM), line(UNREAD_PROTOCOL)])
  const ids = times(streams, (index) => index * 2 + 1)
  for (const id of ids) yamux.send({ ...OPEN, id }, { type: DATA, id, body: opening })
  await victim.figuresWhen(({ taken }) => taken >= streams)
  const before = await victim.figures()
  let sent = 0
  for (const id of ids) {
    const room = WINDOW - opening.length
    for (let done = 0; done < room; ) {
      const count = Math.min(4_000, room - done)
      done += count
      await flood(peer, yamux, 1, () =>
        times(count, () => ({ type: DATA, id, body: Buffer.of(7) }))
      )
    }
    sent += room
  }
  yamux.send({ type: PING, flags: SYN, length: 99 })
  await pongOf(yamux, 99)
  const after = await victim.figures()
  return { peer, sent, grown: after.residentBytes - before.residentBytes }
}

async function pongOf(yamux, value) {
  for (;;) {
    const { type, length } = await yamux.frame()
    if (type === PING && length === value) return
  }
}

export const FLOODS = {
  'SYN+FIN': (round) =>
    times(2_000, (index) => ({ ...OPEN, id: (round * 2_000 + index) * 2 + 1, flags: SYN | FIN })),
  ping: () => times(5_000, (index) => ({ type: PING, flags: SYN, length: index })),
  SYN: (round) => times(4_000, (index) => ({ ...OPEN, id: (round * 4_000 + index) * 2 + 1 })),
  'SYN+RST': (round) =>
    times(2_000, (index) => (round * 2_000 + index) * 2 + 1).flatMap((id) => [
      { ...OPEN, id },
      { ...OPEN, id, flags: RST }
    ]),
  empty: () => times(4_000, () => ({ type: DATA, id: 1 })),
  stray: (round) => [{ type: DATA, id: round * 2 + 1_001, body: Buffer.alloc(60_000) }],
  credit: () => times(5_000, () => ({ type: WINDOW_UPDATE, id: 1, length: 1 }))
}
