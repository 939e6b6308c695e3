/** Which addresses a swarm listens on, over a node that binds everything. */
import test from 'ava'
import { InvalidParametersError, ListenError } from '../../ts/errors.ts'
import type { NativeNode } from '../../ts/native/addon.ts'
import type { RequestId } from '../../ts/native/handles.ts'
import { type ListenerHost, Listeners } from '../../ts/swarm/listener.ts'
import type { TransportChoice } from '../../ts/transport/choice.ts'
import { Transports } from '../../ts/transport/transports.ts'
import { SELF } from '../support/dial-host.ts'
import { FakeClock } from '../support/fake-clock.ts'

const ALL: readonly TransportChoice[] = ['tcp', 'quic', 'ws', 'unix', 'memory']

function setUp(transports: readonly TransportChoice[] = ALL, hasCertificate = true) {
  const bound: string[] = []
  const node: Pick<NativeNode, 'listen' | 'unlisten'> = {
    listen: (_request, address) => void bound.push(address),
    unlisten: () => {}
  }
  const host: ListenerHost = {
    node,
    clock: new FakeClock(),
    transports: new Transports(transports, () => {}),
    swarm: { isStarted: () => true },
    engine: { adoptListener: () => {} },
    options: { identity: { peer: SELF } },
    hasCertificate,
    signal: new AbortController().signal,
    accept: () => {},
    onFailure: () => {},
    notifyAddress: () => {},
    retain: () => {},
    release: () => {},
    command: (begin) => {
      const request = bound.length as RequestId
      begin(node, request)
      const addresses = bound.slice(-1).map((address) => address.replace(/\/0(?=\/|$)/, '/4001'))
      return { request, result: Promise.resolve({ code: 0, listener: request, addresses }) }
    }
  }
  return { listeners: new Listeners(host), bound }
}

test('without an address it listens on free ports of all interfaces, over tcp and quic', async (t) => {
  const { listeners, bound } = setUp()
  t.true(await listeners.listen([]))
  t.deepEqual(bound, [
    '/ip4/0.0.0.0/tcp/0',
    '/ip4/0.0.0.0/udp/0/quic-v1',
    '/ip6/::/tcp/0',
    '/ip6/::/udp/0/quic-v1'
  ])
})

test('without an address it listens on those that a transport takes, and refuses if none does', async (t) => {
  const quic = setUp(['quic', 'unix'])
  await quic.listeners.listen([])
  t.deepEqual(quic.bound, ['/ip4/0.0.0.0/udp/0/quic-v1', '/ip6/::/udp/0/quic-v1'])
  const { listeners } = setUp(['ws', 'unix'])
  t.throws(() => listeners.listen([]), {
    instanceOf: InvalidParametersError,
    message: /at least one address, as no transport of this swarm takes one of the default ones/
  })
})

// U2
test('an address of a transport that is not enabled is refused by its name', async (t) => {
  for (const [address, name] of [
    ['/ip4/127.0.0.1/udp/0/quic-v1', 'quic'],
    ['/ip4/127.0.0.1/tcp/0/ws', 'ws'],
    ['/ip4/127.0.0.1/tcp/0/tls/ws', 'ws'],
    ['/unix/%2Frun%2Fa.sock', 'unix'],
    ['/memory/1', 'memory'],
    ['/ip4/127.0.0.1/tcp/0', 'tcp']
  ] as const) {
    const { listeners, bound } = setUp(ALL.filter((each) => each !== name))
    const err = await t.throwsAsync(listeners.listen([address]), { instanceOf: ListenError })
    const [attempt] = err.attempts
    t.like(attempt, {
      address,
      transport: name,
      stage: 'listen',
      hint: 'see the option transports'
    })
    t.is(attempt?.cause.message, `${name} is none of the transports of this swarm`)
    t.is(attempt?.cause.code, 'ERR_NO_TRANSPORT')
    t.deepEqual(bound, [])
    const { listeners: other } = setUp()
    t.true(await other.listen([address]))
  }
})

test('an address over TLS is refused without a certificate', async (t) => {
  const { listeners, bound } = setUp(ALL, false)
  const addresses = ['/tls/ws', '/wss', '/tls/sni/a.b/ws'].map(
    (over) => `/ip4/127.0.0.1/tcp/0${over}`
  )
  const err = await t.throwsAsync(listeners.listen(addresses), { instanceOf: ListenError })
  for (const attempt of err.attempts) {
    t.is(attempt.cause.message, 'TLS needs a certificate, and this swarm has none')
    t.is(attempt.hint, 'see the option webSocket')
    t.is(attempt.cause.code, 'ERR_LISTEN', 'there is a transport for it')
    t.true(attempt.cause instanceof ListenError)
  }
  t.true(await listeners.listen(['/ip4/127.0.0.1/tcp/0/ws']))
  t.is(bound.length, 1)
})

test('an address without a port cannot be shared between processes', async (t) => {
  const { listeners, bound } = setUp()
  const addresses = ['/unix/%2Frun%2Fa.sock', '/memory/1']
  const err = await t.throwsAsync(listeners.listen(addresses, { reusePort: true }), {
    instanceOf: ListenError
  })
  t.deepEqual(
    err.attempts.map(({ address, cause }) => [address, cause.code, cause.message]),
    addresses.map((address) => [
      address,
      'ERR_LISTEN',
      'reusePort needs a port, and this address has none'
    ])
  )
  t.deepEqual(bound, [])
  const ports = ['/ip4/127.0.0.1/tcp/0', '/ip4/127.0.0.1/udp/0/quic-v1', '/ip4/127.0.0.1/tcp/0/ws']
  t.true(await listeners.listen(ports, { reusePort: true }))
  t.deepEqual(bound, ports)
})

test('an address that no transport takes is refused by the part that none does', async (t) => {
  const { listeners } = setUp()
  const err = await t.throwsAsync(listeners.listen(['/ip4/127.0.0.1/udp/0/quic', '/unix/a']), {
    instanceOf: ListenError
  })
  t.deepEqual(
    err.attempts.map(({ cause }) => cause.message),
    ['no transport takes /quic', '/unix/a is not an absolute path']
  )
})

test('an own address is known by its port, whatever is spoken there, and on every interface', async (t) => {
  const { listeners } = setUp()
  await listeners.listen(['/ip4/0.0.0.0/udp/0/quic-v1', '/ip4/127.0.0.1/tcp/0/tls/ws', '/memory/7'])
  for (const own of [
    '/ip4/127.0.0.1/udp/4001/quic-v1',
    '/ip4/127.0.0.1/tcp/4001/tls/sni/a.b/ws',
    '/ip4/127.0.0.1/tcp/4001/wss',
    '/memory/7'
  ]) {
    t.true(listeners.owns(own), own)
  }
  for (const other of [
    '/ip4/127.0.0.1/udp/4002/quic-v1',
    '/ip6/::1/udp/4001/quic-v1',
    '/ip4/127.0.0.2/tcp/4001/ws',
    `/ip4/127.0.0.1/tcp/4001/p2p/${SELF}/p2p-circuit`,
    `/ip4/127.0.0.1/tcp/4001/ws/p2p/${SELF}/p2p-circuit`,
    `/ip4/127.0.0.1/udp/4001/quic-v1/p2p/${SELF}/p2p-circuit`,
    '/memory/8',
    '/unix/%2Fa'
  ]) {
    t.false(listeners.owns(other), other)
  }
})
