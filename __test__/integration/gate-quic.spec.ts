/** The gate over QUIC: lists that judge the first packet, hooks that are asked after the handshake, and the event. */
import test, { type ExecutionContext } from 'ava'
import {
  ConnectionErrorCode,
  type ConnectionGater,
  DialAllFailedError,
  DialDeniedError,
  type RefusedDetail,
  type Swarm,
  type SwarmOptions,
  type UpgradedConnection
} from '../../ts/index.ts'
import { assertEcho, echoing, portOf } from '../support/echo.ts'
import { turns, until } from '../support/pair.ts'
import { firstFlights, udpSocket } from '../support/quic-flights.ts'
import { usageOf } from '../support/scopes.ts'
import { udpProxy } from '../support/udp-proxy.ts'

const STAGES = ['accept', 'secured', 'upgraded'] as const
type Stage = (typeof STAGES)[number]

const listenAt = (host: string): string => `/ip4/${host}/udp/0/quic-v1`

interface Node {
  readonly swarm: Swarm
  readonly refused: RefusedDetail[]
}

/** A node that echoes, and listens at a host, from which its dials come too. */
async function node(
  t: ExecutionContext,
  { host = '127.0.0.1', ...options }: SwarmOptions & { host?: string } = {}
): Promise<Node> {
  const swarm = await echoing(t, listenAt(host), { retry: { maxRetries: 2 }, ...options })
  const refused: RefusedDetail[] = []
  swarm.addEventListener('refused', ({ detail }) => void refused.push(detail))
  return { swarm, refused }
}

const dial = (dialer: Node, listener: Node) =>
  dialer.swarm.dialPeer(listener.swarm.peerId, { addresses: listener.swarm.getListenAddrs() })

/** Returns the first refusal of each remote: one whose first flight is two datagrams may be refused twice. */
function perRemote({ refused }: Node): RefusedDetail[] {
  return [
    ...new Map(refused.toReversed().map((one) => [`${one.remoteAddr}`, one])).values()
  ].reverse()
}

/** Resolves when a swarm is charged for nothing. */
const isFree = (...nodes: readonly Node[]): Promise<void> =>
  until(() =>
    nodes.every(({ swarm }) =>
      ['system', 'transient'].every((scope) => {
        const { connectionsInbound, connectionsOutbound, memory } = usageOf(swarm, scope)
        return connectionsInbound + connectionsOutbound + memory === 0
      })
    )
  )

// go 94
test('the hooks are asked in order and told the addresses, the peer and TLS', async (t) => {
  const told: { side: string; stage: Stage; it: Partial<UpgradedConnection> }[] = []
  const gaterOf = (side: string): ConnectionGater => {
    const hook = (stage: Stage) => (it: object) => told.push({ side, stage, it }) > 0
    return { accept: hook('accept'), secured: hook('secured'), upgraded: hook('upgraded') }
  }
  const dialer = await node(t, { gater: gaterOf('dialer') })
  const listener = await node(t, { gater: gaterOf('listener') })
  const outbound = await dial(dialer, listener)
  await until(() => listener.swarm.getTotalConnections() === 1)
  const [inbound] = listener.swarm.getConnections()
  const stagesOf = (of: string): string[] =>
    told.filter(({ side }) => side === of).map(({ stage }) => stage)
  t.deepEqual(stagesOf('dialer'), ['secured', 'upgraded'])
  t.deepEqual(stagesOf('listener'), ['accept', 'secured', 'upgraded'])
  for (const { side, stage, it } of told) {
    const connection = side === 'dialer' ? outbound : inbound
    t.is(`${it.localAddr} ${it.remoteAddr}`, `${connection?.localAddr} ${connection?.remoteAddr}`)
    t.regex(`${it.remoteAddr}`, /^\/ip4\/127\.0\.0\.1\/udp\/[1-9]\d*\/quic-v1$/)
    if (stage !== 'accept') t.is(`${it.peer}`, `${connection?.remotePeer}`)
    if (stage === 'upgraded') t.deepEqual([it.security, it.muxer], ['/tls/1.0.0', ''])
  }
})

for (const [stage, id] of [
  ['accept', 'go 91'],
  ['secured', 'go 92'],
  ['upgraded', 'go 93']
] as const) {
  test(`a remote that the hook ${stage} refuses is closed with the code, and told of to nobody (${id})`, async (t) => {
    const asked: Stage[] = []
    const hook = (at: Stage) => () => {
      asked.push(at)
      return at !== stage || 'not today'
    }
    const listener = await node(t, {
      gater: { accept: hook('accept'), secured: hook('secured'), upgraded: hook('upgraded') }
    })
    const dialer = await node(t)
    let announced = 0
    listener.swarm.addEventListener('connected', () => (announced += 1))
    // The dialler's handshake is over before the hooks are asked.
    const connection = await dial(dialer, listener)
    await connection.closed
    t.like(connection.closeReason, { closeCode: ConnectionErrorCode.Gated, remote: true })
    t.deepEqual(asked, STAGES.slice(0, STAGES.indexOf(stage) + 1))
    await until(() => listener.refused.length === 1)
    t.like(listener.refused, [{ stage, direction: 'inbound', rule: 'not today' }])
    t.is(`${listener.refused[0]?.remoteAddr}`, `${dialer.swarm.getListenAddrs()[0]}`)
    const peer = stage === 'accept' ? 'undefined' : `${dialer.swarm.peerId}`
    t.is(`${listener.refused[0]?.peer}`, peer)
    await isFree(listener, dialer)
    t.is(announced, 0)
  })
}

for (const [stage, id] of [
  ['secured', 'go 90'],
  ['upgraded', 'go 93']
] as const) {
  test(`a dial that its hook ${stage} refuses fails for good, and the remote sees the code (${id})`, async (t) => {
    const dialer = await node(t, { gater: { [stage]: () => Promise.resolve('a stranger') } })
    const listener = await node(t)
    const seen = new Promise<unknown>((resolve) => {
      listener.swarm.addEventListener('disconnected', ({ detail }) => resolve(detail.closeReason))
    })
    const err = await t.throwsAsync(dial(dialer, listener), { instanceOf: DialAllFailedError })
    t.is(err.attempts.length, 1)
    t.is(err.attempts[0]?.stage, stage === 'secured' ? 'security' : 'muxer')
    t.true(err.attempts[0]?.cause instanceof DialDeniedError)
    t.is(err.attempts[0]?.cause.message, `refused by the hook ${stage}: a stranger`)
    t.like(await seen, { closeCode: ConnectionErrorCode.Gated, remote: true })
    // Although retries are on.
    t.is(dialer.refused.length, 1)
    await isFree(dialer, listener)
  })
}

// G2
test('a host on the deny list is refused at its first packet, and others are served', async (t) => {
  const listener = await node(t, { connections: { deny: ['127.0.0.2', '127.0.0.8/30'] } })
  for (const host of ['127.0.0.2', '127.0.0.9']) {
    const stranger = await node(t, { host, retry: { maxRetries: 0 } })
    const err = await t.throwsAsync(dial(stranger, listener), { instanceOf: DialAllFailedError })
    t.is(err.attempts[0]?.cause.code, 'ERR_CONNECTION_REFUSED')
  }
  await until(() => perRemote(listener).length === 2)
  t.deepEqual(
    perRemote(listener).map(({ stage, direction, peer, rule }) => [stage, direction, peer, rule]),
    [
      ['accept', 'inbound', undefined, 'deny 127.0.0.2'],
      ['accept', 'inbound', undefined, 'deny 127.0.0.8/30']
    ]
  )
  t.regex(`${listener.refused[0]?.remoteAddr}`, /^\/ip4\/127\.0\.0\.2\/udp\/\d+\/quic-v1$/)
  await assertEcho(t, await dial(await node(t, { host: '127.0.0.3' }), listener), 10_000)
})

// G2
test('an allow list refuses every other host, and both lists change at run time', async (t) => {
  const listener = await node(t)
  const { connectionGate } = listener.swarm
  connectionGate.allow('127.0.0.4/30')
  const [inside, outside] = [
    await node(t, { host: '127.0.0.5', retry: { maxRetries: 0 } }),
    await node(t, { host: '127.0.0.9', retry: { maxRetries: 0 } })
  ]
  await assertEcho(t, await dial(inside, listener), 10_000)
  await t.throwsAsync(dial(outside, listener), { instanceOf: DialAllFailedError })
  await until(() => perRemote(listener).length === 1)
  t.is(listener.refused[0]?.rule, 'not in the allow list')
  connectionGate.removeAllowed('127.0.0.4/30')
  const again = outside.swarm.dialPeer(listener.swarm.peerId, {
    addresses: listener.swarm.getListenAddrs(),
    force: true
  })
  await assertEcho(t, await again, 100)
})

test('an address over QUIC that the lists refuse is not dialled, and the error has the rule', async (t) => {
  const listener = await node(t)
  const proxy = await udpProxy(t, portOf(listener.swarm))
  const dialer = await node(t, { connections: { deny: ['127.0.0.0/8'] } })
  const addresses = [`/ip4/127.0.0.1/udp/${proxy.port}/quic-v1`]
  const dialled = dialer.swarm.dialPeer(listener.swarm.peerId, { addresses })
  const err = await t.throwsAsync(dialled, { instanceOf: DialAllFailedError })
  t.deepEqual(
    err.attempts.map(({ stage, cause }) => [stage, cause.message]),
    [['gate', 'deny 127.0.0.0/8']]
  )
  await turns()
  t.is(proxy.sent.length, 0)
})

test('open connections over QUIC that a new entry refuses are closed with the code if asked for', async (t) => {
  const [listener, dialer] = [await node(t), await node(t, { host: '127.0.0.2' })]
  const connection = await dial(dialer, listener)
  await until(() => listener.swarm.getTotalConnections() === 1)
  const [inbound] = listener.swarm.getConnections()
  listener.swarm.connectionGate.deny('127.0.0.3', { closeOpen: true })
  await assertEcho(t, await dial(dialer, listener), 10_000)
  listener.swarm.connectionGate.deny('127.0.0.2', { closeOpen: true })
  await connection.closed
  t.like(connection.closeReason, { closeCode: ConnectionErrorCode.Gated, remote: true })
  t.is(inbound?.closeReason?.rule, 'deny 127.0.0.2')
})

test('a dial over QUIC that is refused is told of once, though its first flight is two datagrams', async (t) => {
  const listener = await node(t, { connections: { deny: ['127.0.0.1'] } })
  const [flight = []] = await firstFlights(t, 1)
  const socket = await udpSocket(t)
  let answers = 0
  socket.on('message', () => {
    answers += 1
  })
  for (const [index, datagram] of flight.entries()) {
    socket.send(datagram, portOf(listener.swarm), '127.0.0.1')
    // The first one is refused, which its remote hears of, before the second one arrives.
    if (index === 0) await until(() => answers === 1 && listener.refused.length === 1)
  }
  // What comes later, from elsewhere, is told of after both.
  const stranger = await node(t, { retry: { maxRetries: 0 } })
  await t.throwsAsync(dial(stranger, listener), { instanceOf: DialAllFailedError })
  await until(() => perRemote(listener).length === 2)
  const { port } = socket.address()
  const ofFlight = listener.refused.filter(({ remoteAddr }) =>
    `${remoteAddr}`.includes(`/${port}/`)
  )
  t.is(ofFlight.length, 1)
})
