import type { ExecutionContext } from 'ava'
import type { Connection } from '../../ts/connection.ts'
import { DialAllFailedError, Libp2pError } from '../../ts/errors.ts'
import type { SwarmOptions } from '../../ts/swarm/options.ts'
import { createNode } from './pair.ts'
import { FrameFlags, FrameType, type RawFrame, RawPeer, type RawSession } from './raw-peer.ts'
import { createStand, type StandOptions } from './stand.ts'

export const MIB = 1024 * 1024
export const WINDOW = 262_144
export const { syn: SYN, ack: ACK, fin: FIN, rst: RST } = FrameFlags
export const { data: DATA, windowUpdate: WINDOW_UPDATE, ping: PING, goAway: GO_AWAY } = FrameType

// Under a flood a node may grow by what one connection may buffer, not by the bytes it is sent. The flooder runs in
// the same process, so JavaScript's own memory is excluded.
export const FLOOD_GROWTH_MAX = 48 * MIB

export const SHORT = {
  connections: { inboundUpgradeTimeout: 400, outboundUpgradeTimeout: 400 }
}

/** A conforming frame that opens stream 1. */
export const OPEN: RawFrame = { type: WINDOW_UPDATE, flags: SYN, id: 1 }

/** Asserts that a misbehaving dialer is disconnected at once, long before the upgrade deadline, and never reported. */
export async function putOut(
  t: ExecutionContext,
  misbehave: (peer: RawPeer) => unknown,
  options: StandOptions = {}
): Promise<void> {
  const stand = await createStand(t, options)
  const peer = await RawPeer.connect(t, stand.port)
  // The misbehaving side may fail to read from or write to its closed socket.
  await Promise.resolve(misbehave(peer)).catch(() => {})
  await t.notThrowsAsync(peer.closedWithin())
  await stand.echo()
  t.deepEqual(stand.strangers, [])
}

export interface DialerStand {
  /** Asserts that a dial of such a server fails with one attempt; resolves to the attempt's cause. */
  failsOn(serve: (peer: RawPeer) => unknown): Promise<Libp2pError>
}

export async function createDialer(
  t: ExecutionContext,
  options: Pick<SwarmOptions, 'connections' | 'security'> = {}
): Promise<DialerStand> {
  const [stand, dialer] = await Promise.all([
    createStand(t),
    createNode(t, { security: ['noise'], ...options })
  ])
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

/** Resolves when the socket drains or closes. */
export function drained(peer: RawPeer): Promise<unknown> {
  const room = new Promise((resolve) => peer.socket.once('drain', resolve))
  return Promise.race([room, peer.closed])
}

/** Resolves when our ping is answered; skips all frames before the answer. */
export async function pong(session: RawSession, value: number): Promise<void> {
  for (;;) {
    const { type, flags, length } = await session.frame()
    if (type === PING && flags === ACK && length === value) return
  }
}
