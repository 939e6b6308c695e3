import { BlockList } from 'node:net'
import { totalmem } from 'node:os'
import test, { type ExecutionContext } from 'ava'
import fc from 'fast-check'
import { DEFAULT_LIMITS } from '../../ts/constants.ts'
import { InvalidParametersError } from '../../ts/errors.ts'
import { type Network, networkText, parseNetwork } from '../../ts/identity/networks.ts'
import { peerIdOf } from '../../ts/identity/peer-id.ts'
import type { LimitConfig } from '../../ts/resource-manager/limit-config.ts'
import { machineResources, resolveLimits, usableMemory } from '../../ts/resource-manager/limits.ts'
import { autoLimits, scaleLimits } from '../../ts/resource-manager/scale.ts'
import {
  type NamedClass,
  type ResolvedScopeLimits,
  type ResourceName,
  SCOPE_CLASSES,
  type ScopeClass,
  type ScopeLimitTable
} from '../../ts/resource-manager/scope-limits.ts'

const MIB = 1024 * 1024
const GIB = 1024 * MIB
const NONE = Number.POSITIVE_INFINITY
const MACHINE = { memory: 8 * GIB, fds: 8_192 }
const PEER = '12D3KooWPFH2Bx2tPfw6RLxN8k2wh47GRXgkt9yrAHU37zFwHWzS'

/** Limits in the order of the table below. */
type Row = readonly [
  connections: readonly [number, number, number],
  streams: readonly [number, number, number],
  fds: number,
  memory: number
]

function row(limits: ResolvedScopeLimits): Row {
  return [
    [limits.connectionsInbound, limits.connectionsOutbound, limits.connections],
    [limits.streamsInbound, limits.streamsOutbound, limits.streams],
    limits.fds,
    limits.memory
  ]
}

function rows(table: ScopeLimitTable): Readonly<Record<string, Row>> {
  return Object.fromEntries(SCOPE_CLASSES.map((name) => [name, row(table[name])]))
}

function namedRows(table: ScopeLimitTable, name: NamedClass): Readonly<Record<string, Row>> {
  return Object.fromEntries(
    Object.entries(table[name]).map(([key, limits]) => [key, row(limits)] as const)
  )
}

const NO_CONNECTIONS = [0, 0, 0] as const
const CONNECTION: Row = [[1, 1, 1], [NONE, NONE, NONE], 1, 33_554_432]
const STREAM: Row = [NO_CONNECTIONS, [1, 1, 1], 0, 16_777_216]

/** Both are as `system` and `transient`. */
function withAllowlisted(expected: Readonly<Record<string, Row>>): Readonly<Record<string, Row>> {
  const { system, transient } = expected as Readonly<Record<'system' | 'transient', Row>>
  return { ...expected, allowlistedSystem: system, allowlistedTransient: transient }
}

const SMALL = withAllowlisted({
  system: [[64, 128, 128], [1_024, 2_048, 2_048], 256, 134_217_728],
  transient: [[32, 64, 64], [128, 256, 256], 64, 33_554_432],
  serviceDefault: [NO_CONNECTIONS, [1_024, 4_096, 4_096], 0, 67_108_864],
  servicePeerDefault: [NO_CONNECTIONS, [128, 256, 256], 0, 16_777_216],
  protocolDefault: [NO_CONNECTIONS, [512, 2_048, 2_048], 0, 67_108_864],
  protocolPeerDefault: [NO_CONNECTIONS, [64, 128, 256], 0, 16_777_216],
  peerDefault: [[8, 8, 8], [256, 512, 512], 4, 67_108_864],
  connection: CONNECTION,
  stream: STREAM
})

const AT_1_GIB = withAllowlisted({
  system: [[128, 256, 256], [2_048, 4_096, 4_096], 4_096, 1_207_959_552],
  transient: [[48, 96, 96], [256, 512, 512], 1_024, 167_772_160],
  serviceDefault: [NO_CONNECTIONS, [1_536, 6_144, 6_144], 0, 201_326_592],
  servicePeerDefault: [NO_CONNECTIONS, [132, 264, 264], 0, 20_971_520],
  protocolDefault: [NO_CONNECTIONS, [768, 2_560, 2_560], 0, 239_075_328],
  protocolPeerDefault: [NO_CONNECTIONS, [68, 136, 272], 0, 20_971_520],
  peerDefault: [[8, 8, 8], [384, 768, 768], 64, 201_326_592],
  connection: CONNECTION,
  stream: STREAM
})

const AT_8_GIB = withAllowlisted({
  system: [[576, 1_152, 1_152], [9_216, 18_432, 18_432], 16_384, 8_724_152_320],
  transient: [[160, 320, 320], [1_152, 2_304, 2_304], 4_096, 1_107_296_256],
  serviceDefault: [NO_CONNECTIONS, [5_120, 20_480, 20_480], 0, 1_140_850_688],
  servicePeerDefault: [NO_CONNECTIONS, [160, 320, 320], 0, 50_331_648],
  protocolDefault: [NO_CONNECTIONS, [2_560, 6_144, 6_144], 0, 1_442_840_576],
  protocolPeerDefault: [NO_CONNECTIONS, [96, 192, 384], 0, 50_331_648],
  peerDefault: [[8, 8, 8], [1_280, 2_560, 2_560], 256, 1_140_850_688],
  connection: CONNECTION,
  stream: STREAM
})

const AT_64_GIB = withAllowlisted({
  system: [[4_160, 8_320, 8_320], [66_560, 133_120, 133_120], 1_048_576, 68_853_694_464],
  transient: [[1_056, 2_112, 2_112], [8_320, 16_640, 16_640], 262_144, 8_623_489_024],
  serviceDefault: [NO_CONNECTIONS, [33_792, 135_168, 135_168], 0, 8_657_043_456],
  servicePeerDefault: [NO_CONNECTIONS, [384, 768, 768], 0, 285_212_672],
  protocolDefault: [NO_CONNECTIONS, [16_896, 34_816, 34_816], 0, 11_072_962_560],
  protocolPeerDefault: [NO_CONNECTIONS, [320, 640, 1_280], 0, 285_212_672],
  peerDefault: [[8, 8, 8], [8_448, 16_896, 16_896], 16_384, 8_657_043_456],
  connection: CONNECTION,
  stream: STREAM
})

// go 126
test("go's limits scale with memory and file descriptors", (t) => {
  t.deepEqual(rows(scaleLimits(64 * MIB, 200)), SMALL)
  t.deepEqual(rows(scaleLimits(GIB, 4_096)), AT_1_GIB)
  t.deepEqual(rows(scaleLimits(8 * GIB, 16_384)), AT_8_GIB)
  t.deepEqual(rows(scaleLimits(64 * GIB, 1_048_576)), AT_64_GIB)
})

// go 126
test('memory counts in whole MiB, and only above 128 of them', (t) => {
  const inbound = (memory: number): number => scaleLimits(memory, 0).system.connectionsInbound
  t.is(inbound(0), 64)
  t.is(inbound(128 * MIB), 64)
  t.is(inbound(128 * MIB + 1), 72)
  t.is(inbound(144 * MIB - 1), 72)
  t.is(inbound(144 * MIB), 73)
  t.is(inbound(GIB - 1), 127)
})

// go 126
test('limits grow by the share of a GiB, rounded down, exact for every memory', (t) => {
  const base = scaleLimits(0, 0)
  const gib = scaleLimits(GIB, 0)
  const places = SCOPE_CLASSES.flatMap((name) =>
    (Object.keys(base[name]) as ResourceName[]).map((resource) => [name, resource] as const)
  ).filter(([name, resource]) => base[name][resource] !== NONE)
  const memories = fc.integer({ min: 128 * MIB + 1, max: 2 ** 52 })
  fc.assert(
    fc.property(memories, fc.constantFrom(...places), (memory, [name, resource]) => {
      const growth = BigInt(gib[name][resource] - base[name][resource])
      const expected = BigInt(base[name][resource]) + ((growth * (BigInt(memory) >> 20n)) >> 10n)
      t.is(BigInt(scaleLimits(memory, 0)[name][resource]), expected)
    })
  )
})

// go 126
test("go's own services and protocols have limits of their own", (t) => {
  const table = scaleLimits(GIB, 0)
  const named = (streams: readonly [number, number, number], memory: number): Row => [
    NO_CONNECTIONS,
    streams,
    0,
    memory
  ]
  const identify = named([128, 128, 256], 8_388_608)
  const ping = named([128, 128, 128], 8_388_608)
  const autonat = named([68, 68, 68], 6_291_456)
  const holePunch = named([40, 40, 80], 8_388_608)
  const circuit = named([1_280, 1_280, 1_280], 33_554_432)
  const circuitPeer = named([128, 128, 128], 33_554_432)
  const pair = named([2, 2, 2], 1_048_576)
  const identifyPeer = named([16, 16, 32], 8_590_458_880)
  const pingPeer = named([2, 3, 4], 8_590_458_880)
  t.deepEqual(namedRows(table, 'services'), {
    'libp2p.identify': identify,
    'libp2p.ping': ping,
    'libp2p.autonat': autonat,
    'libp2p.holepunch': holePunch,
    'libp2p.relay/v2': named([512, 512, 512], 33_554_432)
  })
  t.deepEqual(namedRows(table, 'servicePeers'), {
    'libp2p.identify': named([16, 16, 32], 1_048_576),
    'libp2p.ping': pingPeer,
    'libp2p.autonat': pair,
    'libp2p.holepunch': pair,
    'libp2p.relay/v2': named([64, 64, 64], 1_048_576)
  })
  t.deepEqual(namedRows(table, 'protocols'), {
    '/ipfs/id/1.0.0': identify,
    '/ipfs/id/push/1.0.0': identify,
    '/ipfs/ping/1.0.0': ping,
    '/libp2p/autonat/1.0.0': autonat,
    '/libp2p/dcutr': holePunch,
    '/libp2p/circuit/relay/0.2.0/hop': circuit,
    '/libp2p/circuit/relay/0.2.0/stop': circuit
  })
  t.deepEqual(namedRows(table, 'protocolPeers'), {
    '/ipfs/id/1.0.0': identifyPeer,
    '/ipfs/id/push/1.0.0': identifyPeer,
    '/ipfs/ping/1.0.0': pingPeer,
    '/libp2p/autonat/1.0.0': pair,
    '/libp2p/dcutr': pair,
    '/libp2p/circuit/relay/0.2.0/hop': circuitPeer,
    '/libp2p/circuit/relay/0.2.0/stop': circuitPeer
  })
  t.deepEqual(table.peers, {})
})

test('a machine without a maximum of file descriptors has no limit of them', (t) => {
  const { system, transient, peerDefault, connection, serviceDefault } = scaleLimits(GIB, NONE)
  t.deepEqual([system.fds, transient.fds, peerDefault.fds], [NONE, NONE, NONE])
  t.deepEqual([connection.fds, serviceDefault.fds], [1, 0])
})

test('limits are scaled to whole numbers only', (t) => {
  for (const [memory, fds] of [
    [-1, 0],
    [0.5, 0],
    [NONE, 0],
    [Number.NaN, 0],
    [0, -1],
    [0, 0.5],
    [0, Number.NaN]
  ] as const) {
    t.throws(() => scaleLimits(memory, fds), { instanceOf: InvalidParametersError })
    const err = t.throws(() => autoLimits({ memory, fds }), { instanceOf: InvalidParametersError })
    // The value given, and no part of it.
    t.true(err?.message.endsWith(`received ${fds === 0 ? memory : fds}`), err?.message)
  }
  for (const machine of [undefined, null, 1, {}]) {
    t.throws(() => autoLimits(machine as never), { instanceOf: InvalidParametersError })
  }
})

test('the default limits are an eighth of the memory and half of the descriptors, with more streams and connections', (t) => {
  const peerStreams = [2_000, 2_000, 4_000] as const
  const sharedStreams = [16_384, 16_384, 16_384] as const
  const expected = withAllowlisted({
    system: [[16_384, 16_384, 16_384], [65_536, 65_536, 65_536], 4_096, 1_207_959_552],
    transient: [[256, 256, 256], [4_096, 4_096, 8_192], 1_024, 167_772_160],
    serviceDefault: [NO_CONNECTIONS, sharedStreams, 0, 201_326_592],
    servicePeerDefault: [NO_CONNECTIONS, peerStreams, 0, 201_326_592],
    protocolDefault: [NO_CONNECTIONS, sharedStreams, 0, 239_075_328],
    protocolPeerDefault: [NO_CONNECTIONS, peerStreams, 0, 201_326_592],
    peerDefault: [[8, 8, 8], peerStreams, 64, 201_326_592],
    connection: [[1, 1, 1], [1_000, 500, NONE], 1, 33_554_432],
    stream: [NO_CONNECTIONS, [1, 1, 1], 0, 67_108_864]
  })
  const table = autoLimits(MACHINE)
  t.deepEqual(rows(table), expected)
  const go = scaleLimits(GIB, 4_096)
  // Totals of what every peer uses are those of any service or protocol; the rest is go's.
  const { serviceDefault, protocolDefault } = table
  t.deepEqual(table.services, {
    ...go.services,
    'libp2p.identify': serviceDefault,
    'libp2p.ping': serviceDefault
  })
  t.deepEqual(table.protocols, {
    ...go.protocols,
    '/ipfs/id/1.0.0': protocolDefault,
    '/ipfs/id/push/1.0.0': protocolDefault,
    '/ipfs/ping/1.0.0': protocolDefault
  })
  const pings: Row = [[0, 0, 0], [16, 16, 32], 0, 32 * (256 * MIB + 16 * 1_024)]
  t.deepEqual(namedRows(table, 'servicePeers'), {
    ...namedRows(go, 'servicePeers'),
    'libp2p.ping': pings
  })
  t.deepEqual(namedRows(table, 'protocolPeers'), {
    ...namedRows(go, 'protocolPeers'),
    '/ipfs/ping/1.0.0': pings
  })
  t.deepEqual(table.peers, go.peers)
})

test('the memory of a container counts if it has a limit', (t) => {
  t.is(usableMemory(512 * MIB, GIB), 512 * MIB)
  t.is(usableMemory(0, GIB), GIB)
  t.is(usableMemory(2 * GIB, GIB), GIB)
  // What Linux reports without a limit.
  t.is(usableMemory(2 ** 64, GIB), GIB)
  const { memory, fds } = machineResources(1_024)
  t.true(memory > 0 && memory <= totalmem())
  t.is(fds, 1_024)
})

test('no option and `auto` are the defaults of the machine', (t) => {
  const limits = resolveLimits(undefined, MACHINE)
  t.deepEqual(limits, resolveLimits('auto', MACHINE))
  t.deepEqual(limits, resolveLimits({}, MACHINE))
  t.like(limits, { ...autoLimits(MACHINE) })
  const { acceptBacklog, windowMaxBytes, keepaliveTimeoutMs } = DEFAULT_LIMITS
  t.like(limits, { acceptBacklog, windowMaxBytes, keepaliveTimeoutMs })
  t.like(limits, { loopbackExempt: true, dryRun: false })
  t.deepEqual([limits.networks, limits.allowlist, limits.trustedSources], [[], [], []])
  t.deepEqual(limits.subnets, [
    { family: 4, prefix: 32, connections: 8 },
    { family: 6, prefix: 56, connections: 8 },
    { family: 6, prefix: 48, connections: 64 }
  ])
  t.deepEqual(limits.rates, [
    { family: 4, prefix: 32, perSecond: 5, burst: 16 },
    { family: 6, prefix: 56, perSecond: 5, burst: 16 },
    { family: 6, prefix: 48, perSecond: 25, burst: 80 }
  ])
})

test('`unlimited` lifts scopes, subnets and rates, and no timeout', (t) => {
  const limits = resolveLimits('unlimited', MACHINE)
  for (const [name, limit] of Object.entries(rows(limits))) {
    t.deepEqual(limit, [[NONE, NONE, NONE], [NONE, NONE, NONE], NONE, NONE], name)
  }
  const { services, servicePeers, protocols, protocolPeers, peers, subnets, rates } = limits
  t.deepEqual([services, servicePeers, protocols, protocolPeers, peers], [{}, {}, {}, {}, {}])
  t.deepEqual([subnets, rates], [[], []])
  const auto = resolveLimits('auto', MACHINE)
  for (const name of ['acceptBacklog', 'keepaliveTimeoutMs'] as const) {
    t.is(limits[name], auto[name])
  }
})

test('limits that are given replace the defaults, one by one', (t) => {
  const auto = resolveLimits('auto', MACHINE)
  const limits = resolveLimits(
    {
      system: { streams: 7, memory: 'unlimited', fds: NONE, connections: 0 },
      keepaliveIntervalMs: 1,
      subnets: [],
      dryRun: true
    },
    MACHINE
  )
  t.deepEqual(limits.system, {
    ...auto.system,
    streams: 7,
    memory: NONE,
    fds: NONE,
    connections: 0
  })
  // Not even the scopes with the same defaults follow.
  t.deepEqual(limits.allowlistedSystem, auto.allowlistedSystem)
  t.deepEqual(
    { ...limits, system: 0, keepaliveIntervalMs: 0, subnets: 0, dryRun: 0 },
    { ...auto, system: 0, keepaliveIntervalMs: 0, subnets: 0, dryRun: 0 }
  )
  t.deepEqual([limits.keepaliveIntervalMs, limits.subnets, limits.dryRun], [1, [], true])
})

test('members that are undefined keep their defaults', (t) => {
  const given = { system: { streams: undefined }, peers: { [PEER]: undefined }, rates: undefined }
  const limits = resolveLimits(given as unknown as LimitConfig, MACHINE)
  const auto = resolveLimits('auto', MACHINE)
  t.deepEqual({ ...limits, peers: {} }, auto)
  t.deepEqual(limits.peers, { [PEER]: auto.peerDefault })
})

test('a scope by name has its own limits, then the built-in ones, then those of its class', (t) => {
  const auto = resolveLimits('auto', MACHINE)
  const limits = resolveLimits(
    {
      protocolDefault: { streams: 9, memory: 90 },
      protocols: { '/x/1': { streamsInbound: 3 }, '/ipfs/ping/1.0.0': { streamsInbound: 4 } },
      services: { __proto__: null, x: {} } as unknown as NonNullable<LimitConfig['services']>
    },
    MACHINE
  )
  t.deepEqual(limits.protocols['/x/1'], {
    ...auto.protocolDefault,
    streams: 9,
    memory: 90,
    streamsInbound: 3
  })
  t.deepEqual(limits.protocols['/ipfs/ping/1.0.0'], {
    ...auto.protocols['/ipfs/ping/1.0.0'],
    streamsInbound: 4
  } as ResolvedScopeLimits)
  t.deepEqual(limits.protocols['/ipfs/id/1.0.0'], auto.protocols['/ipfs/id/1.0.0'])
  t.deepEqual(limits.services.x, auto.serviceDefault)
})

test('names of properties of every object are names as any other', (t) => {
  const services = JSON.parse('{"__proto__":{"streams":1},"constructor":{"streams":2}}')
  const limits = resolveLimits({ services }, MACHINE)
  const streams = (name: string): number | undefined =>
    Object.getOwnPropertyDescriptor(limits.services, name)?.value.streams
  t.deepEqual([streams('__proto__'), streams('constructor')], [1, 2])
  t.is(Object.getPrototypeOf(limits.services), Object.prototype)
})

test('a peer has its canonical text, whatever the form of its id', (t) => {
  const cid = peerIdOf(PEER).toCID().toString()
  t.not(cid, PEER)
  const { peers } = resolveLimits({ peers: { [cid]: { streams: 5 } } }, MACHINE)
  t.deepEqual(Object.keys(peers), [PEER])
  t.is(peers[PEER]?.streams, 5)
  t.is(
    refusal(t, { peers: { [PEER]: {}, [cid]: {} } }),
    `expected limits.peers to name ${PEER} once, received it twice`
  )
})

test('networks are canonical, and the most specific comes first', (t) => {
  const limits = resolveLimits(
    {
      networks: {
        '10.1.2.3/8': 5,
        '2001:DB8::1': 0,
        '192.0.2.129/25': 'unlimited',
        '::ffff:198.51.100.7/112': 2
      },
      trustedSources: ['127.0.0.1', 'FE80::1/10']
    },
    MACHINE
  )
  t.deepEqual(limits.networks, [
    { family: 6, address: '2001:db8::1', prefix: 128, connections: 0 },
    { family: 4, address: '192.0.2.128', prefix: 25, connections: NONE },
    { family: 4, address: '198.51.0.0', prefix: 16, connections: 2 },
    { family: 4, address: '10.0.0.0', prefix: 8, connections: 5 }
  ])
  t.deepEqual(limits.trustedSources, [
    { family: 4, address: '127.0.0.1', prefix: 32 },
    { family: 6, address: 'fe80::', prefix: 10 }
  ])
})

test('the allowlist has addresses, networks and multiaddrs, of all peers or of one', (t) => {
  const { allowlist } = resolveLimits(
    {
      allowlist: [
        '192.0.2.7',
        '2001:db8::/32',
        '/ip4/192.0.2.9',
        '/ip4/192.0.2.9/ipcidr/24',
        `/ip4/192.0.2.9/p2p/${PEER}`,
        `/ip6/2001:db8::/ipcidr/32/p2p/${PEER}`
      ]
    },
    MACHINE
  )
  t.deepEqual(allowlist, [
    { family: 4, address: '192.0.2.7', prefix: 32, peer: undefined },
    { family: 6, address: '2001:db8::', prefix: 32, peer: undefined },
    { family: 4, address: '192.0.2.9', prefix: 32, peer: undefined },
    { family: 4, address: '192.0.2.0', prefix: 24, peer: undefined },
    { family: 4, address: '192.0.2.9', prefix: 32, peer: PEER },
    { family: 6, address: '2001:db8::', prefix: 32, peer: PEER }
  ])
})

test('a network has the addresses that share its prefix', (t) => {
  const addresses = fc.oneof(
    fc.ipV4().map((address) => ({ family: 4 as const, address, bits: 32 })),
    fc.ipV6().map((address) => ({ family: 6 as const, address, bits: 128 }))
  )
  fc.assert(
    fc.property(addresses, fc.nat(128), fc.nat(127), ({ address, bits }, length, bit) => {
      const prefix = length % (bits + 1)
      const network = parseNetwork(`${address}/${prefix}`, 'it')
      const blocks = new BlockList()
      blocks.addSubnet(network.address, network.prefix, network.family === 4 ? 'ipv4' : 'ipv6')
      t.true(blocks.check(address, bits === 32 ? 'ipv4' : 'ipv6'), networkText(network))
      t.deepEqual(parseNetwork(networkText(network), 'it'), network)
      if (network.family === 4 && bits === 128) return
      const other = flipped(parseNetwork(address, 'it'), bits, bit % bits)
      const same = networkText(parseNetwork(`${other}/${prefix}`, 'it')) === networkText(network)
      t.is(same, bit % bits >= prefix, `${other} ${networkText(network)}`)
    })
  )
})

/** Returns the address with one bit changed, counted from the highest. */
function flipped({ address }: Network, bits: number, bit: number): string {
  const size = bits === 32 ? 8 : 16
  const words = bits === 32 ? address.split('.').map(Number) : longForm(address)
  const index = Math.floor(bit / size)
  const changed = words.map((word, at) =>
    at === index ? word ^ (1 << (size - 1 - (bit % size))) : word
  )
  return bits === 32 ? changed.join('.') : changed.map((word) => word.toString(16)).join(':')
}

function longForm(address: string): number[] {
  const [head = '', tail = ''] = address.split('::')
  const before = head === '' ? [] : head.split(':')
  const after = tail === '' ? [] : tail.split(':')
  const gap = new Array<string>(8 - before.length - after.length).fill('0')
  return [...before, ...gap, ...after].map((word) => Number.parseInt(word, 16))
}

test('the effective limits are frozen, and independent of the option', (t) => {
  const subnets = [{ family: 4 as const, prefix: 24, connections: 3 }]
  const networks = { '10.0.0.0/8': 5 }
  const limits = resolveLimits(
    { subnets, networks, allowlist: ['10.0.0.1'], services: { x: {} } },
    MACHINE
  )
  const unfrozen: string[] = []
  const visit = (value: unknown, path: string): void => {
    if (typeof value !== 'object' || value === null) return
    if (!Object.isFrozen(value)) unfrozen.push(path)
    for (const [key, member] of Object.entries(value)) visit(member, `${path}.${key}`)
  }
  visit(limits, 'limits')
  t.deepEqual(unfrozen, [])
  for (const subnet of subnets) subnet.connections = 4
  t.is(limits.subnets[0]?.connections, 3)
})

function refusal(t: ExecutionContext, limits: unknown): string {
  const resolve = (): unknown => resolveLimits(limits as LimitConfig, MACHINE)
  return t.throws(resolve, { instanceOf: InvalidParametersError })?.message ?? ''
}

test('an unknown limit is refused with its path', (t) => {
  t.is(refusal(t, { sytem: {} }), 'unknown option "limits.sytem"; did you mean limits.system?')
  t.is(
    refusal(t, { system: { conections: 1 } }),
    'unknown option "limits.system.conections"; did you mean limits.system.connections?'
  )
  t.is(
    refusal(t, { protocols: { '/x/1': { stream: 1 } } }),
    'unknown option "limits.protocols[\\"/x/1\\"].stream"; did you mean limits.protocols["/x/1"].streams?'
  )
  t.is(
    refusal(t, { subnets: [{ family: 4, prefix: 32, connections: 1, burst: 1 }] }),
    'unknown option "limits.subnets[0].burst"; known are family, prefix, connections'
  )
})

test('an invalid limit is refused with its path and the expected value', (t) => {
  const whole = 'to be a whole number of 0 or more, or "unlimited"'
  const cases: readonly (readonly [unknown, string])[] = [
    [5, 'expected limits to be "auto", "unlimited" or an object, received 5'],
    ['none', 'expected limits to be "auto", "unlimited" or an object, received "none"'],
    [null, 'expected limits to be "auto", "unlimited" or an object, received null'],
    [[], 'expected limits to be "auto", "unlimited" or an object, received an object of Array'],
    [{ system: 5 }, 'expected limits.system to be an object, received 5'],
    [{ system: { fds: -1 } }, `expected limits.system.fds ${whole}, received -1`],
    [{ stream: { memory: 1.5 } }, `expected limits.stream.memory ${whole}, received 1.5`],
    [
      { stream: { memory: 2 ** 53 } },
      `expected limits.stream.memory ${whole}, received ${2 ** 53}`
    ],
    [{ stream: { memory: '5' } }, `expected limits.stream.memory ${whole}, received "5"`],
    [
      { protocols: { '/x/1': { streams: null } } },
      `expected limits.protocols["/x/1"].streams ${whole}, received null`
    ],
    [
      { services: new Map([['x', {}]]) },
      'expected limits.services to be a plain object, received an object of Map'
    ],
    [
      { services: { '': {} } },
      'expected a name in limits.services to be one line of 1 to 1023 bytes, received ""'
    ],
    [{ peers: { bob: {} } }, 'expected the peer of limits.peers to be a peer id, received "bob"'],
    [
      { keepaliveIntervalMs: 0 },
      'expected limits.keepaliveIntervalMs to be a whole number between 1 and 4294967295, received 0'
    ],
    [{ dryRun: 1 }, 'expected limits.dryRun to be true or false, received 1'],
    [{ loopbackExempt: 'no' }, 'expected limits.loopbackExempt to be true or false, received "no"']
  ]
  for (const [limits, message] of cases) t.is(refusal(t, limits), message)
})

test('an invalid subnet, rate, network or source is refused with its path', (t) => {
  const network = 'to be an IP address or a network such as 192.0.2.0/24'
  const subnet = { family: 4, prefix: 32, connections: 8 }
  const rate = { family: 6, prefix: 56, perSecond: 1, burst: 1 }
  const cases: readonly (readonly [unknown, string])[] = [
    [{ subnets: subnet }, 'expected limits.subnets to be an array, received an object'],
    [{ subnets: [undefined] }, 'expected limits.subnets[0] to be an object, received undefined'],
    [
      { subnets: [{ ...subnet, family: 5 }] },
      'expected limits.subnets[0].family to be one of 4, 6, received 5'
    ],
    [
      { subnets: [subnet, { ...subnet, prefix: 33 }] },
      'expected limits.subnets[1].prefix to be a whole number between 0 and 32, received 33'
    ],
    [
      { subnets: [{ family: 4, prefix: 32 }] },
      'expected limits.subnets[0].connections to be a whole number between 0 and 4294967295, received undefined'
    ],
    [
      { rates: [{ ...rate, prefix: 129 }] },
      'expected limits.rates[0].prefix to be a whole number between 0 and 128, received 129'
    ],
    [
      { rates: [{ ...rate, perSecond: 0 }] },
      'expected limits.rates[0].perSecond to be a finite number above 0, received 0'
    ],
    [
      { rates: [{ ...rate, burst: 0 }] },
      'expected limits.rates[0].burst to be a whole number between 1 and 4294967295, received 0'
    ],
    [
      { networks: { '10.0.0.0/8': -1 } },
      'expected limits.networks["10.0.0.0/8"] to be a whole number of 0 or more, or "unlimited", received -1'
    ],
    [
      { networks: { '10.0.0.0/8': 1, '10.9.9.9/8': 2 } },
      'expected limits.networks to name 10.0.0.0/8 once, received it twice'
    ],
    [{ trustedSources: [5] }, `expected limits.trustedSources[0] ${network}, received 5`]
  ]
  for (const [limits, message] of cases) t.is(refusal(t, limits), message)
  for (const text of [
    '',
    '10.0.0.0/33',
    '10.0.0/8',
    '::/129',
    'fe80::1%eth0',
    'localhost',
    '10.0.0.0/08',
    '::1/',
    '/8'
  ]) {
    const received = `${network}, received ${JSON.stringify(text)}`
    t.is(refusal(t, { networks: { [text]: 1 } }), `expected a key of limits.networks ${received}`)
    t.is(refusal(t, { trustedSources: [text] }), `expected limits.trustedSources[0] ${received}`)
  }
})

test('an entry of the allowlist that names no address, a port or no peer is refused', (t) => {
  const expected =
    'expected limits.allowlist[0] to be an IP address, a network or a multiaddr, such as 192.0.2.0/24 or /ip4/192.0.2.0/ipcidr/24/p2p/<peer id>, received '
  for (const entry of [
    5,
    '',
    `/p2p/${PEER}`,
    '/ip4/192.0.2.1/tcp/4001',
    '/ip4/2001:db8::1',
    '/ip6/192.0.2.1',
    '/ip4/192.0.2.1/ipcidr/33',
    '/ip6/fe80::1%eth0',
    '/dns4/example.com'
  ]) {
    t.is(refusal(t, { allowlist: [entry] }), expected + JSON.stringify(entry))
  }
  t.is(
    refusal(t, { allowlist: ['10.0.0.1', '/ip4/192.0.2.1/p2p/bob'] }),
    'expected the peer of limits.allowlist[1] to be a peer id, received "bob"'
  )
})

test('the table of a machine is an option that changes nothing', (t) => {
  const classes: Readonly<Record<ScopeClass | NamedClass, unknown>> = autoLimits(MACHINE)
  t.deepEqual(
    resolveLimits({ ...(classes as LimitConfig) }, { memory: GIB, fds: 64 }),
    resolveLimits('auto', MACHINE)
  )
})
