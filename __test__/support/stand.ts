/** A node under attack, with a bystander whose connection must be unaffected. */
import type { ExecutionContext } from 'ava'
import type { Connection } from '../../ts/connection.ts'
import type { SwarmOptions } from '../../ts/swarm/options.ts'
import type { Swarm } from '../../ts/swarm.ts'
import { portOf } from './echo.ts'
import { createPair, pattern } from './pair.ts'

/** A protocol whose streams the node echoes. */
export const ECHO_PROTOCOL = '/ferroswarm/test/echo/1.0.0'

/** A protocol whose streams the node accepts and never reads. */
export const UNREAD_PROTOCOL = '/ferroswarm/test/unread/1.0.0'

export interface Stand {
  readonly node: Swarm
  readonly port: number
  /** Connections other than the bystander's, open or closed, in the order of their `connected` events. */
  readonly strangers: readonly Connection[]
  /** Number of streams of {@link UNREAD_PROTOCOL} that the node has accepted. */
  readonly taken: { count: number }
  /** Makes a round trip of the bystander's on a new stream; fails the test if no echo arrives. */
  echo(): Promise<void>
  /** Resolves to the node's end of the next stranger's connection. */
  stranger(): Promise<Connection>
}

/** Options of the node. */
export type StandOptions = Pick<SwarmOptions, 'connections' | 'limits'> & {
  /** Where it listens; TCP if left out. */
  readonly listen?: string
}

export async function createStand(
  t: ExecutionContext,
  { listen = '/ip4/127.0.0.1/tcp/0', ...options }: StandOptions = {}
): Promise<Stand> {
  // A long deadline, so that an early disconnect is due to the misbehaviour.
  const pair = await createPair(t, {
    listen,
    listener: {
      ...options,
      connections: { inboundUpgradeTimeout: 60_000, ...options.connections }
    }
  })
  const node = pair.listener
  const strangers: Connection[] = []
  const waiting: ((connection: Connection) => void)[] = []
  let handedOut = 0
  node.addEventListener('connected', ({ detail }) => {
    strangers.push(detail)
    waiting.shift()?.(detail)
  })
  const taken = { count: 0 }
  node.handle(UNREAD_PROTOCOL, () => {
    taken.count += 1
  })
  node.handle(ECHO_PROTOCOL, async (stream) => {
    for await (const bytes of stream) await stream.write(bytes)
    await stream.close()
  })
  const stand: Stand = {
    node,
    port: portOf(node),
    strangers,
    taken,
    async echo() {
      const signal = AbortSignal.timeout(15_000)
      const stream = await pair.outbound.newStream(ECHO_PROTOCOL)
      await stream.write(pattern(1_024), { signal })
      await stream.closeWrite({ signal })
      t.deepEqual(new Uint8Array(await stream.read({ signal })), pattern(1_024))
    },
    stranger() {
      const known = strangers[handedOut]
      handedOut += 1
      if (known !== undefined) return Promise.resolve(known)
      return new Promise((resolve) => waiting.push(resolve))
    }
  }
  await stand.echo()
  return stand
}
