/** A swarm with many peers, over connections in memory, whose clock the test moves. */
import type { ExecutionContext } from 'ava'
import type { ConnectionConfig } from '../../ts/connection/config.ts'
import type { ConnectionDirection } from '../../ts/connection/facts.ts'
import type { Connection } from '../../ts/connection.ts'
import type { SwarmOptions } from '../../ts/swarm/options.ts'
import type { Swarm } from '../../ts/swarm.ts'
import { FakeClock } from './fake-clock.ts'
import { type MemoryConn, memoryConns } from './memory-muxer.ts'
import { createNode } from './pair.ts'
import { peerOf } from './peers.ts'

/** A peer of a {@link Crowd}. */
export interface Member {
  readonly peer: string
  readonly connection: Connection
  /** The remote's end. */
  readonly far: MemoryConn
}

/** What a member is: one inbound connection without streams by default. */
export interface MemberOptions {
  readonly direction?: ConnectionDirection
  readonly streams?: number
  readonly address?: string
  readonly peer?: string
}

export class Crowd {
  readonly swarm: Swarm
  readonly clock: FakeClock
  #members = 0

  constructor(swarm: Swarm, clock: FakeClock) {
    this.swarm = swarm
    this.clock = clock
  }

  /** Connects a peer that no member is yet. */
  async join(options: MemberOptions = {}): Promise<Member> {
    const { direction = 'inbound', streams = 0, address, peer = peerOf(this.#members) } = options
    this.#members += 1
    const { near, far } = memoryConns(peer)
    const connection = this.swarm.addConnection(near, direction, {
      ...(address === undefined ? {} : { remoteAddr: address })
    })
    for (let count = 0; count < streams; count += 1) await connection.newStream()
    return { peer, connection, far }
  }

  /** Connects `count` peers. */
  joinAll(count: number, options?: MemberOptions): Promise<Member[]> {
    return Promise.all(Array.from({ length: count }, () => this.join(options)))
  }
}

/** Creates a swarm on a clock of its own, without limits other than `connections`. */
export async function createCrowd(
  t: ExecutionContext,
  connections: ConnectionConfig = {},
  options: SwarmOptions = {}
): Promise<Crowd> {
  const clock = new FakeClock()
  const swarm = await createNode(t, {
    clock,
    limits: 'unlimited',
    random: () => 0.5,
    connections: { max: 100_000, ...connections },
    ...options
  })
  return new Crowd(swarm, clock)
}

/** Returns the members whose connections are open. */
export function open(members: readonly Member[]): Member[] {
  return members.filter(({ connection }) => !connection.isClosed)
}
