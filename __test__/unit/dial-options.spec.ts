import test from 'ava'
import { checkOptions } from '../../ts/base/arguments.ts'
import {
  DIAL_CHECKS,
  type DialOptions,
  getDialPeerTimeout,
  getForceDirectDial,
  getNoDial,
  getSimultaneousConnect,
  getUseTransient
} from '../../ts/dial/options.ts'
import {
  DialAllFailedError,
  ERROR_CODES,
  InvalidParametersError,
  SelfDialError
} from '../../ts/errors.ts'
import { at, refused, setUp } from '../support/dial-host.ts'

test('the getters give the options with their reasons and defaults', (t) => {
  t.is(getDialPeerTimeout(), 60_000)
  t.is(getDialPeerTimeout({ timeout: 5 }), 5)
  t.deepEqual(getNoDial(), { noDial: false, reason: '' })
  t.deepEqual(getNoDial({ noDial: true }), { noDial: true, reason: '' })
  t.deepEqual(getNoDial({ noDial: 'offline' }), { noDial: true, reason: 'offline' })
  t.deepEqual(getForceDirectDial({ forceDirectDial: 'hole punching' }), {
    forceDirectDial: true,
    reason: 'hole punching'
  })
  t.deepEqual(getUseTransient({ allowLimited: false }), { useTransient: false, reason: '' })
  t.deepEqual(getSimultaneousConnect({ simultaneousConnect: { isClient: true } }), {
    isClient: true,
    reason: ''
  })
  t.is(getSimultaneousConnect(), undefined)
})

test('options of a wrong type, and unknown ones, are refused by name', (t) => {
  for (const [options, message] of [
    [{ simultaneousConnect: {} }, /simultaneousConnect\.isClient/],
    [{ simultaneousConnect: { isClient: true, client: 1 } }, /client/],
    [{ simultaneousConnect: true }, /simultaneousConnect/],
    [{ forceDirectDial: 1 }, /forceDirectDial/],
    [{ allowLimited: {} }, /allowLimited/],
    [{ useTransient: true }, /useTransient/]
  ] as [DialOptions, RegExp][]) {
    t.throws(() => checkOptions(options, DIAL_CHECKS), {
      instanceOf: InvalidParametersError,
      message
    })
  }
})

// go 19
test('a simultaneous connect dials all addresses at once, in the agreed role', async (t) => {
  const { dialer, dials, complete, peer, connection } = setUp()
  const far = ['/ip6/2001:db8::1/tcp/1', '/ip4/192.0.2.1/tcp/1', '/ip4/192.0.2.2/tcp/1']
  const dial = dialer.dialPeer(peer, {
    addresses: far,
    simultaneousConnect: { isClient: false }
  })
  t.deepEqual(
    dials[0]?.entries.map(({ delayMs }) => delayMs),
    [0, 0, 0]
  )
  t.is(dials[0]?.initiator, false)
  const other = dialer.dialPeer(peer, { addresses: far })
  t.is(dials.length, 2)
  t.true(dials[1]?.initiator)
  complete()
  complete(undefined, 0)
  t.is(await dial, connection)
  t.is(await other, connection)
})

// go 6
test('an address on which the swarm itself listens is not dialled', async (t) => {
  const { dialer, dials, peer } = setUp({}, {}, { isOwnAddress: (address) => address === at(1) })
  const err = await t.throwsAsync(dialer.dialPeer(peer, { addresses: [at(1)] }), {
    instanceOf: DialAllFailedError
  })
  t.true(err.cause instanceof SelfDialError)
  t.like(err.attempts[0], { stage: 'filter', address: at(1) })
  t.deepEqual(dials, [])
})

// go 45
test('a kind of address that nobody answers is not dialled, unless forced', async (t) => {
  const { dialer, dials, complete, peer, clock } = setUp()
  const silent = { ...refused(0), code: ERROR_CODES.ERR_TIMEOUT, elapsedMs: 10_000 }
  const lost = '/ip6/2001:db8::1/tcp/1'
  for (let count = 0; count < 100; count += 1) {
    const dial = dialer.dialAddr(lost)
    complete([silent])
    await t.throwsAsync(dial, { instanceOf: DialAllFailedError })
  }
  t.is(dials.length, 100)
  const err = await t.throwsAsync(dialer.dialPeer(peer, { addresses: [lost] }), {
    instanceOf: DialAllFailedError
  })
  t.is(dials.length, 100)
  t.like(err.attempts[0], { address: lost, stage: 'filter' })
  t.is(err.attempts[0]?.cause.code, 'ERR_BLACK_HOLE')
  const forced = dialer.dialAddr(lost, undefined, { force: true })
  t.is(dials.length, 101)
  complete([refused(0)])
  await t.throwsAsync(forced)
  void dialer.dialAddr(lost).catch(() => {})
  t.is(dials.length, 102, 'a refusal is an answer')
  t.is(clock.timers, 1)
})

test('the end of a dial is reported once, with every address', async (t) => {
  const { dialer, complete, peer, ended, connection, peerstore } = setUp()
  const failing = [1, 2].map(() => dialer.dialPeer(peer, { addresses: [at(1), `${at(2)}/ws`] }))
  complete([refused(0)])
  await Promise.allSettled(failing)
  t.is(ended.length, 1)
  t.is(`${ended[0]?.peer}`, peer)
  t.is(ended[0]?.connection, undefined)
  t.true(ended[0]?.error instanceof DialAllFailedError)
  t.deepEqual(
    ended[0]?.attempts.map(({ address }) => address),
    [at(1), `${at(2)}/ws`]
  )
  await peerstore.clearAddrs(peer)
  const dial = dialer.dialPeer(peer, { addresses: [at(3)] })
  complete()
  t.is(await dial, connection)
  t.is(ended.length, 2)
  t.like(ended[1], { connection, error: undefined, attempts: [] })
})

test('the report of a connection has the attempts that failed, and those that were abandoned', async (t) => {
  const { dialer, complete, progress, peer, connection } = setUp()
  const dial = dialer.dialPeer(peer, { addresses: [at(1), at(2), at(4001)] })
  progress({ failed: [refused(0)], underWay: [{ index: 1, stage: 'security', elapsedMs: 7 }] })
  complete()
  t.is(await dial, connection)
  const { attempts } = connection.dialReport
  t.deepEqual(
    attempts.map(({ address, stage, cause }) => [address, stage, cause.code]),
    [
      [at(1), 'connect', 'ERR_CONNECTION_REFUSED'],
      [at(2), 'security', 'ERR_ABORTED']
    ]
  )
})

test('an explanation gives the stage, the reason and a hint, and dials nothing', async (t) => {
  const gater = { addrDial: (_peer: unknown, addr: unknown) => `${addr}` !== at(3) || 'closed' }
  const { dialer, dials, complete, peer } = setUp({}, { maxRetries: 0 }, { gater })
  t.is(await dialer.refusalOf(peer, at(1)), undefined)
  t.is(await dialer.refusalOf(peer, '/dnsaddr/a.test'), undefined)
  t.like(await dialer.refusalOf(peer, at(3)), { stage: 'gate' })
  t.like(await dialer.refusalOf(peer, '/ip4/192.0.2.1/udp/1/quic-v1'), { stage: 'filter' })
  t.deepEqual(dials, [])
  const dial = dialer.dialPeer(peer, { addresses: [at(1)] })
  complete([refused(0)])
  await t.throwsAsync(dial)
  const backedOff = await dialer.refusalOf(peer, at(1))
  t.is(backedOff?.cause.code, 'ERR_DIAL_BACK_OFF')
})
