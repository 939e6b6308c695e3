/** What the nodes of the soak test do. */
import type { Connection } from '../../ts/connection.ts'
import { bumpSumBounded, decayLinear } from '../../ts/index.ts'
import type { Stream } from '../../ts/stream.ts'
import type { Random } from '../support/random.ts'
import { ECHO, type SoakNode } from './node.ts'

/** How often each operation was done, and how often it was refused. */
export type Counts = Record<string, { done: number; refused: number }>

type Operation = (context: {
  readonly node: SoakNode
  readonly other: SoakNode
  readonly random: Random
}) => Promise<unknown> | unknown

/** Tags of the process so far: their names must differ. */
let decayingTags = 0

const NETWORKS = ['127.0.0.0/8', '192.0.2.0/24']

/** Operations with their weights. */
const OPERATIONS: Readonly<Record<string, readonly [weight: number, run: Operation]>> = {
  dial: [20, ({ node, other }) => node.swarm.dialPeer(other.swarm.peerId, addressesOf(other))],
  dialAddr: [
    5,
    ({ node, other }) => {
      const [address] = other.swarm.getListenAddrs()
      return address === undefined ? undefined : node.swarm.dialAddr(address, { timeout: 2_000 })
    }
  ],
  giveUp: [
    3,
    ({ node, other, random }) =>
      node.swarm.dialPeer(other.swarm.peerId, {
        ...addressesOf(other),
        signal: AbortSignal.timeout(random(10))
      })
  ],
  echo: [
    30,
    async ({ node, other, random }) => {
      const stream = await node.swarm.newStream(other.swarm.peerId, ECHO, addressesOf(other))
      await echo(stream, random(200_000))
    }
  ],
  reset: [
    5,
    async ({ node, other }) => {
      const stream = await node.swarm.newStream(other.swarm.peerId, ECHO, addressesOf(other))
      await stream.reset(7)
    }
  ],
  close: [8, ({ node, random }) => pick(node, random)?.close()],
  closeWithError: [3, ({ node, random }) => pick(node, random)?.closeWithError(random(100))],
  closePeer: [3, ({ node, other }) => node.swarm.closePeer(other.swarm.peerId)],
  tag: [
    10,
    ({ node, other, random }) =>
      node.swarm.tagPeer(other.swarm.peerId, `tag ${random(5)}`, random(100) - 50)
  ],
  keepAlive: [2, ({ node, other }) => node.swarm.tagPeer(other.swarm.peerId, 'keep-alive', 10)],
  untag: [
    8,
    ({ node, other, random }) =>
      node.swarm.untagPeer(other.swarm.peerId, random(2) === 0 ? 'keep-alive' : 'tag 1')
  ],
  bump: [
    5,
    ({ node, other }) => {
      decayingTags += 1
      const tag = node.swarm.tagStore.registerDecayingTag(`decaying ${decayingTags}`, {
        interval: 100,
        decay: decayLinear(0.5),
        bump: bumpSumBounded(0, 100)
      })
      tag.bump(other.swarm.peerId, 50)
      setTimeout(() => tag.close(), 200).unref()
    }
  ],
  protect: [3, ({ node, other }) => node.swarm.protect(other.swarm.peerId, 'soak')],
  unprotect: [3, ({ node, other }) => node.swarm.unprotect(other.swarm.peerId, 'soak')],
  trim: [2, ({ node, random }) => node.swarm.connectionPruner.trim({ force: random(4) === 0 })],
  deny: [
    2,
    ({ node, random }) => node.swarm.connectionGate.deny(NETWORKS, { closeOpen: random(2) === 0 })
  ],
  allowAgain: [5, ({ node }) => node.swarm.connectionGate.removeDenied(NETWORKS)],
  points: [
    2,
    ({ node, random }) => node.swarm.inboundRateLimiter.consume('127.0.0.1', 1 + random(50))
  ],
  remember: [
    5,
    ({ node, other, random }) =>
      node.swarm.peerstore.put(other.swarm.peerId, `key ${random(5)}`, Buffer.alloc(random(2_000)))
  ],
  clear: [2, ({ node }) => node.swarm.autoConnector.clearAllCooldowns()],
  restart: [1, ({ node, random }) => node.restart(random)]
}

const WEIGHED = Object.entries(OPERATIONS).flatMap(([name, [weight, run]]) =>
  Array<readonly [string, Operation]>(weight).fill([name, run])
)

/** Does a random operation. What a swarm refuses is counted; anything else is thrown. */
export async function act(
  nodes: readonly SoakNode[],
  random: Random,
  counts: Counts
): Promise<void> {
  const node = nodes[random(nodes.length)]
  const other = nodes.filter((each) => each !== node)[random(nodes.length - 1)]
  const [name, run] = WEIGHED[random(WEIGHED.length)] ?? []
  if (node === undefined || other === undefined || name === undefined || run === undefined) return
  counts[name] ??= { done: 0, refused: 0 }
  const count = counts[name]
  try {
    await run({ node, other, random })
    count.done += 1
  } catch (err) {
    // Whatever a swarm refuses, it refuses by an error of its own. A restart of either node is a refusal too.
    const { kind, code } = err as { kind?: unknown; code?: unknown }
    if (kind === undefined || (kind === 'misuse' && code !== 'ERR_STATE')) throw err
    count.refused += 1
  }
}

function addressesOf({ swarm }: SoakNode) {
  return { addresses: swarm.getListenAddrs(), timeout: 2_000 }
}

function pick({ swarm }: SoakNode, random: Random): Connection | undefined {
  const connections = swarm.getConnections()
  return connections[random(connections.length)]
}

/** Sends bytes and receives them again. */
async function echo(stream: Stream, length: number): Promise<void> {
  try {
    const sending = async (): Promise<void> => {
      await stream.write(Buffer.alloc(length, length % 251))
      await stream.closeWrite()
    }
    let received = 0
    const receiving = async (): Promise<void> => {
      for await (const bytes of stream) received += bytes.length
    }
    await Promise.all([sending(), receiving()])
    // The close of its connection by this side ends the loop as well.
    if (stream.error !== undefined) throw stream.error
    if (received !== length) throw new TypeError(`sent ${length} bytes, received ${received}`)
    await stream.close()
  } catch (err) {
    await stream.reset()
    throw err
  }
}
