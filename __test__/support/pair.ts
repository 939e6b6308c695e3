/** Two real nodes in this process, closed when the test ends. */
import type { ExecutionContext } from 'ava'
import type { Connection } from '../../ts/connection.ts'
import type { MuxerName } from '../../ts/constants.ts'
import type { Stream } from '../../ts/stream.ts'
import type { SwarmOptions } from '../../ts/swarm/options.ts'
import { createSwarm, type Swarm } from '../../ts/swarm.ts'

/** The protocol whose inbound streams {@link Pair.openStreams} hands out. */
export const PAIR_PROTOCOL = '/ferroswarm/test/pair/1.0.0'

export interface Pair {
  /** The swarm that dialled. */
  readonly dialer: Swarm
  readonly listener: Swarm
  /** The dialler's end of the connection, and the listener's. */
  readonly outbound: Connection
  readonly inbound: Connection
  /** The two ends of a fresh stream, both OPEN. */
  openStreams(): Promise<{ near: Stream; far: Stream }>
}

const QUIET: SwarmOptions = { services: { ping: false, identify: false }, ioThreads: 1 }

/** The engines of pairs whose test does not choose: see {@link useEngines}. */
const DEFAULT_ENGINES: { dialer: MuxerName; listener: MuxerName } = {
  dialer: 'yamux',
  listener: 'yamux'
}
let engines = DEFAULT_ENGINES

/** The engines that this file asked for, if it did. */
export function chosenEngines(): { dialer: MuxerName; listener: MuxerName } | undefined {
  return engines === DEFAULT_ENGINES ? undefined : engines
}

/** Let the suites of this file run over other engines: call it, then import them. */
export function useEngines(dialer: MuxerName, listener: MuxerName): void {
  engines = { dialer, listener }
}

/** The code that `connection` is told when its remote sends `code`: the `yamux` crate tells none. */
export function heard(connection: Connection, code: number): number {
  return connection.state.muxerEngine === 'yamux-crate' ? 0 : code
}

/** A swarm that ends with the test. */
export async function createNode(t: ExecutionContext, options: SwarmOptions = {}): Promise<Swarm> {
  const swarm = await createSwarm({ ...QUIET, ...options })
  t.teardown(() => swarm.close({ drainTimeout: 0 }))
  return swarm
}

/** A listening swarm and one that is connected to it. */
export async function createPair(
  t: ExecutionContext,
  options: { dialer?: SwarmOptions; listener?: SwarmOptions; both?: SwarmOptions } = {}
): Promise<Pair> {
  const [dialer, listener] = await Promise.all([
    createNode(t, { muxers: [engines.dialer], ...options.both, ...options.dialer }),
    createNode(t, { muxers: [engines.listener], ...options.both, ...options.listener })
  ])
  await listener.listen('/ip4/127.0.0.1/tcp/0')
  const connected = new Promise<Connection>((resolve) => {
    listener.addEventListener('connected', ({ detail }) => resolve(detail), { once: true })
  })
  const takers: ((stream: Stream) => void)[] = []
  listener.handle(PAIR_PROTOCOL, (stream) => takers.shift()?.(stream))
  const outbound = await dialer.dialPeer(listener.peerId, { addresses: listener.getListenAddrs() })
  const inbound = await connected
  return {
    dialer,
    listener,
    outbound,
    inbound,
    async openStreams() {
      const taken = new Promise<Stream>((resolve) => takers.push(resolve))
      const near = await outbound.newStream(PAIR_PROTOCOL)
      return { near, far: await taken }
    }
  }
}

/** Resolves when `condition` holds; looks again each time the event loop has turned. */
export async function until(condition: () => boolean, ms = 10_000): Promise<void> {
  const end = Date.now() + ms
  while (!condition()) {
    if (Date.now() > end) throw new Error(`did not come true within ${ms} ms: ${condition}`)
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}

/** Bytes that tell where they stand, so that a gap or a swap shows. */
export function pattern(length: number, seed = 0): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let index = 0; index < length; index += 1) bytes[index] = (index * 31 + seed) & 0xff
  return bytes
}

/** Resolves when the event loop has turned, a few times over. */
export async function turns(count = 3): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** `waits` if a call is still open after the event loop has turned, else the error's name, or `done`. */
export async function outcomeOf(call: Promise<unknown>): Promise<string> {
  const settled = call.then(
    () => 'done',
    (err: Error) => err.name
  )
  return Promise.race([settled, turns(5).then(() => 'waits')])
}
