/** What only QUIC has: datagrams that are lost, repeated, forged and rerouted. Its streams are in the stream suites. */

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import test, { type ExecutionContext } from 'ava'
import type { Connection } from '../../ts/connection.ts'
import {
  AbortError,
  type DialError,
  InvalidParametersError,
  UnexpectedPeerError
} from '../../ts/errors.ts'
import { readExactly } from '../../ts/io/index.ts'
import type { SwarmOptions } from '../../ts/swarm/options.ts'
import type { Swarm } from '../../ts/swarm.ts'
import { assertEcho, ECHO, echoing, portOf } from '../support/echo.ts'
import { createNode, outcomeOf, pattern, until } from '../support/pair.ts'
import { seeded } from '../support/random.ts'
import { usageOf } from '../support/scopes.ts'
import { type Fate, udpProxy } from '../support/udp-proxy.ts'

const LOCAL = '/ip4/127.0.0.1/udp/0/quic-v1'
const KIB = 1024

/** A packet of a handshake begins with two set bits, and its type (RFC 9000, section 17.2). */
const RETRY = 0xf0
const LONG_TYPE = 0xf0

const listening = (t: ExecutionContext, options: SwarmOptions = {}): Promise<Swarm> =>
  echoing(t, LOCAL, options)

function addressOf(node: Swarm, port = portOf(node)): string {
  return `/ip4/127.0.0.1/udp/${port}/quic-v1/p2p/${node.peerId}`
}

test('bytes arrive whole through loss, repetition and reordering', async (t) => {
  const listener = await listening(t)
  const proxy = await udpProxy(t, portOf(listener))
  const random = seeded(7)
  const fates: readonly Fate[] = ['drop', 'repeat', 'delay']
  const dialer = await createNode(t)
  proxy.treat(() => fates[random(24)] ?? 'deliver')
  const connection = await dialer.dialAddr(addressOf(listener, proxy.port))
  await assertEcho(t, connection, 512 * KIB)
})

test('a connection outlives a NAT that moves it to another port', async (t) => {
  const listener = await listening(t)
  const proxy = await udpProxy(t, portOf(listener))
  const dialer = await createNode(t)
  const connection = await dialer.dialAddr(addressOf(listener, proxy.port))
  const stream = await connection.newStream(ECHO)
  for (let round = 0; round < 3; round += 1) {
    await stream.write(pattern(10_000, round))
    t.is(Buffer.compare(await readExactly(stream, 10_000), pattern(10_000, round)), 0)
    await proxy.rebind()
  }
  t.false(connection.isClosed)
  t.is(listener.getConnections().length, 1)
})

test('a host that sends many first packets has to prove its address', async (t) => {
  const listener = await listening(t, { limits: { loopbackExempt: false } })
  const proxy = await udpProxy(t, portOf(listener), { recorded: 100_000 })
  const dialer = await createNode(t)
  const retries = (): number =>
    proxy.answers.filter((bytes) => ((bytes[0] ?? 0) & LONG_TYPE) === RETRY).length
  // Half of the 8 connections that a host may have.
  for (let index = 0; index < 8; index += 1) {
    t.is(retries() > 0, index > 4)
    const connection = await dialer.dialAddr(addressOf(listener, proxy.port))
    await connection.close()
    await until(() => usageOf(listener, 'system').connections === 0)
  }
  t.true(retries() >= 4)
})

test('a dial comes from the port that is listened on', async (t) => {
  const listener = await listening(t)
  const dialer = await listening(t)
  const connected = once(listener as unknown as EventTarget, 'connected') as Promise<
    [CustomEvent<Connection>]
  >
  const outbound = await dialer.dialAddr(addressOf(listener))
  const [{ detail: inbound }] = await connected
  t.is(String(inbound.remoteAddr), `/ip4/127.0.0.1/udp/${portOf(dialer)}/quic-v1`)
  t.is(String(outbound.localAddr), String(inbound.remoteAddr))
})

test('two nodes dial each other over the ports that they listen on', async (t) => {
  const [one, other] = await Promise.all([listening(t), listening(t)])
  const connections = await Promise.all([
    one.dialAddr(addressOf(other)),
    other.dialAddr(addressOf(one))
  ])
  for (const connection of connections) {
    await assertEcho(t, connection, 1_000)
  }
})

test('a peer has as many streams at a time as the option says, and more when they end', async (t) => {
  const listener = await listening(t, { quic: { maxStreams: 2 } })
  const dialer = await createNode(t)
  const connection = await dialer.dialAddr(addressOf(listener))
  const [one, two] = await Promise.all([connection.newStream(ECHO), connection.newStream(ECHO)])
  const third = await connection.newStream(ECHO)
  await third.write(pattern(3))
  const answer = readExactly(third, 3)
  // What is written later is answered while the third stream waits.
  for (const stream of [one, two]) {
    await stream.write(pattern(10))
    t.deepEqual(new Uint8Array(await readExactly(stream, 10)), pattern(10))
  }
  t.is(await outcomeOf(answer), 'waits')
  t.is(listener.getConnections()[0]?.streams.length, 2)
  await one.close()
  t.deepEqual(new Uint8Array(await answer), pattern(3))
  await two.close()
})

test('a peer other than the expected one is refused, and named', async (t) => {
  const [listener, other, dialer] = await Promise.all([listening(t), createNode(t), createNode(t)])
  const address = `/ip4/127.0.0.1/udp/${portOf(listener)}/quic-v1`
  const err = await t.throwsAsync(dialer.dialPeer(other.peerId, { addresses: [address] }))
  const [attempt] = (
    err as DialError & { attempts: { stage: string; cause: Error & { code: string } }[] }
  ).attempts
  t.is(attempt?.stage, 'security')
  t.true(attempt?.cause instanceof UnexpectedPeerError)
  t.is(listener.getConnections().length, 0)
})

test('a port where nobody answers fails at connect, in time', async (t) => {
  const silent = createSocket('udp4')
  silent.bind(0, '127.0.0.1')
  await once(silent, 'listening')
  t.teardown(() => silent.close())
  const dialer = await createNode(t, { quic: { handshakeTimeout: 200 }, retry: { maxRetries: 0 } })
  const { port } = silent.address()
  const err = await t.throwsAsync(dialer.dialAddr(`/ip4/127.0.0.1/udp/${port}/quic-v1`))
  const [attempt] = (
    err as DialError & { attempts: { stage: string; cause: Error & { code: string } }[] }
  ).attempts
  t.is(attempt?.stage, 'connect')
  t.is(attempt?.cause.code, 'ERR_TIMEOUT')
})

test('an aborted dial leaves nothing behind', async (t) => {
  const listener = await listening(t)
  const proxy = await udpProxy(t, portOf(listener))
  proxy.treat(() => 'drop')
  const dialer = await createNode(t)
  const controller = new AbortController()
  const dialled = dialer.dialAddr(addressOf(listener, proxy.port), { signal: controller.signal })
  t.is(await outcomeOf(dialled), 'waits')
  await until(() => proxy.sent.length > 0)
  t.is(usageOf(dialer, 'system').connectionsOutbound, 1)
  controller.abort()
  await t.throwsAsync(dialled, { instanceOf: AbortError })
  t.deepEqual([dialer.getTotalConnections(), listener.getTotalConnections()], [0, 0])
  await until(() => Object.values(usageOf(dialer, 'system')).every((used) => used === 0))
})

test('a close with nothing to deliver has ended the connection at the end of the tick', async (t) => {
  const listener = await listening(t)
  const dialer = await createNode(t)
  const closes = 20
  let ended = 0
  for (let index = 0; index < closes; index += 1) {
    const connection = await dialer.dialAddr(addressOf(listener))
    const closed = connection.close()
    await new Promise<void>(process.nextTick)
    if (connection.closeReason !== undefined) ended += 1
    await closed
    t.like(connection.closeReason, { remote: false, error: undefined })
  }
  // All but those of which an I/O thread was handling a datagram: on a busy machine it keeps the lock for long.
  t.true(ended > 0)
})

test('a close that is lost is repeated when the remote goes on', async (t) => {
  const listener = await listening(t)
  const proxy = await udpProxy(t, portOf(listener), { recorded: 1_000 })
  const dialer = await createNode(t)
  const connection = await dialer.dialAddr(addressOf(listener, proxy.port))
  await assertEcho(t, connection, 1)
  const [remote] = listener.getConnections()
  const count = proxy.sent.length
  proxy.treat(() => 'drop')
  await connection.close()
  await until(() => proxy.sent.length > count)
  proxy.treat(() => 'deliver')
  t.false(remote?.isClosed)
  const stream = await remote?.newStream(ECHO)
  await stream?.write(pattern(1))
  await remote?.closed
  // If nothing had told it, this side would have given up at the idle timeout.
  t.true(remote?.closeReason?.remote)
})

test('a connection that is closed later has told of its end when close resolves', async (t) => {
  const listener = await listening(t)
  const dialer = await createNode(t)
  const connection = await dialer.dialAddr(addressOf(listener))
  const told: string[] = []
  connection.addEventListener('close', () => told.push('close'))
  await connection.close()
  t.deepEqual(told, ['close'])
})

test('a connection that is closed while it is announced tells its dialler of the end', async (t) => {
  const listener = await listening(t)
  const dialer = await createNode(t)
  dialer.addEventListener('connected', ({ detail }) => void detail.close())
  const connection = await dialer.dialAddr(addressOf(listener))
  await new Promise((resolve) => connection.addEventListener('close', resolve))
  t.is(connection.closeReason?.remote, false)
})

// A168
test('a peer that falls silent is given up after idleTimeout', async (t) => {
  const listener = await listening(t)
  const proxy = await udpProxy(t, portOf(listener))
  const dialer = await createNode(t, { quic: { idleTimeout: 500 } })
  const connection = await dialer.dialAddr(addressOf(listener, proxy.port))
  proxy.treat(() => 'drop')
  await connection.closed
  t.regex(String(connection.closeReason?.error), /keepalive|silent|answer/)
})

test('a mistyped option of QUIC is refused by name', async (t) => {
  const options = { quic: { idleTimeoutMs: 1_000 } } as SwarmOptions
  const err = await t.throwsAsync(createNode(t, options), { instanceOf: InvalidParametersError })
  t.regex(err.message, /idleTimeoutMs/)
})

test('bytes that are no QUIC are ignored', async (t) => {
  const listener = await listening(t)
  const random = seeded(3)
  const socket = createSocket('udp4')
  t.teardown(() => socket.close())
  for (let index = 0; index < 2_000; index += 1) {
    const junk = Uint8Array.from({ length: random(1_400) }, () => random(256))
    socket.send(junk, portOf(listener), '127.0.0.1')
  }
  const dialer = await createNode(t)
  const connection = await dialer.dialAddr(addressOf(listener))
  await assertEcho(t, connection, 1_000)
})
