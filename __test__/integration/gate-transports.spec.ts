/** The gate and connections of transports: what its hooks are not asked about, and bounds of the wait for them. */
import test, { type ExecutionContext } from 'ava'
import {
  ConnectionErrorCode,
  type ConnectionGater,
  DialAllFailedError,
  type GateAnswer,
  type Opened,
  type PeerLike,
  type RefusedDetail,
  type Swarm,
  type SwarmOptions,
  type Transport,
  type TransportConn
} from '../../ts/index.ts'
import { PEER } from '../support/added.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { type MemoryConn, memoryConns } from '../support/memory-muxer.ts'
import { createNode, turns, until } from '../support/pair.ts'

const OTHER = 'QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC'
const HERE = '/ip4/10.0.0.9/tcp/1'
const THERE = '/ip4/198.51.100.1/tcp/1'

interface Node {
  readonly swarm: Swarm
  /** The hooks that were asked. */
  readonly asked: string[]
  readonly refused: RefusedDetail[]
  /** What the next dials open. */
  readonly dialled: MemoryConn[]
  /** Opens a connection as a remote does. */
  arrive(conn: MemoryConn, remoteAddr?: string): void
}

/** A node with a transport whose connections a test makes, and a gater that asks `hook`. */
async function node(
  t: ExecutionContext,
  hook: (stage: string) => GateAnswer | Promise<GateAnswer>,
  options: SwarmOptions = {}
): Promise<Node> {
  const asked: string[] = []
  const ask = (stage: string) => (): GateAnswer | Promise<GateAnswer> => {
    asked.push(stage)
    return hook(stage)
  }
  const gater: ConnectionGater = {
    accept: ask('accept'),
    secured: ask('secured'),
    upgraded: ask('upgraded')
  }
  let accept: (opened: Opened, remoteAddr?: string) => void = () => {}
  const dialled: MemoryConn[] = []
  const transport: Transport = {
    canDial: () => true,
    dial: () => Promise.resolve(dialled.shift() as TransportConn),
    listen: (addr, onOpened) => {
      accept = onOpened
      return { addresses: [addr], close: () => {} }
    }
  }
  const retry = { maxRetries: 0 }
  const swarm = await createNode(t, { transports: [transport], gater, retry, ...options })
  const refused: RefusedDetail[] = []
  swarm.addEventListener('refused', ({ detail }) => void refused.push(detail))
  await swarm.listen(HERE)
  const arrive = (conn: MemoryConn, remoteAddr = THERE): void =>
    accept(conn as TransportConn, remoteAddr)
  return { swarm, asked, refused, dialled, arrive }
}

/** Returns a connection to a peer. */
function connOf(peer: PeerLike): MemoryConn {
  return memoryConns(peer).near
}

/** A hook whose answers a test gives. */
function hesitant(): {
  readonly answers: ((answer: GateAnswer) => void)[]
  readonly hook: () => Promise<GateAnswer>
} {
  const answers: ((answer: GateAnswer) => void)[] = []
  return { answers, hook: () => new Promise((resolve) => answers.push(resolve)) }
}

function transientOf(swarm: Swarm): number {
  const { numConnsInbound, numConnsOutbound } = swarm.resourceManager.stat().transient
  return numConnsInbound + numConnsOutbound
}

function totalOf(swarm: Swarm): number {
  const { numConnsInbound, numConnsOutbound } = swarm.resourceManager.stat().system
  return numConnsInbound + numConnsOutbound
}

test('a connection of a transport is transient while hooks hesitate, and limits bound their number', async (t) => {
  const { answers, hook } = hesitant()
  const { swarm, arrive } = await node(t, hook, {
    limits: { transient: { connectionsInbound: 2 } }
  })
  const conns = [connOf(PEER), connOf(OTHER), connOf(PEER)]
  for (const conn of conns) arrive(conn)
  await until(() => answers.length === 2)
  t.is(transientOf(swarm), 2)
  t.deepEqual(
    conns.map(({ calls }) => calls),
    [[], [], [`close ${ConnectionErrorCode.ResourceLimitExceeded}`]]
  )
  answers[0]?.(true)
  answers[1]?.('not today')
  await until(() => answers.length === 3)
  t.deepEqual(conns[1]?.calls, [`close ${ConnectionErrorCode.Gated}`])
  t.is(transientOf(swarm), 1)
  answers[2]?.(true)
  // The peer is known, and charged.
  await until(() => answers.length === 4)
  t.is(transientOf(swarm), 0)
  t.is(totalOf(swarm), 1)
  answers[3]?.(true)
  await until(() => swarm.getTotalConnections() === 1)
  await swarm.closePeer(PEER)
  await until(() => totalOf(swarm) === 0)
})

test('the wait for hooks is part of the time for the upgrade of a connection of a transport', async (t) => {
  const clock = new FakeClock()
  const { answers, hook } = hesitant()
  const { swarm, arrive, refused, dialled } = await node(t, hook, {
    clock,
    connections: { inboundUpgradeTimeout: 300, outboundUpgradeTimeout: 400 }
  })
  const [inbound, outbound] = [connOf(OTHER), connOf(PEER)]
  arrive(inbound)
  dialled.push(outbound)
  const dial = swarm.dialPeer(PEER, { addresses: [THERE] })
  await until(() => answers.length === 2)
  t.is(totalOf(swarm), 2)
  clock.advance(299)
  await turns()
  t.false(inbound.isClosed)
  clock.advance(1)
  await until(() => inbound.isClosed)
  t.false(outbound.isClosed)
  clock.advance(100)
  const err = await t.throwsAsync(dial, { instanceOf: DialAllFailedError })
  t.is(err.attempts[0]?.cause.message, 'the upgrade took longer than 400 ms')
  t.deepEqual([inbound.calls, outbound.calls], [['close 0'], ['close 0']])
  t.is(totalOf(swarm), 0)
  // They answer too late: nobody waits.
  for (const answer of answers) answer(false)
  await turns()
  t.deepEqual(refused, [])
  t.is(answers.length, 2)
})

test('a dial that is aborted while hooks hesitate closes the connection of its transport at once', async (t) => {
  const { answers, hook } = hesitant()
  const { swarm, refused, dialled } = await node(t, hook)
  const conn = connOf(PEER)
  dialled.push(conn)
  const controller = new AbortController()
  const dial = swarm.dialPeer(PEER, { addresses: [THERE], signal: controller.signal })
  await until(() => answers.length === 1)
  // The dial has named the peer.
  t.deepEqual([transientOf(swarm), totalOf(swarm)], [0, 1])
  controller.abort()
  await t.throwsAsync(dial, { name: 'AbortError' })
  await turns()
  t.deepEqual(conn.calls, ['close 0'])
  t.is(totalOf(swarm), 0)
  answers[0]?.(false)
  await turns()
  t.deepEqual(refused, [])
})

test('a swarm that closes gives up the connections of transports that wait for hooks', async (t) => {
  const { answers, hook } = hesitant()
  const { swarm, arrive, refused, asked } = await node(t, hook)
  const [early, late] = [connOf(PEER), connOf(OTHER)]
  arrive(early)
  await until(() => answers.length === 1)
  swarm.addEventListener('closing', () => answers[0]?.(false))
  await swarm.close()
  arrive(late)
  await turns()
  const shutdown = [`close ${ConnectionErrorCode.Shutdown}`]
  t.deepEqual([early.calls, late.calls], [shutdown, shutdown])
  t.deepEqual(asked, ['accept'])
  t.deepEqual(refused, [])
})

test('hooks are not asked about connections of transports that are refused anyway', async (t) => {
  const { swarm, arrive, refused, asked, dialled } = await node(t, () => true, {
    connections: { deny: ['192.0.2.0/24'] }
  })
  const [denied, own, closed, foreign] = [
    connOf(PEER),
    connOf(swarm.peerId),
    connOf(PEER),
    connOf(OTHER)
  ]
  closed.isClosed = true
  arrive(denied, '/ip4/192.0.2.5/tcp/9')
  arrive(own)
  arrive(closed)
  dialled.push(foreign)
  const err = await t.throwsAsync(swarm.dialPeer(PEER, { addresses: [THERE] }), {
    instanceOf: DialAllFailedError
  })
  t.is(err.attempts[0]?.cause.code, 'ERR_UNEXPECTED_PEER')
  t.deepEqual(asked, [])
  t.deepEqual(
    refused.map(({ stage, rule }) => [stage, rule]),
    [['accept', 'deny 192.0.2.0/24']]
  )
  t.deepEqual(denied.calls, [`close ${ConnectionErrorCode.Gated}`])
  t.deepEqual([own.calls, foreign.calls], [['close 0'], ['close 0']])
  t.is(totalOf(swarm), 0)

  const used = connOf(PEER)
  arrive(used)
  await until(() => swarm.getTotalConnections() === 1)
  asked.length = 0
  arrive(used)
  await turns()
  t.deepEqual([asked, used.calls], [[], []])
})

test('a connection of a transport that the lists refuse while hooks hesitate is closed', async (t) => {
  const { answers, hook } = hesitant()
  const { swarm, arrive, refused } = await node(t, (stage) => stage !== 'upgraded' || hook())
  const conn = connOf(PEER)
  arrive(conn)
  await until(() => answers.length === 1)
  swarm.connectionGate.deny('198.51.100.0/24')
  answers[0]?.(true)
  await until(() => conn.isClosed)
  t.deepEqual(conn.calls, [`close ${ConnectionErrorCode.Gated}`])
  t.like(refused, [{ stage: 'accept', rule: 'deny 198.51.100.0/24' }])
  t.deepEqual([swarm.getTotalConnections(), totalOf(swarm)], [0, 0])
})
