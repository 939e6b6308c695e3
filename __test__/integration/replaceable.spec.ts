/** Parts of a swarm that an application replaces decide: retries, ranking, the address manager, the strategy. */
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import test from 'ava'
import { AddressManager, DialAllFailedError, InvalidParametersError } from '../../ts/index.ts'
import { createNode, listening } from '../support/pair.ts'

test('the retries of the application decide how often an address is dialled', async (t) => {
  let arrived = 0
  const server = createServer((socket) => {
    arrived += 1
    socket.resetAndDestroy()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const address = `/ip4/127.0.0.1/tcp/${(server.address() as AddressInfo).port}`
  for (const maxRetries of [0, 2]) {
    const dialer = await createNode(t, { retry: { maxRetries, initialDelay: 1 } })
    t.is(dialer.retryConfig.maxRetries, maxRetries)
    await t.throwsAsync(dialer.dialAddr(address), { instanceOf: DialAllFailedError })
    t.is(arrived, 1 + maxRetries)
    arrived = 0
  }
})

test('the ranker of the application decides which address is dialled first', async (t) => {
  const listener = await createNode(t)
  await listener.listen('/ip4/127.0.0.1/tcp/0', '/ip4/127.0.0.2/tcp/0')
  for (const first of listener.getListenAddrs().map(String)) {
    const addressManager = new AddressManager({
      ranker: (addresses) =>
        addresses.map((address) => ({ address, delay: address === first ? 0 : 60_000 }))
    })
    const dialer = await createNode(t, { addressManager })
    const connection = await dialer.dialPeer(listener.peerId, {
      addresses: listener.getListenAddrs()
    })
    t.is(`${connection.remoteAddr}`, first)
  }
})

test('the address manager of the application decides which addresses are dialled', async (t) => {
  class Only extends AddressManager {
    override cap(addresses: readonly string[]): readonly string[] {
      return super.cap(addresses).filter((address) => address.includes('/127.0.0.2/'))
    }
  }
  const listener = await createNode(t)
  await listener.listen('/ip4/127.0.0.1/tcp/0', '/ip4/127.0.0.2/tcp/0')
  const addressManager = new Only()
  const dialer = await createNode(t, { addressManager })
  t.is(dialer.addressManager, addressManager)
  const connection = await dialer.dialPeer(listener.peerId, {
    addresses: listener.getListenAddrs()
  })
  t.regex(`${connection.remoteAddr}`, /\/127\.0\.0\.2\//)
})

test('what an address manager of the application returns is checked', async (t) => {
  const ours = new AddressManager()
  const whole = {
    filter: ours.filter.bind(ours),
    cap: ours.cap.bind(ours),
    rank: ours.rank.bind(ours)
  }
  const listener = await listening(t)
  for (const [method, result, message] of [
    ['filter', undefined, /result of filter.* an object, received undefined/],
    ['filter', { refused: [] }, /filter has accepted.* an array, received undefined/],
    ['filter', { accepted: [] }, /filter has refused.* an array, received undefined/],
    ['cap', undefined, /result of cap.* an array, received undefined/],
    ['rank', null, /ranked addresses.* an array, received null/]
  ] as const) {
    const dialer = await createNode(t, {
      addressManager: { ...whole, [method]: () => result as never }
    })
    const dial = dialer.dialPeer(listener.peerId, { addresses: listener.getListenAddrs() })
    await t.throwsAsync(dial, { instanceOf: InvalidParametersError, message })
  }
})

test('the strategy of the application decides which connection a stream is opened on', async (t) => {
  let wanted = 0
  const dialer = await createNode(t, {
    connections: { strategy: (connections) => connections.slice(wanted, wanted + 1) }
  })
  const listener = await createNode(t)
  listener.handle('/echo', (stream) => stream.close())
  await listener.listen('/ip4/127.0.0.1/tcp/0')
  const addresses = listener.getListenAddrs()
  const dial = () => dialer.dialPeer(listener.peerId, { addresses, force: true })
  const connections = [await dial(), await dial(), await dial()]
  for (const choice of [1, 0, 2]) {
    wanted = choice
    const stream = await dialer.newStream(listener.peerId, '/echo')
    t.is(connections.indexOf(stream.connection), choice)
  }
})
