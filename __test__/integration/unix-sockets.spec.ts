/** Unix sockets between nodes. */
import { existsSync, lstatSync } from 'node:fs'
import { link, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { AbortError, DialAllFailedError, ListenError, type Swarm } from '../../ts/index.ts'
import { assertEcho, ECHO, echoing as echoingAt } from '../support/echo.ts'
import { createNode, until } from '../support/pair.ts'

const UNIX = { transports: ['unix'] } as const

/** Returns the path of a socket in a folder that is removed when the test ends. */
async function socketPath(t: ExecutionContext, name = 'node.sock'): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ferroswarm-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return join(folder, name)
}

function addressOf(path: string): string {
  return `/unix/${encodeURIComponent(path)}`
}

const echoing = (t: ExecutionContext, address: string): Promise<Swarm> =>
  echoingAt(t, address, UNIX)

test('two nodes exchange bytes over a Unix socket', async (t) => {
  const address = addressOf(await socketPath(t))
  const listener = await echoing(t, address)
  const dialer = await createNode(t, UNIX)
  t.deepEqual(listener.getListenAddrs().map(String), [address])
  const connection = await dialer.dialPeer(listener.peerId, { addresses: [address] })
  t.is(connection.state.transport, 'unix')
  t.is(`${connection.remoteAddr}`, address)
  await until(() => listener.getTotalConnections() === 1)
  t.is(listener.getConnections()[0]?.state.transport, 'unix')
  t.is((await connection.newStream(ECHO)).remoteAddress, undefined)
  await assertEcho(t, connection)
})

test('a path with spaces, percent signs and letters beyond ASCII is one', async (t) => {
  const path = await socketPath(t, 'ä 100% node.sock')
  const listener = await echoing(t, addressOf(path))
  t.true(lstatSync(path).isSocket())
  const dialer = await createNode(t, UNIX)
  const connection = await dialer.dialAddr(addressOf(path), listener.peerId)
  t.is(`${connection.remoteAddr}`, `${listener.getListenAddrs()[0]}`)
})

test('a swarm that does not name unix neither dials nor listens on it', async (t) => {
  const path = await socketPath(t)
  const listener = await echoing(t, addressOf(path))
  const node = await createNode(t)
  const dial = node.dialAddr(addressOf(path), listener.peerId)
  const { attempts } = await t.throwsAsync(dial, { instanceOf: DialAllFailedError })
  t.is(attempts[0]?.cause.message, 'unix is none of the transports of this swarm')
  const err = await t.throwsAsync(node.listen(addressOf(`${path}2`)), { instanceOf: ListenError })
  t.is(err.attempts[0]?.cause.message, 'unix is none of the transports of this swarm')
  t.is(listener.getTotalConnections(), 0)
})

test('the file is gone once the listener is closed, and its connections stay', async (t) => {
  const path = await socketPath(t)
  const listener = await echoing(t, addressOf(path))
  const dialer = await createNode(t, { ...UNIX, retry: { maxRetries: 0 } })
  const connection = await dialer.dialAddr(addressOf(path), listener.peerId)
  t.true(await listener.unlisten(addressOf(path)))
  t.false(existsSync(path))
  const stream = await connection.newStream(ECHO)
  await stream.write(Uint8Array.of(7))
  t.deepEqual([...(await stream.read(1))], [7])
  const again = dialer.dialAddr(addressOf(path), listener.peerId, { force: true })
  const { attempts } = await t.throwsAsync(again, { instanceOf: DialAllFailedError })
  t.regex(attempts[0]?.cause.message ?? '', /no such file/i)
  // The path can be used again.
  t.true(await listener.listen(addressOf(path)))
})

test('the close of a swarm removes the files of its listeners', async (t) => {
  const path = await socketPath(t)
  const listener = await echoing(t, addressOf(path))
  t.true(existsSync(path))
  await listener.close()
  t.false(existsSync(path))
})

test('a socket that nobody listens on any more is replaced; another file is left alone', async (t) => {
  const path = await socketPath(t)
  // A process that ends without closing its listener leaves its file: so does a socket whose file is linked again.
  const stale = createServer().listen(path)
  await until(() => stale.listening)
  await link(path, `${path}.left`)
  await new Promise((resolve) => stale.close(resolve))
  await rename(`${path}.left`, path)
  await t.notThrowsAsync(echoing(t, addressOf(path)))
  const other = await socketPath(t, 'notes.txt')
  await writeFile(other, 'mine')
  const node = await createNode(t, UNIX)
  await t.throwsAsync(node.listen(addressOf(other)), { instanceOf: ListenError })
  t.true(lstatSync(other).isFile())
})

test('a path in use is refused, and the first listener goes on', async (t) => {
  const path = await socketPath(t)
  const listener = await echoing(t, addressOf(path))
  const second = await createNode(t, UNIX)
  const err = await t.throwsAsync(second.listen(addressOf(path)), { instanceOf: ListenError })
  t.regex(err.message, /in use/i)
  const dialer = await createNode(t, UNIX)
  const connection = await dialer.dialAddr(addressOf(path), listener.peerId)
  t.is(`${connection.remotePeer}`, `${listener.peerId}`)
})

test('a path that is too long for a socket is refused with its bound', async (t) => {
  const node = await createNode(t, UNIX)
  const address = addressOf(`/tmp/${'x'.repeat(200)}.sock`)
  const err = await t.throwsAsync(node.listen(address), { instanceOf: ListenError })
  t.regex(err.message, process.platform === 'darwin' ? /103/ : /107/)
})

test('a dial is aborted during the handshake, and its socket closed', async (t) => {
  const path = await socketPath(t)
  const accepted: Socket[] = []
  const server = createServer((socket) => accepted.push(socket.on('error', () => {}).resume()))
  server.listen(path)
  t.teardown(() => server.close())
  await until(() => server.listening)
  const dialer = await createNode(t, UNIX)
  const controller = new AbortController()
  const dial = dialer.dialAddr(addressOf(path), undefined, { signal: controller.signal })
  await until(() => accepted.length === 1)
  const ended = new Promise((resolve) => accepted[0]?.once('close', resolve))
  controller.abort()
  await t.throwsAsync(dial, { instanceOf: AbortError })
  await ended
})

test('any libp2p node of this host can be behind a socket of Node.js', async (t) => {
  const path = await socketPath(t)
  const listener = await echoing(t, addressOf(path))
  const dialer = await createNode(t)
  const connection = await dialer.upgradeOutbound(connect(path), listener.peerId)
  const stream = await connection.newStream(ECHO)
  await stream.write(Uint8Array.of(1, 2))
  t.deepEqual([...(await stream.read(2))], [1, 2])
})
