/** A connection over the scripted addon, without a swarm around it. */

import { ConnectionCore } from '../../ts/connection/core.ts'
import type { ConnectionHost } from '../../ts/connection/host.ts'
import { NativeFacts, NativeOpener } from '../../ts/connection/native-opener.ts'
import type { Connection } from '../../ts/connection.ts'
import '../../ts/connection.ts'
import { DEFAULT_LIMITS } from '../../ts/constants.ts'
import { Engine } from '../../ts/native/engine.ts'
import { AbandonedStreams } from '../../ts/stream/abandoned.ts'
import { Deadlines } from '../../ts/stream/deadlines.ts'
import type { Stream } from '../../ts/stream.ts'
import { FakeClock } from './fake-clock.ts'
import { FACTS, type Fake, fakeNative } from './fake-native.ts'
import { aConnection } from './handles.ts'

export const CONNECTION_HANDLE = aConnection(500)

/** The swarm of a connection, played by lists of what it was notified of. */
export interface FakeHost {
  readonly host: ConnectionHost
  readonly fake: Fake
  readonly engine: Engine
  readonly clock: FakeClock
  /** What notifiees were told, in order. */
  readonly told: string[]
  /** Errors that listeners caused. */
  readonly errors: unknown[]
  /** Inbound streams as they were handed out. */
  readonly inbound: Stream[]
  /** What becomes of the next inbound streams, in their order. */
  readonly served: ((stream: Stream) => void)[]
}

export interface FakeConnection extends Omit<FakeHost, 'host'> {
  readonly connection: Connection
  /** An open stream and its handle. */
  open(): Promise<{ stream: Stream; handle: number }>
}

export function fakeHost(options: { room?: number } = {}): FakeHost {
  const fake = fakeNative(options)
  const engine = new Engine(fake.native)
  const clock = new FakeClock()
  const told: string[] = []
  const errors: unknown[] = []
  const inbound: Stream[] = []
  const served: ((stream: Stream) => void)[] = []
  const host: ConnectionHost = {
    get swarm(): never {
      throw new Error('there is no swarm around this connection')
    },
    engine,
    clock,
    deadlines: new Deadlines(clock, (then) => {
      engine.drain()
      then()
    }),
    // Its timer is none of those that tests count.
    abandoned: new AbandonedStreams(new FakeClock(), () => {}),
    notify: (event, { id }) => {
      told.push(`${event} ${id.replace(/^.*-(\d+-\d+)$/, '$1')}`)
    },
    dispatch: ({ stream }) => {
      inbound.push(stream)
      served.shift()?.(stream)
    },
    choose: () => undefined,
    refusal: () => undefined,
    limits: DEFAULT_LIMITS,
    connectionClosing: () => {},
    connectionEnded: () => told.push('disconnected'),
    onFailure: (err) => errors.push(err),
    signal: new AbortController().signal
  }
  return { host, fake, engine, clock, told, errors, inbound, served }
}

export function fakeConnection(options: { room?: number } = {}): FakeConnection {
  const { host, ...rest } = fakeHost(options)
  const { engine } = rest
  const opener = new NativeOpener(CONNECTION_HANDLE, { engine, limits: DEFAULT_LIMITS })
  const { connection } = new ConnectionCore(opener, new NativeFacts(FACTS), host)
  let handle = 0
  return {
    ...rest,
    connection,
    async open() {
      const stream = await connection.newStream('/test/1.0.0')
      handle += 1
      return { stream, handle }
    }
  }
}

/** Let the end of the tick and what follows from it happen. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
