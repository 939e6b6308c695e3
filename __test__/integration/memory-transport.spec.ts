/** Connections within the process, by number. */
import { Worker } from 'node:worker_threads'
import test, { type ExecutionContext } from 'ava'
import { DialAllFailedError, ListenError, type Swarm } from '../../ts/index.ts'
import { addressOf, assertEcho, ECHO, echoing as echoingAt } from '../support/echo.ts'
import { createNode, until } from '../support/pair.ts'

const MEMORY = { transports: ['memory'] } as const

const echoing = (t: ExecutionContext, address = '/memory/0'): Promise<Swarm> =>
  echoingAt(t, address, MEMORY)

test('two nodes exchange bytes in memory, secured and multiplexed as over a socket', async (t) => {
  const listener = await echoing(t)
  const dialer = await createNode(t, MEMORY)
  t.regex(addressOf(listener), /^\/memory\/[1-9]\d*$/)
  const connection = await dialer.dialAddr(addressOf(listener), listener.peerId)
  t.is(connection.state.transport, 'memory')
  t.is(connection.state.security, '/tls/1.0.0')
  t.is(connection.state.muxer, '/yamux/1.0.0')
  t.is(`${connection.remoteAddr}`, addressOf(listener))
  t.is((await connection.newStream(ECHO)).remoteAddress, undefined)
  await assertEcho(t, connection)
  await connection.close()
  await until(() => listener.getTotalConnections() === 0)
})

test('a number is free again once its listener is closed', async (t) => {
  const address = '/memory/18446744073709551615'
  const first = await echoing(t, address)
  const second = await createNode(t, MEMORY)
  const taken = await t.throwsAsync(second.listen(address), { instanceOf: ListenError })
  t.regex(taken.message, /in use/i)
  t.true(await first.unlisten(address))
  t.true(await second.listen(address))
})

test('two listeners on 0 get numbers of their own', async (t) => {
  const [first, second] = [await echoing(t), await echoing(t)]
  t.not(addressOf(first), addressOf(second))
  const dialer = await createNode(t, MEMORY)
  for (const node of [first, second]) {
    const connection = await dialer.dialAddr(addressOf(node), node.peerId)
    t.is(`${connection.remotePeer}`, `${node.peerId}`)
  }
})

test('a number that nobody listens on refuses the dial at once', async (t) => {
  const dialer = await createNode(t, { ...MEMORY, retry: { maxRetries: 0 } })
  const free = await echoing(t)
  const address = addressOf(free)
  await free.close()
  const dial = dialer.dialAddr(address)
  const { attempts } = await t.throwsAsync(dial, { instanceOf: DialAllFailedError })
  t.is(attempts[0]?.stage, 'connect')
  t.regex(attempts[0]?.cause.message ?? '', /refused/i)
})

test('a swarm that does not name memory does not dial it', async (t) => {
  const listener = await echoing(t)
  const dialer = await createNode(t)
  const dial = dialer.dialAddr(addressOf(listener), listener.peerId)
  const { attempts } = await t.throwsAsync(dial, { instanceOf: DialAllFailedError })
  t.is(attempts[0]?.cause.message, 'memory is none of the transports of this swarm')
  t.is(listener.getTotalConnections(), 0)
})

test('a listener is reached from another thread of the process', async (t) => {
  const listener = await echoing(t)
  const worker = new Worker(new URL('../support/programs/memory-dialer.ts', import.meta.url), {
    workerData: { address: addressOf(listener), peer: `${listener.peerId}`, protocol: ECHO }
  })
  const echoed = await new Promise((resolve, reject) => {
    worker.once('message', resolve).once('error', reject)
  })
  t.deepEqual(echoed, Uint8Array.of(1, 2, 3))
  await new Promise((resolve) => worker.once('exit', resolve))
})

test('a connection in memory has no descriptor', async (t) => {
  const listener = await echoing(t)
  const dialer = await createNode(t, MEMORY)
  await dialer.dialAddr(addressOf(listener), listener.peerId)
  t.like(dialer.resourceManager.stat().system, { numConnsOutbound: 1, numFD: 0 })
})
