/** Connections over links that are slow but never stall. */
import { connect, type Socket } from 'node:net'
import test, { type ExecutionContext } from 'ava'
import type { Swarm } from '../../ts/swarm.ts'
import { times } from '../support/bad-input.ts'
import { portOf } from '../support/echo.ts'
import { createPair, pattern, until } from '../support/pair.ts'
import { serveSockets } from '../support/sockets.ts'

const CEILING_MS = 60_000
const PIECE_BYTES = 20 * 1_024
const PIECE_MS = 50

/** Address of a proxy to `swarm` that forwards 400 KiB/s from a dialler and buffers no more. */
function throttled(t: ExecutionContext, swarm: Swarm): Promise<string> {
  const target = portOf(swarm)
  const take = (near: Socket): void => {
    const far = connect(target, '127.0.0.1')
    const timer = setInterval(() => {
      const piece: Buffer | null = near.read(PIECE_BYTES) ?? near.read()
      if (piece !== null) far.write(piece)
    }, PIECE_MS)
    for (const socket of [near, far]) {
      socket.on('error', () => {})
      socket.on('close', () => {
        clearInterval(timer)
        near.destroy()
        far.destroy()
      })
    }
    // The timer does the reads; without a listener nothing would be read ahead of them.
    near.on('readable', () => {})
    far.pipe(near)
  }
  return serveSockets(t, take, { highWaterMark: PIECE_BYTES })
}

// go-yamux 15, hashicorp yamux 38
const PATIENCE = {
  yamux: { keepaliveIntervalMs: 200, keepaliveTimeoutMs: 800 },
  // The crate sends no pings.
  'yamux-crate': { writeStallTimeoutMs: 3_000 }
} as const
for (const muxer of ['yamux', 'yamux-crate'] as const) {
  test(`a peer that reads 400 KiB/s from 16 streams with more to send stays connected, over ${muxer}`, async (t) => {
    const pair = await createPair(t, {
      both: { muxers: [muxer] },
      dialer: { limits: PATIENCE[muxer] }
    })
    let received = 0
    pair.listener.handle('/sink', async (stream) => {
      for await (const chunk of stream) received += chunk.byteLength
    })
    const connection = await pair.dialer.dialAddr(
      await throttled(t, pair.listener),
      pair.listener.peerId
    )
    for (const _ of times(16, (at) => at)) {
      const stream = await connection.newStream('/sink')
      // Ended with the connection, by the test.
      void stream.write(pattern(512 * 1_024)).catch(() => {})
    }
    // More than the kernel's buffers and every window hold, over several times the timeout of a silent peer.
    await until(() => received > 3_000 * 1_024 || connection.isClosed, CEILING_MS)
    t.is(connection.closeReason, undefined)
  })
}
