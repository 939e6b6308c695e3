/** A node under attack, with a bystander whose connection has to go on as if nothing were. */
import type { ExecutionContext } from 'ava'
import type { Connection } from '../../ts/connection.ts'
import type { Limits } from '../../ts/constants.ts'
import type { Swarm } from '../../ts/swarm.ts'
import { createPair, pattern } from './pair.ts'

/** A protocol whose streams the node echoes. */
export const ECHO_PROTOCOL = '/ferroswarm/test/echo/1.0.0'

/** A protocol whose streams the node takes and leaves alone. */
export const UNREAD_PROTOCOL = '/ferroswarm/test/unread/1.0.0'

export interface Stand {
  readonly node: Swarm
  readonly port: number
  /** Connections that are not the bystander's, open or ended, in the order of their `connected`. */
  readonly strangers: readonly Connection[]
  /** Streams of {@link UNREAD_PROTOCOL} that the node was given. */
  readonly taken: { count: number }
  /** A round trip of the bystander's on a fresh stream; fails the test if it does not come back. */
  echo(): Promise<void>
  /** The node's end of the next stranger's connection. */
  stranger(): Promise<Connection>
}

export async function createStand(
  t: ExecutionContext,
  limits: Partial<Limits> = {}
): Promise<Stand> {
  // A long deadline, so that whoever is put out early is put out for what it did.
  const pair = await createPair(t, {
    listener: { limits: { upgradeTimeoutMs: 60_000, ...limits } }
  })
  const node = pair.listener
  const strangers: Connection[] = []
  const waiting: ((connection: Connection) => void)[] = []
  let met = 0
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
      const known = strangers[met]
      met += 1
      if (known !== undefined) return Promise.resolve(known)
      return new Promise((resolve) => waiting.push(resolve))
    }
  }
  await stand.echo()
  return stand
}

function portOf(swarm: Swarm): number {
  return Number(`${swarm.getListenAddrs()[0]}`.split('/').at(-1))
}
