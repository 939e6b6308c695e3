import test from 'ava'
import { UINT32_MAX } from '../../ts/base/arguments.ts'
import { StreamErrorCode } from '../../ts/constants.ts'
import { Failures } from '../../ts/diagnostics/failures.ts'
import { Log } from '../../ts/diagnostics/log.ts'
import {
  AbortError,
  InvalidParametersError,
  MessageTooLargeError,
  RateLimitError,
  ResourceLimitExceededError,
  StreamEOFError,
  StreamResetError
} from '../../ts/errors.ts'
import { Engine } from '../../ts/native/engine.ts'
import { DIALLED_NAMES_KEPT } from '../../ts/native/protocol-names.ts'
import { PREDICATES_FROM } from '../../ts/native/record.ts'
import { Registrar, type RegistrarHost } from '../../ts/negotiation/registrar.ts'
import type { StreamCore } from '../../ts/stream/core.ts'
import { fakeNative } from '../support/fake-native.ts'

function setUp() {
  const fake = fakeNative()
  const engine = new Engine(fake.native)
  const tables: { protocol: number; inboundMax: number; service: number }[][] = []
  const queries: boolean[] = []
  const raw: boolean[] = []
  const logged: unknown[] = []
  const node = {
    setHandlers: (
      entries: { protocol: number; inboundMax: number; service: number }[],
      query: boolean
    ) => {
      tables.push(entries)
      queries.push(query)
    },
    setRaw: (on: boolean) => raw.push(on)
  }
  const log = (...line: unknown[]): unknown => logged.push(line)
  const registrar = new Registrar(new Failures(new Log({ error: log }, '')))
  const closing = new AbortController()
  const host: RegistrarHost = {
    engine,
    node,
    signal: closing.signal,
    offersChanged: () => {},
    options: { limits: { connection: { streamsInbound: 1_000 } } }
  }
  return {
    registrar,
    host,
    engine,
    tables,
    queries,
    raw,
    logged,
    closing,
    fake
  }
}

interface Reset {
  readonly code: number
  readonly cause: Error | undefined
}

function fakeStream(): { core: StreamCore; resets: Reset[] } {
  const resets: Reset[] = []
  const core = {
    protocol: '/a',
    stream: {},
    reset: async (code: number, cause: Error | undefined) => resets.push({ code, cause })
  }
  return { core: core as unknown as StreamCore, resets }
}

test('passes the whole table in order, on attach and on every change', (t) => {
  const { registrar, host, engine, tables } = setUp()
  registrar.handle(['/a', '/b'], () => {})
  t.is(tables.length, 0)
  registrar.attach(host)
  registrar.handle('/c', () => {}, { maxInbound: 3 })
  registrar.unhandle('/a')
  const [a, b, c] = ['/a', '/b', '/c'].map((name) => engine.protocols.id(name))
  t.deepEqual(
    tables.map((table) => table.map(({ protocol }) => protocol)),
    [
      [a, b],
      [a, b, c],
      [b, c]
    ] as number[][]
  )
  t.is(tables[1]?.[2]?.inboundMax, 3)
  t.is(tables[1]?.[0]?.inboundMax, UINT32_MAX)
  t.deepEqual(registrar.protocols(), ['/b', '/c'])
})

test('dispatches a stream to the handler of its protocol, and raw streams to the raw handler', (t) => {
  const { registrar, host, engine, raw } = setUp()
  registrar.attach(host)
  const handled: string[] = []
  registrar.handle('/a', () => void handled.push('a'))
  registrar.setRaw(() => void handled.push('raw'))
  registrar.dispatch(fakeStream().core, undefined as never, engine.protocols.id('/a'))
  registrar.dispatch(fakeStream().core, undefined as never, 0)
  registrar.setRaw(null)
  t.deepEqual(handled, ['a', 'raw'])
  t.deepEqual(raw, [true, false])
})

test('a handler that throws or rejects resets its own stream and nothing else', async (t) => {
  const { registrar, host, engine, logged } = setUp()
  registrar.attach(host)
  registrar.handle('/throws', () => {
    throw new Error('thrown')
  })
  registrar.handle('/rejects', () => Promise.reject('rejected'))
  const thrown = fakeStream()
  const rejected = fakeStream()
  registrar.dispatch(thrown.core, undefined as never, engine.protocols.id('/throws'))
  registrar.dispatch(rejected.core, undefined as never, engine.protocols.id('/rejects'))
  await new Promise(setImmediate)
  t.is(thrown.resets[0]?.cause?.message, 'thrown')
  t.is(rejected.resets[0]?.cause?.message, 'rejected')
  t.is(thrown.resets[0]?.code, StreamErrorCode.ProtocolViolation)
  t.is(logged.length, 2)
})

test('resets a stream whose handler was removed', (t) => {
  const { registrar, host, engine } = setUp()
  registrar.attach(host)
  registrar.handle('/a', () => {})
  registrar.unhandle('/a')
  const { core, resets } = fakeStream()
  registrar.dispatch(core, undefined as never, engine.protocols.id('/a'))
  t.deepEqual(resets, [{ code: 0x1001, cause: undefined }])
})

test('refuses invalid names and limits', (t) => {
  const { registrar } = setUp()
  for (const name of ['', 'a\nb', 'na', 'ls', '/multistream/1.0.0', 'x'.repeat(1_024)]) {
    t.throws(() => registrar.handle(name, () => {}), { instanceOf: InvalidParametersError })
  }
  t.throws(() => registrar.handle('/a', undefined as never), { instanceOf: InvalidParametersError })
  for (const options of [{ maxInbound: 0 }, { maxOutbound: 0 }, { maxOutbound: 1.5 }]) {
    t.throws(() => registrar.handle('/a', () => {}, options), {
      instanceOf: InvalidParametersError
    })
  }
  t.throws(
    () =>
      registrar.handle(
        () => true,
        () => {},
        { maxOutbound: 1 }
      ),
    { instanceOf: InvalidParametersError }
  )
  t.deepEqual(registrar.protocols(), [])
})

// M7
test('handling a protocol again replaces its handler and moves it to the end', (t) => {
  const { registrar, host } = setUp()
  registrar.attach(host)
  registrar.handle(['/a', '/b'], () => {})
  registrar.handle('/a', () => {})
  t.deepEqual(registrar.protocols(), ['/b', '/a'])
})

// go 164
test('enables native protocol queries only while there are predicates, and does not list these', (t) => {
  const { registrar, host, queries, tables } = setUp()
  const predicate = (): boolean => true
  registrar.handle(predicate, () => {})
  registrar.attach(host)
  registrar.handle('/a', () => {})
  registrar.unhandle(predicate)
  t.deepEqual(queries, [true, true, false])
  t.deepEqual(
    tables.map(({ length }) => length),
    [0, 1, 1]
  )
  t.deepEqual(registrar.protocols(), ['/a'])
})

// go 164
test('selects the first predicate that holds, in order of registration, with its own bound', (t) => {
  const { registrar, host } = setUp()
  registrar.attach(host)
  const handled: string[] = []
  const first = (protocol: string): boolean => protocol.startsWith('/a')
  const second = (protocol: string): boolean => protocol.startsWith('/')
  registrar.handle(first, () => void handled.push('first'), { maxInbound: 2 })
  registrar.handle(second, () => void handled.push('second'))
  const serve = (protocol: string): number | undefined => {
    const served = registrar.choose(protocol)
    registrar.dispatch(fakeStream().core, undefined as never, served?.protocol ?? 0)
    return served?.inboundMax
  }
  t.is(serve('/a/1'), 2)
  t.is(serve('/b/1'), UINT32_MAX)
  t.is(registrar.choose('c'), undefined)
  registrar.handle(first, () => void handled.push('first again'))
  t.is(serve('/a/1'), UINT32_MAX)
  registrar.unhandle(second)
  t.is(serve('/a/1'), UINT32_MAX)
  t.deepEqual(handled, ['first', 'second', 'second', 'first again'])
})

test('a predicate that throws or returns a promise does not hold, and is reported', (t) => {
  const { registrar, host, logged } = setUp()
  registrar.attach(host)
  const broken = new Error('broken')
  registrar.handle(
    () => {
      throw broken
    },
    () => {}
  )
  registrar.handle((async () => true) as unknown as () => boolean, () => {})
  registrar.handle(
    () => true,
    () => {}
  )
  const { protocol } = registrar.choose('/a\u0000') ?? {}
  t.is(protocol, PREDICATES_FROM + 2)
  const [thrown, promised] = logged as [string, unknown][]
  t.deepEqual(thrown, ['a predicate failed at "/a\\u0000"', broken])
  t.true(promised?.[1] instanceof InvalidParametersError)
})

test('resets a stream whose predicate was removed', (t) => {
  const { registrar, host } = setUp()
  registrar.attach(host)
  const predicate = (): boolean => true
  registrar.handle(predicate, () => {})
  const served = registrar.choose('/a')
  registrar.unhandle(predicate)
  const { core, resets } = fakeStream()
  registrar.dispatch(core, undefined as never, served?.protocol ?? 0)
  t.deepEqual(resets, [{ code: 0x1001, cause: undefined }])
})

test('a failed handler resets with the code of its error, and with Shutdown during close', async (t) => {
  const { registrar, host, engine, logged, closing } = setUp()
  registrar.attach(host)
  let thrown: unknown = new Error()
  registrar.handle('/a', async () => {
    await Promise.resolve()
    throw thrown
  })
  const codeOf = async (err: unknown): Promise<number | undefined> => {
    thrown = err
    const { core, resets } = fakeStream()
    registrar.dispatch(core, undefined as never, engine.protocols.id('/a'))
    await new Promise(setImmediate)
    return resets[0]?.code
  }
  t.is(await codeOf(new TypeError('of the application')), StreamErrorCode.ProtocolViolation)
  t.is(await codeOf(new MessageTooLargeError()), StreamErrorCode.ProtocolViolation)
  t.is(await codeOf(new ResourceLimitExceededError()), StreamErrorCode.ResourceLimitExceeded)
  t.is(await codeOf(new RateLimitError()), StreamErrorCode.RateLimited)
  t.is(logged.length, 4)
  // What has no text.
  t.is(await codeOf(Object.create(null)), StreamErrorCode.ProtocolViolation)
  t.is(logged.length, 5)
  // Ends that any stream can have are not failures of the handler.
  t.is(await codeOf(new StreamEOFError()), StreamErrorCode.NoError)
  await codeOf(new StreamResetError())
  t.is(logged.length, 5)
  const late = codeOf(new AbortError())
  closing.abort()
  t.is(await late, StreamErrorCode.Shutdown)
  t.is(logged.length, 5)
})

test('serves no stream that arrives while the swarm closes, and waits for pending handlers', async (t) => {
  const { registrar, host, engine, closing } = setUp()
  registrar.attach(host)
  const { promise, resolve } = Promise.withResolvers<void>()
  const contexts: unknown[] = []
  registrar.handle('/a', (_stream, _connection, context) => {
    contexts.push(context)
    return promise
  })
  const id = engine.protocols.id('/a')
  await registrar.idle()
  registrar.dispatch(fakeStream().core, undefined as never, id)
  t.deepEqual(contexts, [{ signal: closing.signal }])
  closing.abort()
  const { core, resets } = fakeStream()
  registrar.dispatch(core, undefined as never, id)
  t.deepEqual(resets, [{ code: StreamErrorCode.Shutdown, cause: undefined }])
  let isIdle = false
  const idle = registrar.idle().then(() => {
    isIdle = true
  })
  await new Promise(setImmediate)
  t.false(isIdle)
  resolve()
  await idle
})

test('dialled names are evicted after many others, served names are not', (t) => {
  const { registrar, host, engine, fake } = setUp()
  registrar.attach(host)
  registrar.handle('/served', () => {})
  const served = engine.protocols.id('/served')
  for (let index = 0; index < 4 * DIALLED_NAMES_KEPT; index += 1) {
    engine.protocols.proposals(`/dialled/${index}`)
  }
  const evicted = fake.calls.filter((call) => call.startsWith('forget '))
  t.is(evicted[0], 'forget /dialled/0')
  t.true(evicted.length > DIALLED_NAMES_KEPT)
  t.false(evicted.includes('forget /served'))
  t.is(engine.protocols.id('/served'), served)
  registrar.unhandle('/served')
  for (let index = 0; index < 2 * DIALLED_NAMES_KEPT + 2; index += 1) {
    engine.protocols.proposals(`/later/${index}`)
  }
  t.true(fake.calls.includes('forget /served'))
})
