/** The UDP sockets under QUIC connections: their ports, their failures, and what is under way when a swarm closes. */

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import type { Connection } from '../../ts/connection.ts'
import { ConnectionErrorCode } from '../../ts/constants.ts'
import type { DialError } from '../../ts/errors.ts'
import { readExactly } from '../../ts/io/index.ts'
import type { Stream } from '../../ts/stream.ts'
import type { Swarm } from '../../ts/swarm.ts'
import { delayProxy } from '../support/delay-proxy.ts'
import { ECHO, echo } from '../support/echo.ts'
import { createNode, pattern, until } from '../support/pair.ts'

const LOCAL = '/ip4/127.0.0.1/udp/0/quic-v1'
const MIB = 1024 * 1024

async function listening(t: ExecutionContext): Promise<Swarm> {
  const node = await createNode(t)
  node.handle(ECHO, echo)
  await node.listen(LOCAL)
  return node
}

function addressOf(node: Swarm): string {
  return String(node.getListenAddrs()[0])
}

/** Binds the port of an address as another process would. */
async function assertFree(t: ExecutionContext, address: string): Promise<void> {
  const socket = createSocket('udp4')
  t.teardown(() => socket.close())
  socket.bind(Number(address.split('/')[4]), '127.0.0.1')
  await once(socket, 'listening')
  t.pass()
}

async function assertEcho(t: ExecutionContext, connection: Connection): Promise<void> {
  const stream = await connection.newStream(ECHO)
  await stream.write(pattern(100))
  t.deepEqual(new Uint8Array(await readExactly(stream, 100)), pattern(100))
  await stream.close()
}

// U1
test('a port is free once unlisten has resolved', async (t) => {
  const node = await createNode(t)
  for (let round = 0; round < 10; round += 1) {
    await node.listen(LOCAL)
    const address = addressOf(node)
    await node.unlisten(address)
    await assertFree(t, address)
  }
})

test('a port is free once its swarm has closed, with connections', async (t) => {
  const node = await listening(t)
  const dialer = await createNode(t)
  const address = addressOf(node)
  await dialer.dialAddr(`${address}/p2p/${node.peerId}`)
  await node.close()
  await assertFree(t, address)
})

// U1
test('a port whose connections remain is listened on again', async (t) => {
  const node = await listening(t)
  const dialer = await createNode(t)
  const address = addressOf(node)
  const before = await dialer.dialAddr(`${address}/p2p/${node.peerId}`)
  await node.unlisten(address)
  await t.throwsAsync(createNode(t).then((other) => other.dialAddr(address)))
  await assertEcho(t, before)
  await node.listen(address)
  t.is(addressOf(node), address)
  await assertEcho(t, await (await createNode(t)).dialAddr(address))
  await assertEcho(t, before)
})

test('a dial that the system refuses to send fails at once, and says why', async (t) => {
  const dialer = await createNode(t)
  // Broadcasts are for sockets that ask for them.
  const err = await t.throwsAsync(dialer.dialAddr('/ip4/255.255.255.255/udp/9/quic-v1'))
  const [attempt] = (err as DialError & { attempts: { stage: string; cause: Error }[] }).attempts
  t.is(attempt?.stage, 'connect')
  t.regex(String(attempt?.cause), /EACCES|permission/i)
})

test('a swarm that closes delivers what was written on streams that are open', async (t) => {
  const listener = await createNode(t)
  const arrived = Promise.withResolvers<Stream>()
  listener.handle(ECHO, (stream) => arrived.resolve(stream))
  await listener.listen(LOCAL)
  const dialer = await createNode(t)
  const proxy = await delayProxy(t, `${addressOf(listener)}/p2p/${listener.peerId}`, 40)
  const connection = await dialer.dialAddr(proxy)
  const stream = await connection.newStream(ECHO)
  // More than goes out before the first acknowledgement.
  await stream.write(pattern(MIB))
  const remote = await arrived.promise
  const reading = readExactly(remote, MIB)
  await dialer.close()
  t.is(Buffer.compare(await reading, pattern(MIB)), 0)
})

// A077, A078
test('a remote that keeps opening and resetting streams is closed', async (t) => {
  const listener = await createNode(t)
  listener.handle('/idle/1', () => {})
  await listener.listen(LOCAL)
  const dialer = await createNode(t)
  const connection = await dialer.dialAddr(addressOf(listener))
  for (let count = 0; count < 10_000 && !connection.isClosed; count += 1) {
    // Refused once the connection ends.
    const stream = await connection.newStream('/idle/1').catch(() => undefined)
    await stream?.write(new Uint8Array(1)).catch(() => undefined)
    // It is opened by then.
    await turn()
    stream?.reset()
  }
  t.is(connection.closeReason?.closeCode, ConnectionErrorCode.RateLimited)
  await until(() => listener.getConnections().length === 0)
})
