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
  /** The dialer's end of the connection, and the listener's. */
  readonly outbound: Connection
  readonly inbound: Connection
  /** Opens a stream; resolves to its two ends, both OPEN. */
  openStreams(): Promise<{ near: Stream; far: Stream }>
}

/** A swarm that does nothing by itself. */
const QUIET: SwarmOptions = {
  services: { ping: false, identify: false },
  connections: { autoConnectBelow: 0 },
  ioThreads: 1
}

/** The engines of pairs by default; see {@link useEngines}. */
const DEFAULT_ENGINES: { dialer: MuxerName; listener: MuxerName } = {
  dialer: 'yamux',
  listener: 'yamux'
}
let engines = DEFAULT_ENGINES

/** Returns the engines that this file chose, if it did. */
export function chosenEngines(): { dialer: MuxerName; listener: MuxerName } | undefined {
  return engines === DEFAULT_ENGINES ? undefined : engines
}

/** Runs the suites of this file over other engines: call it, then import them. */
export function useEngines(dialer: MuxerName, listener: MuxerName): void {
  engines = { dialer, listener }
}

/** Returns the code that `connection` reports when its remote sends `code`: the `yamux` crate reports none. */
export function heard(connection: Connection, code: number): number {
  return connection.state.muxerEngine === 'yamux-crate' ? 0 : code
}

/** Creates a swarm that is closed when the test ends. */
export async function createNode(t: ExecutionContext, options: SwarmOptions = {}): Promise<Swarm> {
  const swarm = await createSwarm({ ...QUIET, ...options })
  t.teardown(() => swarm.close({ drainTimeout: 0 }))
  return swarm
}

/** Creates a node that listens on loopback. */
export async function listening(t: ExecutionContext, port = 0): Promise<Swarm> {
  const node = await createNode(t)
  await node.listen(`/ip4/127.0.0.1/tcp/${port}`)
  return node
}

/** Creates a listening swarm and one that is connected to it. */
export async function createPair(
  t: ExecutionContext,
  options: {
    dialer?: SwarmOptions
    listener?: SwarmOptions
    both?: SwarmOptions
    /** Where the listener listens; TCP if left out. */
    listen?: string
  } = {}
): Promise<Pair> {
  const [dialer, listener] = await Promise.all([
    createNode(t, { muxers: [engines.dialer], ...options.both, ...options.dialer }),
    createNode(t, { muxers: [engines.listener], ...options.both, ...options.listener })
  ])
  await listener.listen(options.listen ?? '/ip4/127.0.0.1/tcp/0')
  const connected = new Promise<Connection>((resolve) => {
    listener.addEventListener('connected', ({ detail }) => resolve(detail), { once: true })
  })
  const waiting: ((stream: Stream) => void)[] = []
  listener.handle(PAIR_PROTOCOL, (stream) => waiting.shift()?.(stream))
  const outbound = await dialer.dialPeer(listener.peerId, { addresses: listener.getListenAddrs() })
  const inbound = await connected
  return {
    dialer,
    listener,
    outbound,
    inbound,
    async openStreams() {
      const taken = new Promise<Stream>((resolve) => waiting.push(resolve))
      const near = await outbound.newStream(PAIR_PROTOCOL)
      return { near, far: await taken }
    }
  }
}

/** Polls `condition` every millisecond; resolves when it holds, rejects after `ms`. */
export async function until(condition: () => boolean, ms = 10_000): Promise<void> {
  const end = Date.now() + ms
  while (!condition()) {
    if (Date.now() > end) throw new Error(`condition did not hold within ${ms} ms: ${condition}`)
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}

/** Returns bytes that depend on their position, so that gaps and swaps are detected. */
export function pattern(length: number, seed = 0): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let index = 0; index < length; index += 1) bytes[index] = (index * 31 + seed) & 0xff
  return bytes
}

/** Bytes that no stream takes at once while its peer does not read: more than the windows of every stack. */
export const STALLING_BYTES = 16 * 1024 * 1024

/** Resolves after `count` iterations of the event loop. */
export async function turns(count = 3): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** Resolves to `waits` if a call is pending after 5 event loop iterations, else to `done` or the error's name. */
export async function outcomeOf(call: Promise<unknown>): Promise<string> {
  const settled = call.then(
    () => 'done',
    (err: Error) => err.name
  )
  return Promise.race([settled, turns(5).then(() => 'waits')])
}
