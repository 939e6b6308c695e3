import test from 'ava'
import { Connectedness } from '../../ts/constants.ts'
import {
  AbortError,
  DialAllFailedError,
  InvalidParametersError,
  NoConnectionError,
  NoRemoteAddrsError,
  SelfDialError,
  StateError,
  TimeoutError
} from '../../ts/errors.ts'
import { at, refused, SELF, setUp } from '../support/dial-host.ts'

// go 12
test('joins a dial in flight and stores the address that worked', async (t) => {
  const { dialer, dials, complete, connection, peer, peerstore } = setUp()
  const one = dialer.dialPeer(peer, { addresses: [at(1)] })
  const two = dialer.dialPeer(peer, { addresses: [at(1)] })
  t.is(dials.length, 1)
  complete()
  t.is(await one, connection)
  t.is(await two, connection)
  t.deepEqual(peerstore.addrs(peer).map(String), [at(4001), at(1)])
})

// go 13
test('a caller that gives up does not affect the others; the last one cancels the dial', async (t) => {
  const { dialer, cancelled, dials, peer, clock } = setUp()
  const controller = new AbortController()
  const one = dialer.dialPeer(peer, { addresses: [at(1)], signal: controller.signal })
  const two = dialer.dialPeer(peer, { addresses: [at(1)], timeout: 500 })
  controller.abort()
  await t.throwsAsync(one, { instanceOf: AbortError })
  t.deepEqual(cancelled, [])
  clock.advance(500)
  await t.throwsAsync(two, { instanceOf: TimeoutError })
  t.deepEqual(cancelled, [dials[0]?.request])
})

// go 11
test('reports every address that failed, with its cause', async (t) => {
  const { dialer, complete, peer, clock } = setUp()
  const dial = dialer.dialPeer(peer, { addresses: [at(1), at(2)] })
  complete([refused(0), refused(1)])
  const err = await t.throwsAsync(dial, { instanceOf: DialAllFailedError })
  t.is(err.peerId, peer)
  t.is(err.numAddrsTried, 2)
  t.like(err.attempts[0], { address: at(1), transport: 'tcp', stage: 'connect', elapsed: 3 })
  t.is(err.attempts[0]?.cause.code, 'ERR_CONNECTION_REFUSED')
  t.regex(err.message, /tcp\/1: connection refused; .*tcp\/2/)
  t.is(clock.timers, 0)
})

test('attempts reported during a dial are in its error too, in order', async (t) => {
  const { dialer, complete, progress, peer } = setUp()
  const dial = dialer.dialPeer(peer, { addresses: [at(1), at(2), at(3)] })
  progress({ failed: [refused(1)] })
  progress({ failed: [refused(0)] })
  complete([refused(2)])
  const err = await t.throwsAsync(dial, { instanceOf: DialAllFailedError })
  t.deepEqual(
    err.attempts.map(({ address }) => address),
    [at(2), at(1), at(3)]
  )
})

test('a dial that times out names the failed attempts and the stage of the others', async (t) => {
  const { dialer, cancelled, progress, peer, clock } = setUp()
  const addresses = [at(1), at(2), at(3), `${at(4)}/ws`]
  const dial = dialer.dialPeer(peer, { addresses, timeout: 500 })
  const underWay = [
    { index: 1, stage: 'connect', elapsedMs: 250 },
    { index: 2, stage: 'security', elapsedMs: 0.4 }
  ]
  progress({ failed: [refused(0)], underWay })
  clock.advance(500)
  const err = await t.throwsAsync(dial, { instanceOf: TimeoutError })
  t.is(
    err.message,
    `the dial did not succeed within 500 ms; 4 addresses: ${at(1)}: connection refused; ` +
      `${at(2)}: still connecting; ${at(3)}: still in the security handshake; ` +
      `${at(4)}/ws: ws is none of the transports of this swarm`
  )
  const [failed, connecting, silent] = err.attempts ?? []
  t.like(failed, { address: at(1), stage: 'connect', elapsed: 3 })
  t.like(connecting, { address: at(2), transport: 'tcp', stage: 'connect', elapsed: 250 })
  t.is(connecting?.cause.code, 'ERR_TIMEOUT')
  t.regex(connecting?.hint ?? '', /firewall/)
  t.regex(silent?.hint ?? '', /may not speak libp2p/)
  t.is(cancelled.length, 1)
})

test('an aborted dial names its attempts, including unreported ones', async (t) => {
  const { dialer, progress, peer } = setUp()
  const controller = new AbortController()
  const addresses = [at(1), at(2)]
  const dial = dialer.dialPeer(peer, { addresses, signal: controller.signal })
  progress({ failed: [refused(0)], underWay: [{ index: 1, stage: 'muxer', elapsedMs: 9 }] }, true)
  controller.abort(new Error('enough'))
  const err = await t.throwsAsync(dial, { instanceOf: AbortError })
  t.is((err.cause as Error).message, 'enough')
  t.is(
    err.message,
    `the dial was aborted; 2 addresses: ${at(1)}: connection refused; ` +
      `${at(2)}: still negotiating the muxer`
  )
  t.is(err.attempts?.[1]?.cause.code, 'ERR_ABORTED')
})

test('attempts reported to a caller that gave up are reported to the others at the end', async (t) => {
  const { dialer, complete, progress, peer, clock } = setUp()
  const addresses = [at(1), at(2)]
  const one = dialer.dialPeer(peer, { addresses, timeout: 100 })
  const two = dialer.dialPeer(peer, { addresses })
  progress({ failed: [refused(0)], underWay: [{ index: 1, stage: 'connect', elapsedMs: 1 }] }, true)
  clock.advance(100)
  t.is((await t.throwsAsync(one, { instanceOf: TimeoutError })).attempts?.length, 2)
  complete([refused(1)])
  t.is((await t.throwsAsync(two, { instanceOf: DialAllFailedError })).attempts.length, 2)
})

test('a dial ended by the close of the swarm rejects with StateError, even if an attempt had failed', async (t) => {
  const { dialer, complete, progress, peer } = setUp()
  const dial = dialer.dialPeer(peer, { addresses: [at(1), at(2)] })
  progress({ failed: [refused(0)] })
  dialer.close()
  complete([], -1, 'ERR_ABORTED')
  await t.throwsAsync(dial, { instanceOf: StateError, message: 'the swarm is closed' })
})

// go 20
test('tries addresses that only the second caller has alongside those of the first', async (t) => {
  const { dialer, dials, cancelled, complete, peer, connection } = setUp()
  const one = dialer.dialPeer(peer, { addresses: [at(1)] })
  const two = dialer.dialPeer(peer, { addresses: [at(1), at(2)] })
  t.deepEqual(
    dials.map(({ addresses }) => addresses),
    [[at(1)], [at(2)]]
  )
  complete()
  t.is(await one, connection)
  t.is(await two, connection)
  t.true(cancelled.includes(dials[0]?.request ?? 0))
})

test('a shared dial fails once all of its attempts have, with every address', async (t) => {
  const { dialer, complete, peer } = setUp()
  const one = dialer.dialPeer(peer, { addresses: [at(1)] })
  const two = dialer.dialPeer(peer, { addresses: [at(2), `${at(3)}/ws`] })
  complete([refused(0)])
  complete([refused(0)], 0)
  const [first, second] = await Promise.all([
    t.throwsAsync(one, { instanceOf: DialAllFailedError }),
    t.throwsAsync(two, { instanceOf: DialAllFailedError })
  ])
  const tried = (err: DialAllFailedError): string[] => err.attempts.map(({ address }) => address)
  t.deepEqual(tried(first), [at(2), at(1)])
  t.deepEqual(tried(second), [at(2), at(1), `${at(3)}/ws`])
})

// go 26
test('addresses without a transport do not count towards the 25, and are reported', async (t) => {
  const { dialer, dials, complete, peer, peerstore } = setUp()
  const foreign = Array.from({ length: 40 }, (_, index) => `/ip4/192.0.2.${index}/udp/1/quic-v1`)
  void peerstore.addAddrs(peer, [at(7)], 60_000)
  const dial = dialer.dialPeer(peer, { addresses: [...foreign, `${at(1)}/ws`, at(2)] })
  t.deepEqual(dials[0]?.addresses, [at(2), at(7)])
  complete([refused(0), refused(1)])
  const err = await t.throwsAsync(dial, { instanceOf: DialAllFailedError })
  t.is(err.numAddrsTried, 43)
  const websocket = err.attempts.find(({ address }) => address === `${at(1)}/ws`)
  t.is(websocket?.cause.message, 'ws is none of the transports of this swarm')
  t.is(websocket?.cause.code, 'ERR_NO_TRANSPORT')
})

test('a peer without an address that can be dialled is reported with each of its addresses', async (t) => {
  const { dialer, dials, peer, peerstore } = setUp()
  void peerstore.addAddrs(peer, ['/dns4/a.b/udp/1/utp', '/ip4/0.0.0.0/tcp/1'], 60_000)
  const err = await t.throwsAsync(dialer.dialPeer(peer), { instanceOf: DialAllFailedError })
  t.deepEqual(dials, [])
  t.regex(err.message, /no transport takes \/utp/)
  t.regex(err.message, /\/ip4\/0\.0\.0\.0 is not a host that can be dialled/)
})

test('an address of nothing but a peer id is refused', (t) => {
  const { dialer, peer } = setUp()
  const misuse = { instanceOf: InvalidParametersError, message: /dialPeer/ }
  t.throws(() => dialer.dialAddr(`/p2p/${peer}`), misuse)
  t.throws(() => dialer.dialPeer(peer, { addresses: [`/p2p/${peer}`] }), misuse)
})

// go 14
test("a dial after another caller's aborted one does not share its error", async (t) => {
  const { dialer, dials, cancelled, complete, peer, connection } = setUp()
  const controller = new AbortController()
  const one = dialer.dialPeer(peer, { addresses: [at(1)], signal: controller.signal })
  controller.abort()
  const two = dialer.dialPeer(peer, { addresses: [at(1)] })
  t.is(dials.length, 2)
  t.deepEqual(cancelled, [dials[0]?.request])
  await t.throwsAsync(one, { instanceOf: AbortError })
  complete()
  t.is(await two, connection)
})

test('a dial with an aborted signal does not begin', async (t) => {
  const { dialer, dials, peer } = setUp()
  const signal = AbortSignal.abort(new Error('gone'))
  const err = await t.throwsAsync(dialer.dialPeer(peer, { addresses: [at(1)], signal }), {
    instanceOf: AbortError
  })
  t.is((err.cause as Error).message, 'gone')
  t.deepEqual(dials, [])
})

test('a dial with other security protocols does not join', async (t) => {
  const { dialer, dials, table, peer, connection } = setUp()
  void dialer.dialPeer(peer, { addresses: [at(1)] })
  void dialer.dialPeer(peer, { addresses: [at(1)], security: ['tls'] })
  void dialer.dialPeer(peer, { addresses: [at(1)], security: ['tls'] })
  t.is(dials.length, 2)
  table.add(peer, connection)
  t.is(connection.state.security, '/noise')
  t.is(await dialer.dialPeer(peer, { security: ['tls', 'noise'] }), connection)
  void dialer.dialAddr(at(3), peer, { security: ['tls'] })
  void dialer.dialAddr(at(3), peer)
  t.is(dials.length, 4)
})

// go 5
test('returns the existing connection, unless forced', async (t) => {
  const { dialer, table, dials, peer, connection } = setUp()
  table.add(peer, connection)
  t.is(await dialer.dialPeer(peer), connection)
  t.is(await dialer.dialPeer(peer, { noDial: true }), connection)
  void dialer.dialPeer(peer, { addresses: [at(1)], force: 'a second one' })
  t.is(dials.length, 1)
})

// go 28
test('refuses self-dials, peers without addresses, noDial and invalid arguments', async (t) => {
  const { dialer, peer } = setUp()
  await t.throwsAsync(dialer.dialPeer(SELF), { instanceOf: SelfDialError })
  await t.throwsAsync(dialer.dialAddr(`${at(1)}/p2p/${SELF}`), { instanceOf: SelfDialError })
  await t.throwsAsync(dialer.dialPeer(peer), { instanceOf: NoRemoteAddrsError })
  await t.throwsAsync(dialer.dialPeer(peer, { noDial: 'quiet' }), {
    instanceOf: NoConnectionError,
    message: /quiet/
  })
  t.throws(() => dialer.dialPeer('nobody'), { instanceOf: InvalidParametersError })
  t.throws(() => dialer.dialAddr(`${at(1)}/p2p/${SELF}`, peer), {
    instanceOf: InvalidParametersError
  })
})

test('remembers for ten minutes that a peer could be reached', (t) => {
  const { table, peer, connection, clock } = setUp()
  t.is(table.connectedness(peer), Connectedness.NotConnected)
  table.add(peer, connection)
  t.is(table.connectedness(peer), Connectedness.Connected)
  table.remove(peer, connection, true)
  t.is(table.connectedness(peer), Connectedness.CanConnect)
  clock.advance(10 * 60_000 + 1)
  t.is(table.connectedness(peer), Connectedness.NotConnected)
  t.is(table.size, 0)
})

test('a dial is logged when it begins and when it succeeds', async (t) => {
  const lines: string[] = []
  const { dialer, complete, connection, peer, clock } = setUp({ debug: (line) => lines.push(line) })
  const dial = dialer.dialPeer(peer, { addresses: [at(1), '/dns4/a.example/tcp/1'] })
  t.deepEqual(lines.splice(0), [`dialling ${peer} at ${at(1)}, /dns4/a.example/tcp/1`])
  clock.advance(12)
  complete()
  await dial
  t.deepEqual(lines.splice(0), [
    `dialled ${peer} at ${at(4001)} after 12 ms: connection ${connection.id}`
  ])
  await t.throwsAsync(dialer.dialPeer(peer, { noDial: true }))
  t.deepEqual(lines, [])
})

test('a dial that fails is logged with the stage, the time and the reason of each address', async (t) => {
  const lines: string[] = []
  const { dialer, complete, clock } = setUp({ debug: (line) => lines.push(line) })
  const dial = dialer.dialAddr(at(1))
  clock.advance(7)
  complete([{ ...refused(0), stage: 'security', elapsedMs: 6.6 }])
  await t.throwsAsync(dial)
  t.deepEqual(lines, [
    `dialling ${at(1)}`,
    `the dial of ${at(1)} failed after 7 ms: ${at(1)} at security after 7 ms: connection refused`
  ])
})

test('a dial that does not begin, or is abandoned, is logged with its reason', async (t) => {
  const lines: string[] = []
  const { dialer, peer, clock } = setUp({ debug: (line) => lines.push(line) })
  await t.throwsAsync(dialer.dialPeer(peer), { instanceOf: NoRemoteAddrsError })
  t.deepEqual(lines.splice(0), [
    `dialling ${peer}`,
    `the dial of ${peer} failed after 0 ms: no address of ${peer} is known`
  ])
  const late = dialer.dialPeer(peer, { addresses: [at(1)], timeout: 500 })
  clock.advance(500)
  await t.throwsAsync(late)
  const reason = `the dial did not succeed within 500 ms; 1 address: ${at(1)}: its turn had not come`
  t.is(lines.at(-1), `the dial of ${peer} failed after 500 ms: ${reason}`)
})

test('a dial without a debug logger reads no clock and formats no text', async (t) => {
  const { dialer, complete, peer, clock } = setUp({ info: () => {} })
  let reads = 0
  const now = clock.now.bind(clock)
  clock.now = () => {
    reads += 1
    return now()
  }
  const dial = dialer.dialPeer(peer, { addresses: [at(1)] })
  complete()
  await dial
  t.is(reads, 0)
})
