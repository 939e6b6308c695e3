import test from 'ava'
import { AbortError, DialAllFailedError, DialDeniedError, TimeoutError } from '../../ts/errors.ts'
import { at, refused, setUp } from '../support/dial-host.ts'

// go 88
test('a refused peer rejects the call, before anything is dialled', async (t) => {
  const asked: unknown[] = []
  const gater = {
    peerDial: (peer: unknown, options: unknown) => {
      asked.push(`${peer}`, options)
      return 'not today'
    }
  }
  const { dialer, dials, peer } = setUp({}, {}, { gater })
  const err = await t.throwsAsync(
    dialer.dialPeer(peer, { addresses: [at(1)], allowLimited: 'a test' }),
    { instanceOf: DialDeniedError, message: 'not today' }
  )
  t.is(err.code, 'ERR_DIAL_DENIED')
  t.deepEqual(dials, [])
  t.is(asked[0], peer)
  t.like(asked[1], { allowLimited: 'a test' })
  t.true(Object.isFrozen(asked[1]))
})

// go 89
test('refused addresses are not dialled, and each is in the error with the reason', async (t) => {
  const gater = { addrDial: (_peer: unknown, addr: unknown) => `${addr}` === at(2) || 'closed' }
  const { dialer, dials, complete, peer } = setUp({}, { maxRetries: 0 }, { gater })
  const dial = dialer.dialPeer(peer, { addresses: [at(1), at(2)] })
  t.deepEqual(dials[0]?.addresses, [at(2)])
  complete([refused(0)])
  const err = await t.throwsAsync(dial, { instanceOf: DialAllFailedError })
  const denied = err.attempts.find(({ address }) => address === at(1))
  t.like(denied, { stage: 'gate', elapsed: 0 })
  t.is(denied?.cause.message, 'closed')
  const none = await t.throwsAsync(dialer.dialAddr(at(1), peer), { instanceOf: DialAllFailedError })
  t.true(none.cause instanceof DialDeniedError)
  t.is(dials.length, 1)
})

test('a gate is neither retried nor a reason for a back-off', async (t) => {
  let isOpen = false
  const gater = { addrDial: () => isOpen }
  const { dialer, dials, complete, peer, clock, connection } = setUp({}, {}, { gater })
  await t.throwsAsync(dialer.dialPeer(peer, { addresses: [at(1)] }))
  t.is(clock.timers, 0)
  isOpen = true
  const dial = dialer.dialPeer(peer, { addresses: [at(1)] })
  t.is(dials.length, 1)
  complete()
  t.is(await dial, connection)
})

test('a hook may take its time; the call waits no longer than it wants to', async (t) => {
  const answers: ((answer: boolean) => void)[] = []
  const gater = { addrDial: () => new Promise<boolean>((resolve) => answers.push(resolve)) }
  const { dialer, dials, complete, peer, clock, connection } = setUp({}, {}, { gater })
  const controller = new AbortController()
  const call = dialer.dialPeer(peer, { addresses: [at(1)] })
  const hurried = dialer.dialPeer(peer, { addresses: [at(1)], timeout: 100 })
  const abandoned = dialer.dialPeer(peer, { addresses: [at(1)], signal: controller.signal })
  await new Promise(setImmediate)
  controller.abort()
  await t.throwsAsync(abandoned, { instanceOf: AbortError })
  clock.advance(100)
  await t.throwsAsync(hurried, { instanceOf: TimeoutError })
  t.deepEqual(dials, [])
  for (const answer of answers) answer(true)
  await new Promise(setImmediate)
  t.is(dials.length, 1)
  complete()
  t.is(await call, connection)
  t.is(clock.timers, 0)
})

test('two calls that wait for the gater share one dial', async (t) => {
  const gater = { peerDial: async () => true }
  const { dialer, dials, complete, peer, connection } = setUp({}, {}, { gater })
  const calls = [1, 2].map(() => dialer.dialPeer(peer, { addresses: [at(1)] }))
  await new Promise(setImmediate)
  t.is(dials.length, 1)
  complete()
  t.deepEqual(await Promise.all(calls), [connection, connection])
})

test('a hook that throws, rejects, hangs or answers nonsense refuses', async (t) => {
  const oops = new Error('oops')
  const hooks: [hook: () => never, reason: RegExp][] = [
    [
      () => {
        throw oops
      },
      /the gater failed: oops/
    ],
    [() => Promise.reject(oops) as never, /the gater failed: oops/],
    [() => new Promise(() => {}) as never, /did not answer within 5 s/],
    [() => undefined as never, /has not allowed it/]
  ]
  for (const [addrDial, message] of hooks) {
    const { dialer, dials, peer, clock, failures } = setUp({}, {}, { gater: { addrDial } })
    const dial = t.throwsAsync(dialer.dialPeer(peer, { addresses: [at(1)] }), { message })
    await new Promise(setImmediate)
    clock.advance(5_000)
    await dial
    t.deepEqual(dials, [])
    t.deepEqual(failures, `${message}`.includes('oops') ? [oops] : [])
  }
})

test('refusals of dials are reported with their stage, and those of an explanation are not', async (t) => {
  const gater = {
    peerDial: () => !isBanned || 'banned',
    addrDial: (_peer: unknown, addr: unknown) => `${addr}` !== at(2) || 'closed'
  }
  let isBanned = false
  const ruleOf = (address: string): string | undefined =>
    address === at(1) ? 'deny 127.0.0.1' : undefined
  const { dialer, refusals, peer } = setUp({}, {}, { gater, ruleOf })
  await dialer.refusalOf(peer, at(1))
  await dialer.refusalOf(peer, at(2))
  t.deepEqual(refusals, [])
  const err = await t.throwsAsync(dialer.dialPeer(peer, { addresses: [at(1), at(2)] }), {
    instanceOf: DialAllFailedError
  })
  t.deepEqual(
    err.attempts.map(({ stage, cause }) => [stage, cause.message]),
    [
      ['gate', 'deny 127.0.0.1'],
      ['gate', 'closed']
    ]
  )
  isBanned = true
  await t.throwsAsync(dialer.dialPeer(peer, { addresses: [at(3)] }), {
    instanceOf: DialDeniedError
  })
  const direction = 'outbound'
  t.deepEqual(refusals, [
    ['addrDial', { direction, peer, remoteAddress: at(1) }, 'deny 127.0.0.1'],
    ['addrDial', { direction, peer, remoteAddress: at(2) }, 'closed'],
    ['peerDial', { direction, peer }, 'banned']
  ])
})
