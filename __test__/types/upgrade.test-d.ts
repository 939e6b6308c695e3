/** Interfaces of upgrades: a swarm and its upgrader implement them, mocks compile, and every kind of duplex is taken. */
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Connection, RawConnection, Stream, Swarm, Upgrader } from '../../ts/index.ts'

declare const swarm: Swarm
declare const connection: Connection
const whole: Upgrader = swarm
const part: Upgrader = swarm.upgrader

const mock: Upgrader = {
  upgradeInbound: async () => connection,
  upgradeOutbound: async () => connection
}

const raw: RawConnection = {
  isInitiator: true,
  localAddr: connection.localAddr,
  remoteAddr: connection.remoteAddr,
  remoteAddress: undefined,
  read: async () => new Uint8Array(0),
  write: async () => {},
  close: async () => {}
}

declare const duplexes: readonly [
  Duplex,
  Socket,
  Stream,
  { readable: ReadableStream<Uint8Array>; writable: WritableStream<Uint8Array> }
]
const upgraded: Promise<Connection>[] = [raw, ...duplexes].map((duplex) =>
  swarm.upgradeOutbound(duplex, connection.remotePeer, { addr: '/memory/1', timeout: 1_000 })
)
// @ts-expect-error a readable half alone is refused
swarm.upgradeInbound(new ReadableStream<Uint8Array>())
// @ts-expect-error unknown options are refused
swarm.upgradeInbound(raw, undefined, { peer: connection.remotePeer })

export const used: unknown[] = [whole, part, mock, upgraded]
