import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import test from 'ava'
import { AbortError, ConnectionClosedError, IOError } from '../../ts/errors.ts'
import {
  FixedLengthMsgReadWriter,
  IncompleteReadError,
  MissingLengthError,
  readExactly,
  TcpStream,
  tcpStream,
  VarintMsgReadWriter
} from '../../ts/io/index.ts'
import { pattern, until } from '../support/pair.ts'
import { bytesOf, textOf } from '../support/readers.ts'
import { socketPair } from '../support/sockets.ts'

// I6
test('reads what has arrived; the remote’s end reads as empty, not as an error', async (t) => {
  const { near, far } = await socketPair(t)
  const stream = tcpStream(near)
  t.true(stream instanceof TcpStream)
  t.is(stream.socket, near)
  t.is((await stream.read(0)).length, 0)
  far.write('hello')
  t.is(textOf(await stream.read(2)), 'he')
  t.is(textOf(await stream.read()), 'llo')
  t.false(stream.readableEnded)
  far.end()
  t.is((await stream.read(10)).length, 0)
  t.true(stream.readableEnded)
  t.is((await stream.read()).length, 0)
  // The other half is still open.
  await stream.write(bytesOf('bye'))
  t.is(String(await once(far, 'data')), 'bye')
})

// I6, I9
test('an end is reported at once to a reader that needs more bytes', async (t) => {
  const { near, far } = await socketPair(t)
  far.end('abc')
  const err = await t.throwsAsync(readExactly(tcpStream(near), 10), {
    instanceOf: IncompleteReadError
  })
  t.is(err.receivedBytes, 3)
  t.is(err.transport, 'tcp')
  t.regex(err.message, /over tcp after \d+\.\d s/)
})

// I4
test('a reset by the peer is an error that names the transport and keeps its cause', async (t) => {
  const { near, far } = await socketPair(t)
  const stream = tcpStream(near)
  const waiting = stream.read(1)
  far.resetAndDestroy()
  const read = await t.throwsAsync(waiting, { instanceOf: ConnectionClosedError })
  t.is(read.transport, 'tcp')
  t.is((read.cause as NodeJS.ErrnoException).code, 'ECONNRESET')
  t.true(read instanceof IOError)
  await t.throwsAsync(stream.read(1), { instanceOf: ConnectionClosedError })
  const write = await t.throwsAsync(stream.write(bytesOf('a')), {
    instanceOf: ConnectionClosedError
  })
  t.is(write.transport, 'tcp')
  const messages = new VarintMsgReadWriter(stream)
  await t.throwsAsync(messages.readMsg(), { instanceOf: ConnectionClosedError })
  await t.throwsAsync(messages.writeMsg(bytesOf('a')), { instanceOf: ConnectionClosedError })
})

// I5
test('after our own close reads are empty, writes reject, and the peer has everything', async (t) => {
  const { near, far } = await socketPair(t)
  const stream = tcpStream(near)
  const waiting = stream.read(1)
  const sent = pattern(1_000_000)
  const got: Buffer[] = []
  far.on('data', (chunk: Buffer) => got.push(chunk))
  await stream.write(sent)
  await stream.close()
  await stream.close()
  t.is((await waiting).length, 0)
  t.is((await stream.read(1)).length, 0)
  t.true(stream.readableEnded)
  const refused = await t.throwsAsync(stream.write(bytesOf('a')), {
    instanceOf: ConnectionClosedError
  })
  t.is(refused.transport, 'tcp')
  await once(far, 'end')
  t.is(Buffer.compare(Buffer.concat(got), sent), 0)
  far.end()
  await until(() => near.destroyed)
})

test('an unawaited write goes out before the close behind it', async (t) => {
  const { near, far } = await socketPair(t)
  const stream = tcpStream(near)
  const write = stream.write(bytesOf('hello'))
  const close = stream.close()
  t.is(String(await once(far, 'data')), 'hello')
  far.end()
  await write
  await close
})

// I5
test('a close reaches the peer although its last bytes were not read here', async (t) => {
  const { near, far } = await socketPair(t)
  const stream = tcpStream(near)
  far.write(pattern(100_000))
  await stream.read(1)
  await stream.write(bytesOf('last words'))
  await stream.close()
  // A socket closed over unread bytes resets, and these would be lost.
  const [chunk] = await once(far, 'data')
  t.is(String(chunk), 'last words')
  far.end()
})

// I7
test('concurrent writes are sequential, and empty ones are harmless', async (t) => {
  const { near, far } = await socketPair(t)
  const stream = tcpStream(near)
  const sent = Array.from({ length: 20 }, (_, index) => pattern(30_000, index))
  const got: Buffer[] = []
  far.on('data', (chunk: Buffer) => got.push(chunk))
  const writes = sent.flatMap((bytes) => [stream.write(bytes), stream.write(new Uint8Array(0))])
  await Promise.all(writes)
  await until(() => Buffer.concat(got).length === 600_000)
  t.is(Buffer.compare(Buffer.concat(got), Buffer.concat(sent)), 0)
})

// I7, A116
test('concurrent reads are served in order, and no byte twice', async (t) => {
  const { near, far } = await socketPair(t)
  const stream = tcpStream(near)
  const reads = Array.from({ length: 10 }, () => readExactly(stream, 1))
  const abort = new AbortController()
  const given = stream.read(5, { signal: abort.signal })
  abort.abort()
  await t.throwsAsync(given, { instanceOf: AbortError })
  far.write('0123456789')
  t.is((await Promise.all(reads)).map(textOf).join(''), '0123456789')
})

// I7
test('an error that has nothing to do with the network passes through', async (t) => {
  const { near } = await socketPair(t)
  const stream = tcpStream(near)
  const own = new Error('of the application')
  const waiting = stream.read(1)
  near.destroy(own)
  t.is(await t.throwsAsync(waiting), own)
  t.is(await t.throwsAsync(stream.write(bytesOf('a'))), own)
})

test('a socket that is destroyed elsewhere is a closed connection', async (t) => {
  const { near } = await socketPair(t)
  const stream = tcpStream(near)
  const waiting = stream.read(1)
  near.destroy()
  await t.throwsAsync(waiting, { instanceOf: ConnectionClosedError })
  await stream.close()
})

test('the remote address is known after the close, for IPv6 too', async (t) => {
  for (const host of ['127.0.0.1', '::1']) {
    const { near } = await socketPair(t, host)
    const stream = tcpStream(near)
    const port = near.remotePort
    t.deepEqual(stream.remoteAddress, { host, port })
    const closed = once(near, 'close')
    near.destroy()
    await closed
    t.deepEqual(stream.remoteAddress, { host, port })
    t.is(stream.connState().transport, 'tcp')
  }
})

test('a socket that is connecting can be wrapped already', async (t) => {
  const server = createServer((socket) => socket.end('welcome'))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as { port: number }
  const stream = tcpStream(connect(port, '127.0.0.1'))
  t.is(textOf(await readExactly(stream, 7)), 'welcome')
  t.deepEqual(stream.remoteAddress, { host: '127.0.0.1', port })
  await stream.close()
})

// A115
test('an aborted write reports the bytes the peer still gets, and a framer writes nothing after it', async (t) => {
  const { near, far } = await socketPair(t)
  const stream = tcpStream(near)
  far.pause()
  const abort = new AbortController()
  const sent = pattern(32 * 1024 * 1024)
  const messages = new FixedLengthMsgReadWriter(stream, { maxMessageBytes: sent.length })
  const write = messages.writeMsg(sent, { signal: abort.signal })
  await until(() => near.writableLength > 0)
  abort.abort()
  const err = await t.throwsAsync(write, { instanceOf: AbortError })
  t.true(err.bytesAccepted > 0 && err.bytesAccepted < sent.length)
  const late = await t.throwsAsync(messages.writeMsg(bytesOf('a')))
  t.is(late.message, 'an earlier write ended inside its message')
  let got = 0
  far.on('data', (chunk: Buffer) => {
    got += chunk.length
  })
  far.resume()
  await until(() => got === err.bytesAccepted)
  t.is(got, err.bytesAccepted)
})

test('an aborted close of a peer that reads nothing frees the socket', async (t) => {
  const { near, far } = await socketPair(t)
  const stream = tcpStream(near)
  far.pause()
  const write = stream.write(pattern(32 * 1024 * 1024))
  await until(() => near.writableLength > 0)
  const abort = new AbortController()
  const close = stream.close({ signal: abort.signal })
  abort.abort()
  await t.throwsAsync(close, { instanceOf: AbortError })
  const cut = await t.throwsAsync(write, { instanceOf: ConnectionClosedError })
  t.is(cut.transport, 'tcp')
  t.true(cut.cause instanceof Error)
  t.true(near.destroyed)
})

test('messages over tcp end cleanly with the connection', async (t) => {
  const { near, far } = await socketPair(t)
  const [out, back] = [
    new VarintMsgReadWriter(tcpStream(near)),
    new VarintMsgReadWriter(tcpStream(far))
  ]
  for (const text of ['a', 'b']) await out.writeMsg(bytesOf(text))
  await out.close()
  const seen: string[] = []
  for await (const message of back) seen.push(textOf(message))
  t.deepEqual(seen, ['a', 'b'])
  const ended = await t.throwsAsync(back.readMsg(), { instanceOf: MissingLengthError })
  t.true((ended.cause as IncompleteReadError).isCleanClose)
})
