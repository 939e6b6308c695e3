/** yamux over duplexes of the application: a muxer without a swarm. */
import { Duplex, duplexPair } from 'node:stream'
import test, { type ExecutionContext } from 'ava'
import {
  AbortError,
  ConnectionClosedError,
  ConnectionErrorCode,
  InvalidParametersError,
  MuxerClosedError,
  RawConnectionError,
  type Stream,
  StreamErrorCode,
  StreamResetError,
  yamux
} from '../../ts/index.ts'
import { type AnyDuplex, readAll } from '../../ts/io/index.ts'
import { program, ROOT } from '../support/cli.ts'
import { DUPLEXES, tcpSockets } from '../support/duplexes.ts'
import { pattern, until } from '../support/pair.ts'

/** Starts yamux on both ends. */
async function muxed(t: ExecutionContext, [near, far]: readonly [AnyDuplex, AnyDuplex]) {
  const muxer = yamux()
  const [client, server] = await Promise.all([
    muxer.newConnection(near, { isServer: false }),
    muxer.newConnection(far, { isServer: true })
  ])
  t.teardown(() => Promise.all([client.closeWithError(0), server.closeWithError(0)]))
  return { client, server }
}

for (const [kind, make] of Object.entries(DUPLEXES)) {
  test(`${kind} carry streams of both ends`, async (t) => {
    const { client, server } = await muxed(t, await make(t))
    const sent = pattern(1 << 20)
    const [opened, accepted] = await Promise.all([client.openStream(), server.acceptStream()])
    const [other, back] = await Promise.all([server.openStream(), client.acceptStream()])
    const send = async (stream: Stream): Promise<void> => {
      await stream.write(sent)
      await stream.closeWrite()
    }
    const streams = [opened, accepted, other, back]
    const [received] = await Promise.all([
      Promise.all(streams.map((stream) => readAll(stream))),
      Promise.all(streams.map(send))
    ])
    for (const bytes of received) t.true(Buffer.from(sent).equals(bytes))
    t.deepEqual([opened.direction, accepted.direction], ['outbound', 'inbound'])
    await client.close()
    await until(() => server.isClosed)
    await t.throwsAsync(server.acceptStream(), { instanceOf: MuxerClosedError })
  })
}

test('the bytes are frames of yamux, in the clear', async (t) => {
  const [near, far] = duplexPair()
  const client = await yamux().newConnection(near, { isServer: false })
  const stream = await client.openStream()
  await stream.write(Buffer.from('readable by anybody'))
  let wire = Buffer.alloc(0)
  far.on('data', (bytes: Buffer) => {
    wire = Buffer.concat([wire, bytes])
  })
  await until(() => wire.includes('readable by anybody'))
  // Version 0; the first stream of a client is 1.
  t.is(wire[0], 0)
  const data = wire.indexOf('readable by anybody') - 12
  t.deepEqual([wire[data], wire[data + 1], wire.readUInt32BE(data + 4)], [0, 0, 1])
  t.is(wire.readUInt32BE(data + 8), 19)
  await client.closeWithError(0)
})

test('a stream is reset with its code, and its connection goes on', async (t) => {
  const { client, server } = await muxed(t, duplexPair() as never)
  const [near, far] = await Promise.all([client.openStream(), server.acceptStream()])
  await near.reset(StreamErrorCode.Gated)
  const err = await t.throwsAsync(far.read(), { instanceOf: StreamResetError })
  t.is((err as StreamResetError).errorCode, StreamErrorCode.Gated)
  const [next] = await Promise.all([client.openStream(), server.acceptStream()])
  t.true(next.isOperational())
  t.throws(() => next.connection)
})

test('a close delivers what closed streams have accepted, and ends the duplex', async (t) => {
  const ends = await tcpSockets(t)
  const { client, server } = await muxed(t, ends)
  const stream = await client.openStream()
  await stream.write(pattern(200_000))
  await stream.closeWrite()
  const closed = client.close()
  t.deepEqual(await readAll(await server.acceptStream()), pattern(200_000))
  await closed
  await until(() => ends.every(({ destroyed }) => destroyed))
  t.is(server.closeReason?.remote, true)
  await t.throwsAsync(client.openStream(), { instanceOf: ConnectionClosedError })
})

test('streams that the remote has ended are accepted after its close, and none after our own', async (t) => {
  const { client, server } = await muxed(t, duplexPair() as never)
  for (const text of ['first', 'second']) {
    const stream = await client.openStream()
    await stream.write(Buffer.from(text))
    await stream.close()
  }
  await client.close()
  await until(() => server.closeReason !== undefined)
  const texts = [await server.acceptStream(), await server.acceptStream()].map(async (stream) =>
    Buffer.from(await readAll(stream)).toString()
  )
  t.deepEqual(await Promise.all(texts), ['first', 'second'])
  await t.throwsAsync(server.acceptStream(), { instanceOf: MuxerClosedError })

  const ends = await muxed(t, duplexPair() as never)
  const [near, far] = await Promise.all([ends.client.openStream(), ends.server.acceptStream()])
  await (await ends.client.openStream()).close()
  await near.write(Uint8Array.of(1))
  // So the other one has arrived.
  await far.read(1)
  await ends.server.closeWithError(0)
  await t.throwsAsync(ends.server.acceptStream(), { instanceOf: MuxerClosedError })
})

test('a close with an error tells its code', async (t) => {
  const { client, server } = await muxed(t, duplexPair() as never)
  const waiting = t.throwsAsync(server.acceptStream(), { instanceOf: MuxerClosedError })
  await client.closeWithError(ConnectionErrorCode.ProtocolViolation)
  await waiting
  t.is(server.closeReason?.closeCode, ConnectionErrorCode.ProtocolViolation)
})

test('waits for a stream end with their signals, and take streams in order', async (t) => {
  const { client, server } = await muxed(t, duplexPair() as never)
  const control = new AbortController()
  const aborted = t.throwsAsync(server.acceptStream({ signal: control.signal }), {
    instanceOf: AbortError
  })
  const accepted = server.acceptStream()
  control.abort()
  await aborted
  const opened = [await client.openStream(), await client.openStream()]
  for (const [index, stream] of opened.entries()) await stream.write(Uint8Array.of(index))
  const streams = [await accepted, await server.acceptStream()]
  t.deepEqual(await Promise.all(streams.map((stream) => stream.read(1))), [
    Uint8Array.of(0),
    Uint8Array.of(1)
  ])
  await t.throwsAsync(client.openStream({ signal: control.signal }), { instanceOf: AbortError })
})

test('streams that nobody accepts are reset beyond 256', async (t) => {
  const { client } = await muxed(t, duplexPair() as never)
  const streams: Stream[] = []
  for (let count = 0; count < 257; count += 1) streams.push(await client.openStream())
  const last = streams.at(-1) as Stream
  const err = await t.throwsAsync(last.read(), { instanceOf: StreamResetError })
  t.is((err as StreamResetError).errorCode, StreamErrorCode.ResourceLimitExceeded)
  t.true(streams[255]?.isOperational())
})

test('streams that are reset before they are accepted take no place', async (t) => {
  const { client, server } = await muxed(t, duplexPair() as never)
  const [near, far] = await Promise.all([client.openStream(), server.acceptStream()])
  for (let count = 0; count < 256; count += 1) {
    const stream = await client.openStream()
    await stream.write(Uint8Array.of(count))
    await stream.reset()
  }
  await near.write(Uint8Array.of(1))
  // So the resets have arrived.
  await far.read(1)
  const live = await client.openStream()
  await live.write(Buffer.from('live'))
  const accepted = await server.acceptStream()
  t.is(Buffer.from(await accepted.read(4)).toString(), 'live')
})

test('a duplex that fails ends the streams, and one that has ended is refused', async (t) => {
  const [near, far] = duplexPair()
  far.on('error', () => {})
  const { client } = await muxed(t, [near, far] as never)
  const stream = await client.openStream()
  const reading = t.throwsAsync(stream.read(), { instanceOf: StreamResetError })
  near.destroy(new Error('the cable was cut'))
  await reading
  t.true(client.closeReason?.error?.cause instanceof RawConnectionError)
  await t.throwsAsync(yamux().newConnection(new Duplex().destroy(), { isServer: true }), {
    instanceOf: RawConnectionError
  })
})

test('options are checked at once', (t) => {
  const any = (value: unknown): never => value as never
  const refused = (call: () => unknown, message: RegExp): void => {
    t.throws(call, { instanceOf: InvalidParametersError, message })
  }
  refused(() => yamux(any({ window: 1 })), /unknown option "window"/)
  refused(() => yamux({ acceptBacklog: 0 }), /expected acceptBacklog/)
  for (const name of ['keepaliveIntervalMs', 'keepaliveTimeoutMs', 'writeStallTimeoutMs']) {
    refused(() => yamux({ [name]: 2 ** 31 }), new RegExp(`expected ${name}`))
  }
  const [near] = duplexPair()
  refused(() => yamux().newConnection(near, any({})), /expected isServer/)
  refused(() => yamux().newConnection(near, any(undefined)), /expected isServer/)
  refused(() => yamux().newConnection(any({}), { isServer: true }), /expected duplex/)
  t.is(near.listenerCount('error'), 0)
})

test('a process ends once its connections have', async (t) => {
  const source = `
    import { duplexPair } from 'node:stream'
    import { yamux } from '${ROOT}/ts/index.ts'
    const [near, far] = duplexPair()
    const conns = await Promise.all([
      yamux().newConnection(near, { isServer: false }),
      yamux().newConnection(far, { isServer: true })
    ])
    const stream = await conns[0].openStream()
    await stream.write(Buffer.from('x'))
    await (await conns[1].acceptStream()).read(1)
    await conns[0].close()
    console.log('closed')
  `
  const args = ['--input-type=module', '--eval', source]
  const { code, out, err } = await program(process.execPath, args)
  t.is(code, 0, err)
  t.is(out, 'closed\n')
})
