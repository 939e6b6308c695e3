/** A connection over the scripted addon, without a swarm. */

import { ConnectionCore } from '../../ts/connection/core.ts'
import type { ConnectionHost } from '../../ts/connection/host.ts'
import { NativeFacts, NativeOpener } from '../../ts/connection/native-opener.ts'
import type { Connection } from '../../ts/connection.ts'
import '../../ts/connection.ts'
import { Engine } from '../../ts/native/engine.ts'
import { nullScope } from '../../ts/resource-manager/null.ts'
import { refusalError } from '../../ts/resource-manager/refusal.ts'
import { AbandonedStreams } from '../../ts/stream/abandoned.ts'
import { Deadlines } from '../../ts/stream/deadlines.ts'
import type { Stream } from '../../ts/stream.ts'
import { FakeClock } from './fake-clock.ts'
import { FACTS, type Fake, fakeNative } from './fake-native.ts'
import { aConnection } from './handles.ts'

export const CONNECTION_HANDLE = aConnection(500)

/** A stand-in for a connection's swarm that records what it is notified of. */
export interface FakeHost {
  readonly host: ConnectionHost
  readonly fake: Fake
  readonly engine: Engine
  readonly clock: FakeClock
  /** Notifications, in order. */
  readonly notified: string[]
  /** Errors thrown by listeners. */
  readonly errors: unknown[]
  /** Inbound streams, in the order of their dispatch. */
  readonly inbound: Stream[]
  /** Handlers of the next inbound streams, in order. */
  readonly served: ((stream: Stream) => void)[]
}

export interface FakeConnection extends Omit<FakeHost, 'host'> {
  readonly connection: Connection
  /** Opens a stream; resolves to it and its handle. */
  open(): Promise<{ stream: Stream; handle: number }>
}

export function fakeHost(options: { room?: number } = {}): FakeHost {
  const fake = fakeNative(options)
  const engine = new Engine(fake.native)
  const clock = new FakeClock()
  const notified: string[] = []
  const errors: unknown[] = []
  const inbound: Stream[] = []
  const served: ((stream: Stream) => void)[] = []
  const host: ConnectionHost = {
    get swarm(): never {
      throw new Error('this connection has no swarm')
    },
    engine,
    clock,
    deadlines: new Deadlines(clock, (then) => {
      engine.drain()
      then()
    }),
    // Has its own clock, so that tests do not count its timer.
    abandoned: new AbandonedStreams(new FakeClock(), () => {}),
    notify: (event, { id }) => {
      notified.push(`${event} ${id.replace(/^.*-(\d+-\d+)$/, '$1')}`)
    },
    dispatch: ({ stream }) => {
      inbound.push(stream)
      served.shift()?.(stream)
    },
    choose: () => undefined,
    refusal: () => undefined,
    admission: undefined,
    scopeOf: () => undefined,
    connectionScope: () => nullScope,
    streamScope: () => nullScope,
    setProtocol: () => {},
    setService: () => {},
    limitRefused: () => {},
    endText: () => null,
    takeRefusal: () => fake.node.takeRefusal(),
    refusalError: (refusal, code) => refusalError(refusal, {}, code),
    identified: () => {},
    streamEnded: () => {},
    connectionClosing: () => {},
    connectionEnded: () => notified.push('disconnected'),
    onFailure: (err) => errors.push(err),
    signal: new AbortController().signal
  }
  return { host, fake, engine, clock, notified, errors, inbound, served }
}

export function fakeConnection(
  options: { room?: number; isLimited?: boolean } = {}
): FakeConnection {
  const { host, ...rest } = fakeHost(options)
  const opener = new NativeOpener(CONNECTION_HANDLE, host)
  const carried = {
    failure: undefined,
    isLimited: options.isLimited ?? false,
    addresses: () => ({ remote: FACTS[2], local: FACTS[3] }),
    connectionEnded: () => {}
  }
  const { connection } = new ConnectionCore(opener, new NativeFacts(FACTS, carried), host)
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

/** Resolves once the current tick and its microtasks have run. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
