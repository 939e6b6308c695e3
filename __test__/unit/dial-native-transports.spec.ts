/** Dials across the native transports: which addresses are attempted, and when. */
import test from 'ava'
import { DialAllFailedError } from '../../ts/errors.ts'
import { multiaddrOf } from '../../ts/identity/address.ts'
import { Charges } from '../../ts/resource-manager/charges.ts'
import type { ResourceManager } from '../../ts/resource-manager/interfaces.ts'
import { nullResourceManager } from '../../ts/resource-manager/null.ts'
import type { Transport } from '../../ts/transport/transport.ts'
import { Transports } from '../../ts/transport/transports.ts'
import { refused, setUp } from '../support/dial-host.ts'
import { createNode, turns } from '../support/pair.ts'

const HOST = '/ip4/192.0.2.1'
const TCP = `${HOST}/tcp/4001`
const QUIC = `${HOST}/udp/4001/quic-v1`
const DRAFT_29 = `${HOST}/udp/4001/quic`
const WEB_TRANSPORT = `${QUIC}/webtransport/certhash/uEiAkH5a4DPGKUuOBjYw0CgwjLa2R_RF71v86aVxlqdKNOQ`
const ALL = ['tcp', 'quic', 'ws', 'unix', 'memory'] as const

// go 18
test('quic has a head start of 250 ms over tcp, which is not dialled if quic answers within it', async (t) => {
  const { dialer, dials, peer, complete, connection } = setUp({}, undefined, { transports: ALL })
  const dial = dialer.dialPeer(peer, { addresses: [TCP, QUIC] })
  t.deepEqual(
    dials.map(({ entries }) => entries.map(({ address, delayMs }) => [address, delayMs])),
    [
      [
        [QUIC, 0],
        [TCP, 250]
      ]
    ]
  )
  complete()
  t.is(await dial, connection)
  t.deepEqual(connection.dialReport.attempts, [])
})

test('all addresses of this host are dialled at once, with the 5 s of a local network', (t) => {
  const { dialer, dials, peer } = setUp({}, undefined, { transports: ALL })
  void dialer.dialPeer(peer, { addresses: ['/unix/%2Fa', '/memory/1', TCP] }).catch(() => {})
  const times = dials[0]?.entries.map(({ address, delayMs, timeoutMs, holdMs }) => [
    address,
    delayMs,
    timeoutMs,
    holdMs
  ])
  t.deepEqual(times, [
    ['/unix/%2Fa', 0, 5_000, 0],
    ['/memory/1', 0, 5_000, 0],
    [TCP, 0, 10_000, 250]
  ])
})

// U2
test('an address of a transport that is not enabled is not dialled, and its transport is named', async (t) => {
  for (const [address, name] of [
    [QUIC, 'quic'],
    [`${TCP}/ws`, 'ws'],
    [`${TCP}/tls/sni/a.b/ws`, 'ws'],
    ['/unix/%2Frun%2Fa.sock', 'unix'],
    ['/memory/1', 'memory'],
    [TCP, 'tcp'],
    ['/dns4/a.test/udp/1/quic-v1', 'quic'],
    ['/dns/a.test/tcp/443/wss', 'ws']
  ] as const) {
    const transports = ALL.filter((each) => each !== name)
    const { dialer, dials, peer } = setUp({}, undefined, { transports })
    const err = await t.throwsAsync(dialer.dialAddr(address), { instanceOf: DialAllFailedError })
    const [attempt] = err.attempts
    t.like(attempt, {
      address,
      transport: name,
      stage: 'filter',
      hint: 'see the option transports'
    })
    t.is(attempt?.cause.message, `${name} is none of the transports of this swarm`)
    t.is(attempt?.cause.code, 'ERR_NO_TRANSPORT')
    t.is((await dialer.refusalOf(peer, address))?.cause.message, attempt?.cause.message)
    t.deepEqual(dials, [])
    const other = setUp({}, undefined, { transports: ALL })
    t.is(await other.dialer.refusalOf(peer, address), undefined)
  }
})

test('in a private network the refusal of a transport names it as the reason', (t) => {
  const transports = new Transports(['tcp', 'ws'], () => {}, { isPrivate: true })
  t.deepEqual(transports.refusalOf(QUIC), {
    reason: 'quic is none of the transports of this swarm, which is in a private network',
    hint: 'see the options psk and transports'
  })
  t.is(transports.refusalOf(`${TCP}/ws`), undefined)
})

test('in a private network the refusal of a transport that it permits does not blame it', (t) => {
  const transports = new Transports(['tcp'], () => {}, { isPrivate: true })
  for (const [address, name] of [
    [`${TCP}/ws`, 'ws'],
    ['/unix/%2Frun%2Fa.sock', 'unix']
  ] as const) {
    t.deepEqual(transports.refusalOf(address), {
      reason: `${name} is none of the transports of this swarm`,
      hint: 'see the option transports'
    })
  }
  t.regex(transports.refusalOf('/memory/1')?.reason ?? '', /which is in a private network$/)
})

test('without tls among the security protocols the refusal of quic names it as the reason', (t) => {
  const transports = new Transports(['tcp', 'ws'], () => {}, { hasTls: false })
  t.deepEqual(transports.refusalOf(QUIC), {
    reason: 'quic is none of the transports of this swarm, whose option security has no tls',
    hint: 'see the options security and transports'
  })
  t.is(transports.refusalOf('/memory/1')?.hint, 'see the option transports')
})

test('a call that does not accept tls dials no address of quic, unless a transport of the application does', async (t) => {
  const named = '/dns4/a.test/udp/1/quic-v1'
  const { dialer, dials, peer } = setUp({}, undefined, { transports: ALL })
  const err = await t.throwsAsync(
    dialer.dialPeer(peer, { addresses: [QUIC, named], security: ['noise'] }),
    { instanceOf: DialAllFailedError }
  )
  t.deepEqual(
    err.attempts.map(({ address, stage, cause }) => [address, stage, cause.message]),
    [QUIC, named].map((address) => [
      address,
      'filter',
      'quic is secured by TLS, and the option security of the call has no tls'
    ])
  )
  void dialer.dialPeer(peer, { addresses: [QUIC, TCP], security: ['noise'] }).catch(() => {})
  t.deepEqual(
    dials.map(({ addresses }) => addresses),
    [[TCP]]
  )
  void dialer.dialPeer(peer, { addresses: [QUIC], security: ['noise', 'tls'] }).catch(() => {})
  t.deepEqual(dials[1]?.addresses.includes(QUIC), true)

  const dialled: string[] = []
  const own: Transport = {
    canDial: (addr) => `${addr}`.endsWith('/quic-v1'),
    dial: (addr) => {
      dialled.push(`${addr}`)
      return Promise.reject(new Error('no answer'))
    }
  }
  const other = setUp({}, undefined, { transports: [own, 'quic'] })
  await t.throwsAsync(other.dialer.dialPeer(peer, { addresses: [QUIC], security: ['noise'] }), {
    instanceOf: DialAllFailedError
  })
  t.deepEqual(dialled, [QUIC])
})

test('an address that cannot be dialled is refused for that also where tcp is over sockets of Node.js', async (t) => {
  const muxer = { protocol: '/mux/1.0.0', newConnection: () => Promise.reject(new Error()) }
  const node = await createNode(t, { muxers: [muxer] })
  for (const [address, reason] of [
    ['/ip4/0.0.0.0/tcp/4001', '/ip4/0.0.0.0 is not a host that can be dialled'],
    ['/ip4/192.0.2.1/tcp/0', '/tcp/0 is not a port that can be dialled'],
    [`${TCP}/ws`, 'ws is none of the transports of this swarm']
  ] as const) {
    const dial = node.dialAddr(address)
    const { attempts } = await t.throwsAsync(dial, { instanceOf: DialAllFailedError })
    t.like(attempts, [{ address, stage: 'filter' }])
    t.is(attempts[0]?.cause.message, reason)
    t.is(attempts[0]?.cause.code, 'ERR_NO_TRANSPORT')
  }
})

test('a loopback address is not given up for others of a transport that is not enabled', (t) => {
  const { dialer, dials, peer, peerstore } = setUp({}, undefined, { transports: ['tcp'] })
  const loopback = '/ip4/127.0.0.1/tcp/1'
  void peerstore.addAddrs(peer, [QUIC, loopback], 60_000)
  void dialer.dialPeer(peer).catch(() => {})
  t.deepEqual(dials[0]?.addresses, [loopback])
})

// U2
test('the first transport of the list that takes an address has it', (t) => {
  const own: Transport = { canDial: () => true, dial: () => Promise.reject(new Error('unused')) }
  const addresses = [TCP, QUIC, '/memory/1', '/onion3/x:1']
  const found = (...list: ConstructorParameters<typeof Transports>[0]) => {
    const transports = new Transports(list, () => t.fail())
    return addresses.map((address) => transports.dialling(address))
  }
  t.deepEqual(found('tcp', own, 'quic'), ['tcp', own, own, own])
  t.deepEqual(found('quic', 'tcp', 'memory', own), ['tcp', 'quic', 'memory', own])
  t.deepEqual(found('quic', 'tcp'), ['tcp', 'quic', undefined, undefined])
})

// go 35
test('what leads to a port that is dialled over /quic-v1 is not dialled besides', async (t) => {
  const takesAny: Transport = {
    canDial: (addr) => /\/webtransport|\/quic$/.test(`${addr}`),
    dial: () => Promise.reject(new Error('no answer'))
  }
  const { dialer, dials, peer, complete, peerstore } = setUp({}, undefined, {
    transports: [takesAny, 'tcp', 'quic']
  })
  const dial = dialer.dialPeer(peer, { addresses: [DRAFT_29, WEB_TRANSPORT, QUIC] })
  await turns()
  t.deepEqual(
    dials.map(({ addresses }) => addresses),
    [[QUIC]]
  )
  complete([refused(0)])
  const err = await t.throwsAsync(dial, { instanceOf: DialAllFailedError })
  t.deepEqual(
    err.attempts.filter(({ stage }) => stage === 'filter').map(({ cause }) => cause.message),
    Array(2).fill('the same port is dialled over /quic-v1')
  )
  t.is(await dialer.refusalOf(peer, WEB_TRANSPORT), undefined, 'nothing else is known of the peer')
  void peerstore.addAddrs(peer, [`${HOST}/udp/4002/quic-v1`], 60_000)
  t.is(await dialer.refusalOf(peer, WEB_TRANSPORT), undefined)
  dialer.backOff.clear(peer)
  void peerstore.addAddrs(peer, [QUIC], 60_000)
  const refusal = await dialer.refusalOf(peer, WEB_TRANSPORT)
  t.is(refusal?.cause.message, 'the same port is dialled over /quic-v1')
})

// go 35, go 36
test('a WebSocket is not dialled beside the same port over TCP, however it is written', async (t) => {
  const { dialer, dials, peer, complete, peerstore } = setUp({}, undefined, { transports: ALL })
  const others = [`${HOST}/tcp/4002/ws`, `${HOST}/udp/4001/quic-v1`]
  const twins = ['ws', 'wss', 'tls/ws', 'tls/sni/a.b/ws', 'ws/http-path/a%2Fb'].map(
    (spoken) => `${TCP}/${spoken}`
  )
  const dial = dialer.dialPeer(peer, { addresses: [...twins, TCP, ...others] })
  t.deepEqual(dials[0]?.addresses.toSorted(), [TCP, ...others].toSorted())
  complete([0, 1, 2].map(refused))
  const err = await t.throwsAsync(dial, { instanceOf: DialAllFailedError })
  t.deepEqual(
    err.attempts.filter(({ stage }) => stage === 'filter').map(({ address }) => address),
    twins
  )
  void peerstore.addAddrs(peer, [TCP], 60_000)
  dialer.backOff.clear(peer)
  for (const twin of twins) {
    const { cause } = (await dialer.refusalOf(peer, twin)) ?? {}
    t.is(cause?.message, 'the same port is dialled over TCP without WebSocket')
  }
  t.is(await dialer.refusalOf(peer, `${HOST}/tcp/4002/ws`), undefined)
})

// go 26
test('draft 29 of QUIC has no transport, and the reason says what has one', async (t) => {
  const { dialer, peer } = setUp({}, undefined, { transports: ALL })
  const refusal = await dialer.refusalOf(peer, DRAFT_29)
  t.like(refusal, {
    stage: 'filter',
    transport: 'quic',
    hint: 'it is draft 29 of QUIC: use /quic-v1'
  })
  t.is(refusal?.cause.code, 'ERR_NO_TRANSPORT')
})

// go 32
test('a secure WebSocket by name is dialled at its addresses, with the name for TLS', async (t) => {
  const { dialer, dials, peer } = setUp({}, undefined, {
    transports: ALL,
    dns: {
      resolve: async () => [multiaddrOf(`${HOST}/tcp/443/tls/sni/a.test/ws`)]
    }
  })
  void dialer.dialPeer(peer, { addresses: ['/dns4/a.test/tcp/443/wss'] }).catch(() => {})
  await turns()
  t.deepEqual(
    dials.map(({ addresses }) => addresses),
    [[`${HOST}/tcp/443/tls/sni/a.test/ws`]]
  )
})

// go 23
test('connections over tcp, ws and unix are charged a descriptor, those over quic and memory none', (t) => {
  const usage: boolean[] = []
  const manager: ResourceManager = {
    ...nullResourceManager,
    openConnection: (...args) => {
      usage.push(args[1])
      return nullResourceManager.openConnection(...args)
    }
  }
  const charges = new Charges(manager, () => t.fail())
  const { connection } = setUp()
  for (const remoteAddress of [TCP, `${TCP}/tls/ws`, '/unix/%2Fa', QUIC, '/memory/1']) {
    charges.connection({
      remotePeer: connection.remotePeer.toString(),
      remoteAddress,
      direction: 'outbound'
    } as Parameters<Charges['connection']>[0])
  }
  t.deepEqual(usage, [true, true, true, false, false])
})
