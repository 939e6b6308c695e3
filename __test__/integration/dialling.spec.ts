/** Dials between real nodes: retries, back-off, and the parts that an application replaces. */
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import test, { type ExecutionContext } from 'ava'
import {
  AddressManager,
  Connectedness,
  DialAllFailedError,
  DialBackOffError,
  InvalidParametersError,
  noDelayDialRanker,
  RETRY_DEFAULTS
} from '../../ts/index.ts'
import { createNode, listening, until } from '../support/pair.ts'

/** Returns a port of loopback that nothing listens on. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

test('a peer that comes up between two attempts is reached', async (t) => {
  const port = await freePort()
  const listener = await createNode(t)
  const dialer = await createNode(t, { retry: { maxRetries: 100, initialDelay: 20, maxDelay: 20 } })
  const dial = dialer.dialPeer(listener.peerId, { addresses: [`/ip4/127.0.0.1/tcp/${port}`] })
  await listener.listen(`/ip4/127.0.0.1/tcp/${port}`)
  const connection = await dial
  t.true(connection.remotePeer.equals(listener.peerId))
})

// S5, S25, S26, go 10
test('a dead address is left alone for a while, and a live connection is still an answer', async (t) => {
  const dialer = await createNode(t, { retry: { maxRetries: 0 } })
  const listener = await listening(t)
  const dead = `/ip4/127.0.0.1/tcp/${await freePort()}`
  const dial = (force = false) => dialer.dialPeer(listener.peerId, { addresses: [dead], force })
  await t.throwsAsync(dial(), { instanceOf: DialAllFailedError })
  t.is(dialer.connectedness(listener.peerId), Connectedness.CannotConnect)
  const err = await t.throwsAsync(dial(), { instanceOf: DialAllFailedError })
  t.true(err.attempts[0]?.cause instanceof DialBackOffError)
  const forced = await t.throwsAsync(dial(true), { instanceOf: DialAllFailedError })
  t.is(forced.attempts[0]?.cause.code, 'ERR_CONNECTION_REFUSED')
  // The other side connects: the back-off ends.
  await dialer.listen('/ip4/127.0.0.1/tcp/0')
  await listener.dialPeer(dialer.peerId, { addresses: dialer.getListenAddrs() })
  await until(() => dialer.connectedness(listener.peerId) === Connectedness.Connected)
  t.is((await dial()).direction, 'inbound')
})

test('an address manager of the application filters, ranks and caps', async (t) => {
  const listener = await listening(t)
  const [address = ''] = listener.getListenAddrs().map(String)
  const calls: string[] = []
  const addressManager = {
    filter: (addresses: readonly string[]) => {
      calls.push('filter')
      const refused = addresses
        .filter((each) => !each.includes('127.0.0.1'))
        .map((each) => ({ address: each, reason: 'not here', hint: '' }))
      return { accepted: addresses.filter((each) => each.includes('127.0.0.1')), refused }
    },
    rank: (addresses: readonly string[]) => {
      calls.push('rank')
      return noDelayDialRanker(addresses)
    },
    cap: (addresses: readonly string[]) => {
      calls.push('cap')
      return addresses.slice(0, 1)
    }
  }
  const dialer = await createNode(t, { addressManager })
  const other = '/ip4/192.0.2.1/tcp/1'
  await dialer.dialPeer(listener.peerId, { addresses: [other, address] })
  t.deepEqual(calls, ['filter', 'cap', 'rank'])
  const err = await t.throwsAsync(dialer.dialAddr(other), { instanceOf: DialAllFailedError })
  t.like(err.attempts[0], { address: other, stage: 'filter' })
  t.is(err.attempts[0]?.cause.message, 'not here')
  t.is(dialer.addressManager, addressManager)
})

test('what an address manager throws, and a ranking of other addresses, reject the dial alone', async (t) => {
  class Broken extends AddressManager {
    override rank(): never {
      throw new Error('no ranking')
    }
  }
  class Wrong extends AddressManager {
    override rank() {
      return [{ address: '/ip4/127.0.0.1/tcp/9', delay: 0 }]
    }
  }
  const address = '/ip4/127.0.0.1/tcp/1'
  const broken = await createNode(t, { addressManager: new Broken() })
  await t.throwsAsync(broken.dialAddr(address), { message: 'no ranking' })
  const wrong = await createNode(t, { addressManager: new Wrong() })
  await t.throwsAsync(wrong.dialAddr(address), { instanceOf: InvalidParametersError })
  t.deepEqual([wrong.dialQueue.pending, broken.dialQueue.pending], [0, 0])
})

test('a ranking that leaves out every address fails the dial at once, and names them', async (t) => {
  const address = '/ip4/127.0.0.1/tcp/1'
  const addressManager = new AddressManager({ ranker: () => [] })
  const node = await createNode(t, { addressManager })
  const err = await t.throwsAsync(node.dialAddr(address), { instanceOf: DialAllFailedError })
  t.like(err.attempts[0], { address, stage: 'filter' })
  t.is(err.attempts[0]?.cause.message, 'other addresses were preferred')
  t.deepEqual([node.dialQueue.pending, node.dialQueue.size], [0, 0])
})

test('a peer that went in an orderly way and cannot be reached any more is CannotConnect', async (t) => {
  const dialer = await createNode(t, { retry: { maxRetries: 0 } })
  const listener = await listening(t)
  const connection = await dialer.dialPeer(listener.peerId, {
    addresses: listener.getListenAddrs()
  })
  await connection.close()
  t.is(dialer.connectedness(listener.peerId), Connectedness.CanConnect)
  await listener.close()
  await t.throwsAsync(dialer.dialPeer(listener.peerId), { instanceOf: DialAllFailedError })
  t.is(dialer.connectedness(listener.peerId), Connectedness.CannotConnect)
})

test('retries have defaults, and an invalid one is refused by name', async (t) => {
  const node = await createNode(t)
  t.deepEqual(node.retryConfig, RETRY_DEFAULTS)
  await t.throwsAsync(createNode(t, { retry: { initialDelay: 2, maxDelay: 1 } }), {
    instanceOf: InvalidParametersError,
    message: /retry\.initialDelay/
  })
})

// go 4
test('two nodes that dial each other at once are connected, 200 times', async (t) => {
  const [one, other] = [await listening(t), await listening(t)]
  for (let round = 0; round < 200; round += 1) {
    const [there, back] = await Promise.all([
      one.dialPeer(other.peerId, { addresses: other.getListenAddrs() }),
      other.dialPeer(one.peerId, { addresses: one.getListenAddrs() })
    ])
    t.true(there.remotePeer.equals(other.peerId) && back.remotePeer.equals(one.peerId))
    await Promise.all([one.closePeer(other.peerId), other.closePeer(one.peerId)])
  }
  t.deepEqual([one.dialQueue.pending, other.dialQueue.pending], [0, 0])
})

/** Returns the addresses of servers that accept and stay silent. */
async function silentAddresses(t: ExecutionContext, count: number): Promise<string[]> {
  return Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, '127.0.0.1')
      t.teardown(() => server.close())
      await once(server, 'listening')
      return `/ip4/127.0.0.1/tcp/${(server.address() as AddressInfo).port}`
    })
  )
}

// S6, S22
test('a good address is connected beside a silent one, however often it is given', async (t) => {
  const listener = await listening(t)
  const [address = ''] = listener.getListenAddrs().map(String)
  const [silent = ''] = await silentAddresses(t, 1)
  const dialer = await createNode(t)
  const connection = await dialer.dialPeer(listener.peerId, {
    addresses: [silent, address, address, silent]
  })
  t.is(`${connection.remoteAddr}`, address)
  t.is(dialer.getTotalConnections(), 1)
})

// S23
test('concurrent dials of a dead peer make one set of attempts, and fail alike', async (t) => {
  const dead = `/ip4/127.0.0.1/tcp/${await freePort()}`
  const peer = await createNode(t)
  const dialer = await createNode(t, { retry: { maxRetries: 0 } })
  let ended = 0
  dialer.addEventListener('dial', () => {
    ended += 1
  })
  const calls = Array.from({ length: 10 }, () =>
    dialer.dialPeer(peer.peerId, { addresses: [dead] }).catch((err: unknown) => err)
  )
  const errors = await Promise.all(calls)
  for (const err of errors) {
    t.true(err instanceof DialAllFailedError)
    if (err instanceof DialAllFailedError)
      t.is(err.attempts[0]?.cause.code, 'ERR_CONNECTION_REFUSED')
  }
  t.is(ended, 1)
})

// S24
test('an address behind eight silent ones is reached', async (t) => {
  const listener = await listening(t)
  const [address = ''] = listener.getListenAddrs().map(String)
  const silent = await silentAddresses(t, 8)
  const ranker = (addresses: readonly string[]) =>
    addresses.map((each) => ({ address: each, delay: each === address ? 1 : 0 }))
  const dialer = await createNode(t, {
    addressManager: new AddressManager({ ranker }),
    connections: { dialTimeout: 200 },
    retry: { maxRetries: 0 }
  })
  const connection = await dialer.dialPeer(listener.peerId, { addresses: [...silent, address] })
  t.is(`${connection.remoteAddr}`, address)
})

test('a call that accepts noise alone uses TCP beside QUIC, and its repeats use that connection', async (t) => {
  const listener = await createNode(t)
  await listener.listen('/ip4/127.0.0.1/tcp/0', '/ip4/127.0.0.1/udp/0/quic-v1')
  const dialer = await createNode(t)
  const options = { addresses: listener.getListenAddrs(), security: ['noise'] } as const
  const first = await dialer.dialPeer(listener.peerId, options)
  t.like(first.state, { transport: 'tcp', security: '/noise' })
  t.is(await dialer.dialPeer(listener.peerId, options), first)
  t.is(dialer.getTotalConnections(), 1)

  const noise = await createNode(t, { security: ['noise'] })
  await noise.listen()
  for (const addr of noise.getListenAddrs()) t.regex(`${addr}`, /\/tcp\/\d+$/)
  const connection = await noise.dialPeer(listener.peerId, { addresses: options.addresses })
  t.is(connection.state.security, '/noise')
})
