/** The hooks of a gater for connections: their order, what they are told, and what a refusal does to both ends. */
import { duplexPair } from 'node:stream'
import test, { type ExecutionContext } from 'ava'
import {
  type AcceptedConnection,
  type Connection,
  ConnectionErrorCode,
  type ConnectionGater,
  DialAllFailedError,
  DialDeniedError,
  type GateAnswer,
  InvalidParametersError,
  type RefusedDetail,
  type SecuredConnection,
  type SecurityName,
  Swarm,
  type SwarmOptions,
  type UpgradedConnection,
  UpgradeError
} from '../../ts/index.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { frameMuxer } from '../support/frame-muxer.ts'
import { createNode, until } from '../support/pair.ts'
import { line, MULTISTREAM, RawPeer } from '../support/raw-peer.ts'

type Stage = 'accept' | 'secured' | 'upgraded'
type Told = AcceptedConnection | SecuredConnection | UpgradedConnection
type Hook = (stage: Stage, told: Told) => GateAnswer | Promise<GateAnswer>

const SECURITIES: readonly SecurityName[] = ['noise', 'tls']
const PROTOCOLS = { noise: '/noise', tls: '/tls/1.0.0' } as const

/** A gater with all three hooks for connections. */
function gaterOf(hook: Hook): ConnectionGater {
  return {
    accept: (told) => hook('accept', told),
    secured: (told) => hook('secured', told),
    upgraded: (told) => hook('upgraded', told)
  }
}

interface Ends {
  readonly dialer: Swarm
  readonly listener: Swarm
  readonly address: string
  /** What each side has refused, and the stages that it was asked for. */
  readonly refused: { readonly dialer: RefusedDetail[]; readonly listener: RefusedDetail[] }
  /** Dials; resolves to the error of the attempt. */
  failure(): Promise<{ stage: string; cause: Error }>
}

async function ends(
  t: ExecutionContext,
  options: { dialer?: SwarmOptions; listener?: SwarmOptions; security?: SecurityName } = {}
): Promise<Ends> {
  const both = options.security === undefined ? {} : { security: [options.security] }
  const dialer = await createNode(t, { ...both, ...options.dialer, retry: { maxRetries: 2 } })
  const listener = await createNode(t, { ...both, ...options.listener })
  await listener.listen('/ip4/127.0.0.1/tcp/0')
  const refused = { dialer: [] as RefusedDetail[], listener: [] as RefusedDetail[] }
  dialer.addEventListener('refused', ({ detail }) => void refused.dialer.push(detail))
  listener.addEventListener('refused', ({ detail }) => void refused.listener.push(detail))
  const address = `${listener.getListenAddrs()[0]}`
  return {
    dialer,
    listener,
    address,
    refused,
    async failure() {
      const dial = dialer.dialPeer(listener.peerId, { addresses: [address] })
      const { attempts } = await t.throwsAsync(dial, { instanceOf: DialAllFailedError })
      t.is(attempts.length, 1)
      const [{ stage, cause } = { stage: '', cause: new Error('none') }] = attempts
      return { stage, cause }
    }
  }
}

function isAccountFree(swarm: Swarm): boolean {
  const { transient, system } = swarm.resourceManager.stat()
  const all = [transient, system]
  return all.every(({ numConnsInbound, numConnsOutbound, numFD }) => {
    return numConnsInbound + numConnsOutbound + numFD === 0
  })
}

for (const security of SECURITIES) {
  // go 94
  test(`the hooks are asked in order and told what is known, over ${security}`, async (t) => {
    const asked: string[] = []
    const told: { side: string; stage: Stage; told: Told }[] = []
    const hookOf =
      (side: string): Hook =>
      (stage, it) => {
        asked.push(`${side} ${stage}`)
        told.push({ side, stage, told: it })
        t.true(Object.isFrozen(it))
        return side === 'listener' ? Promise.resolve(true) : true
      }
    const dials: ConnectionGater = {
      peerDial: () => asked.push('dialer peerDial') > 0,
      addrDial: () => asked.push('dialer addrDial') > 0
    }
    const { dialer, listener, address } = await ends(t, {
      security,
      dialer: { gater: { ...dials, ...gaterOf(hookOf('dialer')) } },
      listener: { gater: gaterOf(hookOf('listener')) }
    })
    const announced = new Promise<string>((resolve) => {
      listener.addEventListener('connected', () => resolve(asked.at(-1) ?? ''), { once: true })
    })
    const outbound = await dialer.dialPeer(listener.peerId, { addresses: [address] })
    await announced
    const of = (side: string): string[] => asked.filter((each) => each.startsWith(side))
    t.deepEqual(of('dialer'), [
      'dialer peerDial',
      'dialer addrDial',
      'dialer secured',
      'dialer upgraded'
    ])
    t.deepEqual(of('listener'), ['listener accept', 'listener secured', 'listener upgraded'])
    const [inbound] = listener.getConnections()
    for (const { side, stage, told: it } of told) {
      const connection = side === 'dialer' ? outbound : inbound
      const { localAddr, remoteAddr, ...rest } = it as UpgradedConnection
      t.is(`${localAddr} ${remoteAddr}`, `${connection?.localAddr} ${connection?.remoteAddr}`)
      const { direction, peer } = rest
      if (stage === 'accept') t.deepEqual(rest as object, {})
      else t.deepEqual([direction, `${peer}`], [connection?.direction, `${connection?.remotePeer}`])
      if (stage !== 'upgraded') continue
      t.deepEqual([rest.security, rest.muxer], [PROTOCOLS[security], '/yamux/1.0.0'])
    }
  })

  // go 91
  test(`a remote that is not accepted gets no byte, over ${security}`, async (t) => {
    const asked: Stage[] = []
    const hook: Hook = (stage) => {
      asked.push(stage)
      return stage !== 'accept' || 'not today'
    }
    const { dialer, listener, failure, refused, address } = await ends(t, {
      security,
      listener: { gater: gaterOf(hook) }
    })
    const { stage, cause } = await failure()
    t.is(stage, 'security')
    t.false(cause instanceof DialDeniedError)
    t.true(asked.every((each) => each === 'accept'))
    t.like(refused.listener[0], { stage: 'accept', direction: 'inbound', rule: 'not today' })
    t.is(refused.listener[0]?.peer, undefined)
    t.is(dialer.getTotalConnections() + listener.getTotalConnections(), 0)
    const peer = await RawPeer.connect(t, Number(address.split('/').at(-1)))
    let received = 0
    peer.socket.on('data', (bytes: Buffer) => {
      received += bytes.length
    })
    peer.send(line(MULTISTREAM))
    await peer.closedWithin()
    t.is(received, 0)
    await until(() => isAccountFree(listener))
  })

  // go 92
  test(`a remote whose peer is refused is closed after the handshake, over ${security}`, async (t) => {
    const asked: Stage[] = []
    const hook: Hook = (stage) => {
      asked.push(stage)
      return stage !== 'secured' || 'a stranger'
    }
    const { dialer, listener, refused, address } = await ends(t, {
      security,
      listener: { gater: gaterOf(hook) }
    })
    // With a muxer that the handshake has negotiated, the dialer is done before the answer.
    const dial = dialer.dialPeer(listener.peerId, { addresses: [address] })
    const connection = await dial.catch(() => undefined)
    await connection?.closed
    t.deepEqual(asked, ['accept', 'secured'])
    t.like(refused.listener, [{ stage: 'secured', direction: 'inbound', rule: 'a stranger' }])
    t.is(`${refused.listener[0]?.peer}`, `${dialer.peerId}`)
    t.is(listener.getTotalConnections(), 0)
    await until(() => isAccountFree(listener))
  })

  // go 90
  test(`a dial whose peer is refused fails, and the remote sees the close, over ${security}`, async (t) => {
    const { dialer, listener, failure, refused } = await ends(t, {
      security,
      dialer: { gater: { secured: () => Promise.resolve('a stranger') } }
    })
    const { stage, cause } = await failure()
    t.is(stage, 'security')
    t.true(cause instanceof DialDeniedError)
    t.is(cause.message, 'refused by the hook secured: a stranger')
    // It is final, although retries are on.
    t.is(refused.dialer.length, 1)
    t.like(refused.dialer[0], { stage: 'secured', direction: 'outbound', rule: 'a stranger' })
    t.is(`${refused.dialer[0]?.peer}`, `${listener.peerId}`)
    await until(() => listener.getTotalConnections() === 0)
    await until(() => isAccountFree(dialer) && isAccountFree(listener))
  })

  // go 93
  test(`an upgraded connection that is refused is closed with the code, over ${security}`, async (t) => {
    for (const side of ['dialer', 'listener'] as const) {
      const gater: ConnectionGater = { upgraded: () => 'full' }
      const { dialer, listener, address, refused } = await ends(t, {
        security,
        [side]: { gater }
      })
      const announced: string[] = []
      const other = side === 'dialer' ? listener : dialer
      const refusing = side === 'dialer' ? dialer : listener
      refusing.addEventListener('connected', () => void announced.push('connected'))
      const seen = new Promise<number>((resolve) => {
        other.addEventListener('disconnected', ({ detail }) => {
          resolve(detail.closeReason?.closeCode ?? 0)
        })
      })
      const dial = dialer.dialPeer(listener.peerId, { addresses: [address] })
      if (side === 'listener') await dial
      else {
        const { attempts } = await t.throwsAsync(dial, { instanceOf: DialAllFailedError })
        t.is(attempts[0]?.stage, 'muxer')
        t.is(attempts[0]?.cause.message, 'refused by the hook upgraded: full')
      }
      t.is(await seen, ConnectionErrorCode.Gated)
      t.deepEqual(announced, [])
      t.like(refused[side], [{ stage: 'upgraded', rule: 'full' }])
      t.is(refusing.getTotalConnections(), 0)
      await until(() => isAccountFree(refusing))
    }
  })
}

test('a hook that throws, rejects or answers nothing refuses, and the failure is reported', async (t) => {
  const answers: (() => GateAnswer | Promise<GateAnswer>)[] = [
    () => {
      throw new Error('thrown')
    },
    () => Promise.reject(new Error('rejected')),
    () => undefined as unknown as boolean,
    () => false
  ]
  const rules: string[] = []
  const failures: unknown[] = []
  for (const answer of answers) {
    const { failure, refused } = await ends(t, {
      dialer: {
        gater: { secured: answer },
        logger: { error: (_: string, err: unknown) => void failures.push(err) }
      }
    })
    t.true((await failure()).cause instanceof DialDeniedError)
    rules.push(refused.dialer[0]?.rule ?? '')
  }
  t.deepEqual(rules, [
    'the gater failed: thrown',
    'the gater failed: rejected',
    'the gater has not allowed it',
    'the gater refuses it'
  ])
  t.is(failures.length, 2)
})

test('a hook that takes more than 5 s refuses', async (t) => {
  const clock = new FakeClock()
  let hasAsked = false
  const hook: Hook = (stage) => {
    if (stage !== 'secured') return true
    hasAsked = true
    return new Promise(() => {})
  }
  const { listener, dialer, address, refused } = await ends(t, {
    listener: { gater: gaterOf(hook), clock }
  })
  const dial = dialer.dialPeer(listener.peerId, { addresses: [address] }).catch(() => undefined)
  await until(() => hasAsked)
  t.is(listener.resourceManager.stat().transient.numConnsInbound, 1)
  clock.advance(4_999)
  t.deepEqual(refused.listener, [])
  clock.advance(1)
  await until(() => refused.listener.length === 1)
  t.is(refused.listener[0]?.rule, 'the gater did not answer within 5 s')
  await (await dial)?.closed
  await until(() => isAccountFree(listener))
  t.is(clock.timers, 0)
})

test('the wait for an answer is part of the time of the upgrade, and counts as transient', async (t) => {
  const answers: ((answer: boolean) => void)[] = []
  const gater: ConnectionGater = { accept: () => new Promise((resolve) => answers.push(resolve)) }
  const { listener, address, refused } = await ends(t, {
    listener: {
      gater,
      connections: { inboundUpgradeTimeout: 1_500 },
      limits: { transient: { connectionsInbound: 2 } }
    }
  })
  const port = Number(address.split('/').at(-1))
  const peers = await Promise.all([1, 2].map(() => RawPeer.connect(t, port)))
  await until(() => answers.length === 2)
  t.is(listener.resourceManager.stat().transient.numConnsInbound, 2)
  const third = await RawPeer.connect(t, port)
  await third.closedWithin()
  t.is(answers.length, 2)
  await Promise.all(peers.map((peer) => peer.closedWithin()))
  await until(() => isAccountFree(listener))
  // They answer too late: nobody waits.
  for (const answer of answers) answer(false)
  await new Promise(setImmediate)
  t.deepEqual(refused.listener, [])
})

test('a swarm that closes answers no question and leaves none', async (t) => {
  const clock = new FakeClock()
  const answers: ((answer: boolean) => void)[] = []
  const gater: ConnectionGater = { secured: () => new Promise((resolve) => answers.push(resolve)) }
  const { dialer, listener, address, refused } = await ends(t, {
    listener: { gater, clock },
    dialer: { gater, clock }
  })
  const dial = dialer.dialPeer(listener.peerId, { addresses: [address] })
  await until(() => answers.length === 2)
  await Promise.all([
    t.throwsAsync(dial),
    dialer.close({ drainTimeout: 0 }),
    listener.close({ drainTimeout: 0 })
  ])
  t.is(clock.timers, 0)
  for (const answer of answers) answer(true)
  await new Promise(setImmediate)
  t.deepEqual([...refused.dialer, ...refused.listener], [])
  t.true(isAccountFree(dialer) && isAccountFree(listener))
})

for (const [kind, options] of [
  ['native muxers', {}],
  ['muxers of the application', { muxers: [frameMuxer('/frames/1.0.0')] }]
] as const satisfies readonly (readonly [string, SwarmOptions])[]) {
  test(`the hooks are asked about duplexes, with ${kind}`, async (t) => {
    const asked: string[] = []
    let refusing = ''
    const nodeOf = (side: string): Promise<Swarm> => {
      const hook: Hook = (stage, { remoteAddr }) => {
        asked.push(`${side} ${stage} ${remoteAddr}`)
        return `${side} ${stage}` !== refusing || 'not today'
      }
      return createNode(t, { ...options, gater: gaterOf(hook) })
    }
    const [dialer, listener] = await Promise.all([nodeOf('dialer'), nodeOf('listener')])
    const upgraded = (): Promise<PromiseSettledResult<unknown>[]> => {
      asked.length = 0
      const [near, far] = duplexPair()
      return Promise.allSettled([
        dialer.upgradeOutbound(near, listener.peerId, { addr: '/memory/1' }),
        listener.upgradeInbound(far, '/memory/2')
      ])
    }
    const [outbound, inbound] = await upgraded()
    t.deepEqual([outbound?.status, inbound?.status], ['fulfilled', 'fulfilled'])
    const of = (side: string): string[] => asked.filter((each) => each.startsWith(side))
    t.deepEqual(of('dialer'), ['dialer secured /memory/1', 'dialer upgraded /memory/1'])
    t.deepEqual(of('listener'), [
      'listener accept /memory/2',
      'listener secured /memory/2',
      'listener upgraded /memory/2'
    ])
    await dialer.closePeer(listener.peerId)
    await until(() => listener.getTotalConnections() === 0)
    for (refusing of [
      'listener accept',
      'listener secured',
      'listener upgraded',
      'dialer secured',
      'dialer upgraded'
    ]) {
      const [side, stage] = refusing.split(' ')
      const results = await upgraded()
      const result = results[side === 'dialer' ? 0 : 1]
      const err = result?.status === 'rejected' ? result.reason : undefined
      t.true(err instanceof UpgradeError, refusing)
      t.true(err.cause instanceof DialDeniedError, refusing)
      t.is(err.cause.message, `refused by the hook ${stage}: not today`)
      t.is(err.stage, stage === 'upgraded' ? 'muxer' : 'security')
      const other = results[side === 'dialer' ? 1 : 0]
      if (stage === 'upgraded' && other?.status === 'fulfilled') {
        const connection = other.value as Connection
        await connection.closed
        // That muxer ends without an error, which would have the code.
        const code = kind === 'native muxers' ? ConnectionErrorCode.Gated : 0
        t.is(connection.closeReason?.closeCode, code)
      }
      await until(() => dialer.getTotalConnections() + listener.getTotalConnections() === 0)
      await until(() => isAccountFree(dialer) && isAccountFree(listener))
    }
  })
}

test('a gater is an object with hooks that are functions', (t) => {
  class Base {
    addrdial(): boolean {
      return false
    }
  }
  class Derived extends Base {
    secured(): boolean {
      return true
    }
  }
  class Field {
    readonly UPGRADED = () => false
    readonly accept = () => true
  }
  for (const gater of [
    {},
    new Derived(),
    new Field(),
    new Base(),
    Object.assign(Object.create(null), { accept: () => true, secure: () => true }),
    { accepted: () => true },
    { accept: () => true, secure: () => true },
    { secured: true },
    null,
    'all'
  ]) {
    t.throws(() => new Swarm({ gater: gater as ConnectionGater }), {
      instanceOf: InvalidParametersError,
      message: /gater/
    })
  }
  class Named {
    /** Neither is a misspelt hook. */
    accepted = 0
    isUpgraded(): boolean {
      return true
    }
    secured(): boolean {
      return this.isUpgraded()
    }
  }
  t.notThrows(() => new Swarm({ gater: new Named() }))
})
