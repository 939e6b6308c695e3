import type { ExecutionContext } from 'ava'
import type { Connection } from '../../ts/connection.ts'
import { DialAllFailedError, Libp2pError } from '../../ts/errors.ts'
import { createNode } from './pair.ts'
import { FrameFlags, FrameType, type RawFrame, RawPeer, type RawSession } from './raw-peer.ts'
import { createStand } from './stand.ts'

export const MIB = 1024 * 1024
export const WINDOW = 262_144
export const { syn: SYN, ack: ACK, fin: FIN, rst: RST } = FrameFlags
export const { data: DATA, windowUpdate: WINDOW_UPDATE, ping: PING, goAway: GO_AWAY } = FrameType

// A flood may make a node grow by what it holds for one connection, not by what it is sent. The flooder lives in the
// same process, so JavaScript's own memory is left out.
export const FLOOD_GROWTH_MAX = 48 * MIB

export const SHORT = { upgradeTimeoutMs: 400 }

/** Opens a stream by the book. */
export const OPEN: RawFrame = { type: WINDOW_UPDATE, flags: SYN, id: 1 }

/** Someone who speaks first and badly: put out at once, long before the upgrade's deadline, and never seen. */
export async function putOut(
  t: ExecutionContext,
  misbehave: (peer: RawPeer) => unknown,
  limits: Parameters<typeof createStand>[1] = {}
): Promise<void> {
  const stand = await createStand(t, limits)
  const peer = await RawPeer.connect(t, stand.port)
  // What is sent to a closed socket, or read from it, is the misbehaviour's own affair.
  await Promise.resolve(misbehave(peer)).catch(() => {})
  await t.notThrowsAsync(peer.closedWithin())
  await stand.echo()
  t.deepEqual(stand.strangers, [])
}

export interface DialerStand {
  /** A dial of a server that does this fails with one attempt; answers with the attempt's cause. */
  failsOn(serve: (peer: RawPeer) => unknown): Promise<Libp2pError>
}

export async function createDialer(
  t: ExecutionContext,
  options: { upgradeTimeoutMs?: number; security?: readonly ('tls' | 'noise')[] } = {}
): Promise<DialerStand> {
  const { security = ['noise'], ...limits } = options
  const [stand, dialer] = await Promise.all([createStand(t), createNode(t, { limits, security })])
  return {
    async failsOn(serve) {
      const address = await RawPeer.serve(t, serve)
      const err = await t.throwsAsync(dialer.dialAddr(address), { instanceOf: DialAllFailedError })
      const [attempt, ...others] = err.attempts
      t.deepEqual(others, [])
      t.is(attempt?.address, address)
      t.true(attempt?.cause instanceof Libp2pError)
      t.not(attempt?.cause.kind, 'bug')
      t.is(dialer.getTotalConnections(), 0)
      await stand.echo()
      return attempt?.cause as Libp2pError
    }
  }
}

export function codeOf({ closeReason }: Connection): string | undefined {
  const error = closeReason?.error
  return error instanceof Libp2pError ? error.code : undefined
}

export function flipped(bytes: Buffer, at: number): Buffer {
  return changed(bytes, at, (bytes[at] ?? 0) ^ 1)
}

export function changed(bytes: Buffer, at: number, value: number): Buffer {
  const copy = Buffer.from(bytes)
  copy[at] = value
  return copy
}

export function times<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index))
}

/** The socket takes more, or will never. */
export function drained(peer: RawPeer): Promise<unknown> {
  const room = new Promise((resolve) => peer.socket.once('drain', resolve))
  return Promise.race([room, peer.closed])
}

/** The answer to our ping, whatever comes before it. */
export async function pong(session: RawSession, value: number): Promise<void> {
  for (;;) {
    const { type, flags, length } = await session.frame()
    if (type === PING && flags === ACK && length === value) return
  }
}
