/** Predicate handlers on live connections, and other outcomes of negotiation. */
import test from 'ava'
import { StreamErrorCode } from '../../ts/constants.ts'
import {
  MultiselectError,
  ResourceLimitExceededError,
  StreamEOFError,
  StreamError,
  StreamResetError,
  UnsupportedProtocolError
} from '../../ts/errors.ts'
import type { StreamHandler } from '../../ts/negotiation/handler.ts'
import { Multiselect } from '../../ts/negotiation/multiselect.ts'
import { MultiselectClient } from '../../ts/negotiation/multiselect-client.ts'
import { MultiselectCommunicator } from '../../ts/negotiation/multiselect-communicator.ts'
import type { Stream } from '../../ts/stream.ts'
import { createPair, until } from '../support/pair.ts'

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString()

/** Answers with the protocol and the bytes read, and closes. */
async function report(stream: Stream): Promise<void> {
  const bytes = await stream.read()
  await stream.write(Buffer.from(`${stream.protocol} ${text(bytes)}`))
  await stream.close()
}

/** Sends, ends, and reads everything. */
async function exchange(stream: Stream, bytes: string): Promise<string> {
  await stream.write(Buffer.from(bytes))
  await stream.closeWrite()
  return text(await stream.read())
}

// go 164
test('a predicate serves protocols without a named handler, lazily and by choice, early bytes included', async (t) => {
  const { listener, outbound } = await createPair(t)
  listener.handle((protocol) => protocol.startsWith('/versioned/'), report)
  const lazy = await outbound.newStream('/versioned/7')
  t.is(await exchange(lazy, 'early'), '/versioned/7 early')
  const chosen = await outbound.newStream(['/unknown/1', '/versioned/8', '/versioned/9'])
  t.is(chosen.protocol, '/versioned/8')
  t.is(await exchange(chosen, 'after'), '/versioned/8 after')
})

// go 164
test('names win over predicates, predicates are called in order, and each can be removed', async (t) => {
  const { listener, outbound } = await createPair(t)
  const calls: string[] = []
  const answer = (word: string) => async (stream: Stream) => {
    await stream.write(Buffer.from(word))
    await stream.close()
  }
  const first = (protocol: string): boolean => {
    calls.push(protocol)
    return protocol.startsWith('/a')
  }
  listener.handle(first, answer('first'))
  listener.handle(() => true, answer('second'))
  listener.handle('/a/named', answer('name'))
  const reply = async (protocol: string): Promise<string> =>
    text(await (await outbound.newStream(protocol)).read())
  t.deepEqual(
    [await reply('/a/named'), await reply('/a/1'), await reply('/b')],
    ['name', 'first', 'second']
  )
  t.deepEqual(calls, ['/a/1', '/b'])
  listener.unhandle(first)
  t.is(await reply('/a/1'), 'second')
  t.deepEqual(
    listener.getProtocols().filter((name) => name.startsWith('/a')),
    ['/a/named']
  )
})

// M2, A019
test('a protocol that no predicate accepts is refused, and no stream or count remains', async (t) => {
  const { dialer, listener, outbound, inbound } = await createPair(t)
  listener.handle(
    () => false,
    () => t.fail('no stream is served')
  )
  const lazy = await outbound.newStream('/nobody/1')
  await lazy.write(new Uint8Array(1024))
  await t.throwsAsync(lazy.read(), { instanceOf: StreamError, code: 'ERR_UNSUPPORTED_PROTOCOL' })
  t.true(lazy.error instanceof UnsupportedProtocolError)
  const choice = ['/nobody/2', '/nobody/3']
  const error = await t.throwsAsync(outbound.newStream(choice), {
    instanceOf: UnsupportedProtocolError
  })
  t.deepEqual(error?.protocols, choice)
  await until(() => {
    const { streamsOpened, streamsClosed } = dialer.counters()
    return streamsOpened === streamsClosed
  })
  t.is(inbound.streams.length, 0)
  t.is(outbound.streams.length, 0)
})

test('a predicate that throws counts as false, is reported, and does not block other handlers', async (t) => {
  const reported: unknown[][] = []
  const quiet = (): void => {}
  const logger = {
    debug: quiet,
    info: quiet,
    warn: quiet,
    error: (...args: unknown[]) => void reported.push(args)
  }
  const { listener, outbound } = await createPair(t, { listener: { logger } })
  const broken = new Error('broken')
  listener.handle(
    () => {
      throw broken
    },
    () => t.fail('no stream is served')
  )
  listener.handle((protocol) => protocol === '/good', report)
  t.is(await exchange(await outbound.newStream('/good'), 'x'), '/good x')
  const bad = await outbound.newStream('/bad')
  await t.throwsAsync(bad.read(), { code: 'ERR_UNSUPPORTED_PROTOCOL' })
  t.deepEqual(
    reported.map(([message, err]) => [message, err]),
    [
      ['a predicate failed at "/good"', broken],
      ['a predicate failed at "/bad"', broken]
    ]
  )
})

test('maxInbound of a predicate bounds its streams over all its protocols', async (t) => {
  const { listener, outbound } = await createPair(t)
  const taken: Stream[] = []
  listener.handle(
    () => true,
    (stream) => void taken.push(stream),
    { maxInbound: 1 }
  )
  const first = await outbound.newStream('/one')
  await until(() => taken.length === 1)
  const second = await outbound.newStream('/two')
  const error = await t.throwsAsync(second.read(), { instanceOf: StreamResetError })
  t.is(error?.errorCode, StreamErrorCode.ResourceLimitExceeded)
  await first.reset()
  await until(() => taken[0]?.state === 6)
  await outbound.newStream('/three')
  await until(() => taken.length === 2)
  t.is(taken[1]?.protocol, '/three')
})

test('a handler that rejects resets the stream of its predicate and no other', async (t) => {
  const { listener, outbound, openStreams } = await createPair(t)
  listener.handle(
    () => true,
    async () => {
      throw new Error('not today')
    }
  )
  const { near, far } = await openStreams()
  const failed = await outbound.newStream('/anything')
  await t.throwsAsync(failed.read(), { instanceOf: StreamResetError })
  await near.write(Buffer.from('still here'))
  t.is(text(await far.read(10)), 'still here')
})

// A018, go 166
test('a remote that ends mid-negotiation causes a typed error', async (t) => {
  const { dialer, listener, outbound } = await createPair(t)
  // The listener negotiates by itself: it ends after its header.
  listener.setStreamHandler(async (stream) => {
    await stream.write(Buffer.from('\x13/multistream/1.0.0\n'))
    await stream.closeWrite()
  })
  await t.throwsAsync(outbound.newStream(['/a', '/b']), {
    instanceOf: MultiselectError,
    code: 'ERR_MULTISELECT'
  })
  const lazy = await outbound.newStream('/a')
  await t.throwsAsync(lazy.read(), { instanceOf: StreamError, code: 'ERR_MULTISELECT' })
  t.true(lazy.error instanceof MultiselectError)
  t.is(lazy.state, 7)
  listener.setStreamHandler(null)
  t.is(dialer.getTotalConnections(), 1)
})

// go 164, go 166
test('a lazy stream that is closed at once is still negotiated', async (t) => {
  const { listener, outbound } = await createPair(t)
  const served: [string | undefined, string][] = []
  listener.handle('/lazy', async (stream) => {
    const bytes = await stream.read().catch((err: unknown) => {
      t.true(err instanceof StreamEOFError)
      return new Uint8Array()
    })
    served.push([stream.protocol, text(bytes)])
  })
  const silent = await outbound.newStream('/lazy')
  await silent.close()
  const brief = await outbound.newStream('/lazy')
  await brief.write(Buffer.from('message'))
  await brief.close()
  await until(() => served.length === 2)
  t.deepEqual(served.toSorted(), [
    ['/lazy', ''],
    ['/lazy', 'message']
  ])
})

// M9
test('the negotiation timeout is an option of the dialer and an option of newStream', async (t) => {
  const { listener, outbound, dialer } = await createPair(t, {
    dialer: { connections: { streamNegotiationTimeout: 50 } }
  })
  listener.setStreamHandler(() => {})
  await t.throwsAsync(outbound.newStream(['/a', '/b']), { code: 'ERR_TIMEOUT' })
  t.is(dialer.connectionConfig.streamNegotiationTimeout, 50)
  await t.throwsAsync(outbound.newStream(['/a', '/b'], { negotiationTimeout: 5 }), {
    code: 'ERR_TIMEOUT'
  })
})

// M1, M4, M8
test('the live table answers MultiselectClient on a raw stream: ls, refusals, an agreement, another version', async (t) => {
  const { listener, outbound } = await createPair(t)
  listener.handle(['/b', `/long/${'x'.repeat(500)}`, '/a'], report)
  listener.handle((protocol) => protocol.startsWith('/any/'), report)
  const client = new MultiselectClient()
  const raw = await outbound.newStream()
  const communicator = new MultiselectCommunicator(raw)
  t.deepEqual(await client.queryMultistreamCommand(communicator), listener.getProtocols())
  await t.throwsAsync(client.trySelect(communicator, '/nobody'), {
    instanceOf: UnsupportedProtocolError
  })
  t.is(await client.trySelect(communicator, '/any/1'), '/any/1')
  t.is(await exchange(raw, 'by hand'), '/any/1 by hand')

  const wrong = await outbound.newStream()
  await wrong.write(Buffer.from('\x13/multistream/2.0.0\n'))
  // An unknown version: the listener ends without an answer.
  t.is((await wrong.read().catch(() => new Uint8Array())).length, 0)
})

test('Multiselect serves a swarm that negotiates by itself, and its handlers get the stream and the connection', async (t) => {
  const { listener, outbound, inbound } = await createPair(t)
  const table = new Multiselect<StreamHandler>([['/mine', report]])
  listener.setStreamHandler(async (stream, connection, context) => {
    t.is(connection, inbound)
    const [protocol, handler] = await table.negotiate(new MultiselectCommunicator(stream))
    stream.setProtocol(protocol)
    await handler(stream, connection, context)
  })
  const chosen = await outbound.newStream(['/theirs', '/mine'])
  t.is(chosen.protocol, '/mine')
  t.is(await exchange(chosen, 'x'), '/mine x')
})

test('maxOutbound bounds our own streams of a protocol, lazy and negotiated ones, until one has ended', async (t) => {
  const { dialer, listener, outbound } = await createPair(t)
  listener.handle(['/few', '/many'], () => {})
  dialer.handle('/few', () => {}, { maxOutbound: 2 })
  const first = await outbound.newStream('/few')
  await outbound.newStream(['/nobody', '/few'])
  for (const protocols of ['/few', ['/few'], ['/nobody', '/few']]) {
    const error = await t.throwsAsync(outbound.newStream(protocols), {
      instanceOf: ResourceLimitExceededError
    })
    const { scope, resource, limit, current, requested, option, code } = error ?? {}
    t.deepEqual([scope, resource, limit, current], ['connection', 'streamsOutbound', 2, 2])
    t.deepEqual([requested, option, code], [1, 'maxOutbound', 'ERR_STREAM_LIMIT'])
  }
  t.is((await outbound.newStream(['/many', '/few'])).protocol, '/many')
  await first.reset()
  t.is((await outbound.newStream('/few')).protocol, '/few')
})
