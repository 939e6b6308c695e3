import test, { type ExecutionContext } from 'ava'
import fc from 'fast-check'
import { InvalidParametersError } from '../../ts/errors.ts'
import { fromGoJSON, type GoLimits, toGoJSON } from '../../ts/resource-manager/json.ts'
import type { LimitConfig } from '../../ts/resource-manager/limit-config.ts'
import { resolveLimits } from '../../ts/resource-manager/limits.ts'
import { autoLimits, scaleLimits } from '../../ts/resource-manager/scale.ts'
import {
  NAMED_CLASS_NAMES,
  RESOURCE_NAMES,
  SCOPE_CLASSES,
  type ScopeLimits,
  type ScopeLimitTable
} from '../../ts/resource-manager/scope-limits.ts'

const MIB = 1024 * 1024
const GIB = 1024 * MIB
const NONE = Number.POSITIVE_INFINITY
const PEER = '12D3KooWPFH2Bx2tPfw6RLxN8k2wh47GRXgkt9yrAHU37zFwHWzS'
const OTHER_PEER = 'QmVvtzcZgCkMnSFf2dnrBPXrWuNFWNM9J3MpZQCvWPuVZf'

const BLOCKED_CONNECTIONS = {
  Conns: 'blockAll',
  ConnsInbound: 'blockAll',
  ConnsOutbound: 'blockAll',
  FD: 'blockAll'
}

const SYSTEM = {
  Streams: 4_096,
  StreamsInbound: 2_048,
  StreamsOutbound: 4_096,
  Conns: 256,
  ConnsInbound: 128,
  ConnsOutbound: 256,
  FD: 4_096,
  Memory: '1207959552'
}

const TRANSIENT = {
  Streams: 512,
  StreamsInbound: 256,
  StreamsOutbound: 512,
  Conns: 96,
  ConnsInbound: 48,
  ConnsOutbound: 96,
  FD: 1_024,
  Memory: '167772160'
}

/** The default limits of go-libp2p for 1 GiB and 4,096 file descriptors, as it writes them. */
const GO_DEFAULTS: GoLimits = {
  System: SYSTEM,
  Transient: TRANSIENT,
  AllowlistedSystem: SYSTEM,
  AllowlistedTransient: TRANSIENT,
  ServiceDefault: {
    Streams: 6_144,
    StreamsInbound: 1_536,
    StreamsOutbound: 6_144,
    ...BLOCKED_CONNECTIONS,
    Memory: '201326592'
  },
  ServicePeerDefault: {
    Streams: 264,
    StreamsInbound: 132,
    StreamsOutbound: 264,
    ...BLOCKED_CONNECTIONS,
    Memory: '20971520'
  },
  ProtocolDefault: {
    Streams: 2_560,
    StreamsInbound: 768,
    StreamsOutbound: 2_560,
    ...BLOCKED_CONNECTIONS,
    Memory: '239075328'
  },
  ProtocolPeerDefault: {
    Streams: 272,
    StreamsInbound: 68,
    StreamsOutbound: 136,
    ...BLOCKED_CONNECTIONS,
    Memory: '16777220'
  },
  PeerDefault: {
    Streams: 768,
    StreamsInbound: 384,
    StreamsOutbound: 768,
    Conns: 8,
    ConnsInbound: 8,
    ConnsOutbound: 8,
    FD: 64,
    Memory: '201326592'
  },
  Conn: {
    Streams: 'blockAll',
    StreamsInbound: 'blockAll',
    StreamsOutbound: 'blockAll',
    Conns: 1,
    ConnsInbound: 1,
    ConnsOutbound: 1,
    FD: 1,
    Memory: '33554432'
  },
  Stream: {
    Streams: 1,
    StreamsInbound: 1,
    StreamsOutbound: 1,
    ...BLOCKED_CONNECTIONS,
    Memory: '16777216'
  }
}

const CONNECTION = { Conns: 1, ConnsInbound: 1, ConnsOutbound: 1, FD: 1, Memory: '33554432' }

// go 126
test("go's default limits are read and written", (t) => {
  const config = fromGoJSON(JSON.stringify(GO_DEFAULTS))
  t.deepEqual(toGoJSON(config), { ...GO_DEFAULTS, Conn: CONNECTION })
  const go = scaleLimits(GIB, 4_096)
  const auto = autoLimits({ memory: GIB, fds: 64 })
  const { streams, streamsInbound, streamsOutbound } = auto.connection
  const resolved = resolveLimits(config, { memory: GIB, fds: 64 })
  t.like(resolved, {
    system: go.system,
    transient: go.transient,
    allowlistedSystem: go.allowlistedSystem,
    allowlistedTransient: go.allowlistedTransient,
    serviceDefault: go.serviceDefault,
    servicePeerDefault: go.servicePeerDefault,
    protocolDefault: go.protocolDefault,
    protocolPeerDefault: { ...go.protocolPeerDefault, memory: 16 * MIB + 4 },
    peerDefault: go.peerDefault,
    connection: { ...go.connection, streams, streamsInbound, streamsOutbound },
    stream: go.stream
  })
})

// go 126
test('the limits of go are written as go does', (t) => {
  const { Service, ServicePeer, Protocol, ProtocolPeer, Peer, ...defaults } = toGoJSON(
    scaleLimits(GIB, 4_096)
  )
  const unlimited = {
    Streams: 'unlimited',
    StreamsInbound: 'unlimited',
    StreamsOutbound: 'unlimited'
  }
  t.deepEqual(defaults, {
    ...GO_DEFAULTS,
    ProtocolPeerDefault: { ...GO_DEFAULTS.ProtocolPeerDefault, Memory: '20971520' },
    Conn: { ...CONNECTION, ...unlimited }
  })
  t.deepEqual(Service?.['libp2p.ping'], {
    Streams: 128,
    StreamsInbound: 128,
    StreamsOutbound: 128,
    ...BLOCKED_CONNECTIONS,
    Memory: '8388608'
  })
  t.deepEqual(Object.keys(ServicePeer ?? {}), Object.keys(Service ?? {}))
  t.deepEqual(Object.keys(ProtocolPeer ?? {}), Object.keys(Protocol ?? {}))
  t.is(Protocol?.['/ipfs/ping/1.0.0']?.Streams, 128)
  t.is(Peer, undefined)
})

// go 126
test('a value is a number, `unlimited`, `blockAll` or `default`', (t) => {
  const system = (value: unknown): ScopeLimits | undefined =>
    fromGoJSON({ System: { Streams: value, Memory: value } }).system
  t.deepEqual(system(5), { streams: 5, memory: 5 })
  t.deepEqual(system('unlimited'), { streams: 'unlimited', memory: 'unlimited' })
  t.deepEqual(system(-1), { streams: 'unlimited', memory: 'unlimited' })
  t.deepEqual(system('blockAll'), { streams: 0, memory: 0 })
  t.deepEqual(system(0), { streams: 0, memory: 0 })
  t.deepEqual(system(-2), { streams: 0, memory: 0 })
  t.deepEqual(system('default'), {})
  t.deepEqual(fromGoJSON('{"System":{"Conns":4611686018427388000}}').system, {
    connections: 'unlimited'
  })
  t.deepEqual(fromGoJSON('{"System":{"Conns":9007199254740991}}').system, {
    connections: Number.MAX_SAFE_INTEGER
  })
})

// go 126
test('memory is also a number in a string', (t) => {
  const memory = (value: string): unknown =>
    fromGoJSON({ System: { Memory: value } }).system?.memory
  t.is(memory('8724152320'), 8_724_152_320)
  t.is(memory('9007199254740991'), Number.MAX_SAFE_INTEGER)
  t.is(memory('9223372036854775807'), 'unlimited')
  t.is(memory('-1'), 'unlimited')
  t.is(memory('0'), 0)
})

// go 126
test('a file of an early version, and one of a few limits, keep the other defaults', (t) => {
  const early = {
    System: { Memory: 65_536, Conns: 16, FD: 9 },
    ServiceDefault: { Memory: 8_765 },
    Service: { A: { Memory: 8_192 }, B: {} },
    Peer: { [PEER]: { Memory: 4_097 } }
  }
  const machine = { memory: GIB, fds: 64 }
  const auto = resolveLimits('auto', machine)
  const limits = resolveLimits(fromGoJSON(early), machine)
  t.deepEqual(limits.system, { ...auto.system, memory: 65_536, connections: 16, fds: 9 })
  t.deepEqual(limits.transient, auto.transient)
  t.like(limits.services, {
    A: { ...auto.serviceDefault, memory: 8_192 },
    B: { ...auto.serviceDefault, memory: 8_765 }
  })
  t.deepEqual(limits.peers, { [PEER]: { ...auto.peerDefault, memory: 4_097 } })
})

// go 126
test('limits that are not given are left out', (t) => {
  const config: LimitConfig = {
    system: { streamsOutbound: 'unlimited' },
    transient: {},
    protocols: {},
    peers: { [OTHER_PEER]: { streamsInbound: 0, streamsOutbound: NONE, connectionsInbound: 0 } },
    services: { x: {} },
    acceptBacklog: 5,
    allowlist: ['10.0.0.1']
  }
  t.deepEqual(toGoJSON(config), {
    System: { StreamsOutbound: 'unlimited' },
    Service: { x: {} },
    Peer: {
      [OTHER_PEER]: {
        StreamsInbound: 'blockAll',
        StreamsOutbound: 'unlimited',
        ConnsInbound: 'blockAll'
      }
    }
  })
  t.deepEqual(toGoJSON({}), {})
  t.deepEqual(fromGoJSON('{}'), {})
})

test('stream limits of 0 for connections are ignored, as go ignores them, and others are not', (t) => {
  const connection = (go: object): ScopeLimits | undefined => fromGoJSON({ Conn: go }).connection
  t.deepEqual(connection({ Streams: 0, StreamsInbound: 'blockAll', StreamsOutbound: -2 }), {})
  t.deepEqual(connection({ Streams: 5, StreamsInbound: 'unlimited', Conns: 0 }), {
    streams: 5,
    streamsInbound: 'unlimited',
    connections: 0
  })
  t.deepEqual(fromGoJSON({ Stream: { Streams: 0 } }).stream, { streams: 0 })
})

test('effective limits survive the format, whatever the defaults of the reader', (t) => {
  const given: LimitConfig = {
    protocols: { '/x/1': { streams: 0 } },
    peers: { [PEER]: { memory: 'unlimited' } }
  }
  const limits = resolveLimits(given, { memory: 24 * GIB, fds: NONE })
  const text = JSON.stringify(toGoJSON(limits))
  const again = resolveLimits(fromGoJSON(text), { memory: GIB, fds: 64 })
  t.deepEqual(again, limits)
  // The built-in scopes are named, and so are limited again.
  const { system, services } = resolveLimits(
    fromGoJSON(toGoJSON(resolveLimits('unlimited', { memory: GIB, fds: 64 }))),
    { memory: GIB, fds: 64 }
  )
  t.deepEqual(Object.values(system), new Array(RESOURCE_NAMES.length).fill(NONE))
  t.deepEqual(services, autoLimits({ memory: GIB, fds: 64 }).services)
})

const aLimit = fc.oneof(
  fc.maxSafeNat(),
  fc.constantFrom(0, 1, Number.MAX_SAFE_INTEGER),
  fc.constant('unlimited' as const)
)
const aScope: fc.Arbitrary<ScopeLimits> = fc.record(
  Object.fromEntries(RESOURCE_NAMES.map((name) => [name, aLimit])),
  { requiredKeys: [] }
)
// Scopes and tables without members are left out.
const aGivenScope = aScope.filter((scope) => Object.keys(scope).length > 0)
// Ignored in go's files.
const aConnection = aGivenScope.filter(
  ({ streams, streamsInbound, streamsOutbound }) =>
    ![streams, streamsInbound, streamsOutbound].includes(0)
)
const someNames = fc.dictionary(fc.string({ minLength: 1 }), aScope, { minKeys: 1 })
const somePeers = fc.dictionary(fc.constantFrom(PEER, OTHER_PEER), aScope, { minKeys: 1 })

test('limits survive the format', (t) => {
  const configs: fc.Arbitrary<LimitConfig> = fc.record(
    {
      ...Object.fromEntries(SCOPE_CLASSES.map((name) => [name, aGivenScope])),
      ...Object.fromEntries(NAMED_CLASS_NAMES.map((name) => [name, someNames])),
      connection: aConnection,
      peers: somePeers
    },
    { requiredKeys: [] }
  )
  fc.assert(
    fc.property(configs, (config) => {
      // `fc.record` has objects without a prototype.
      t.deepEqual(
        JSON.parse(JSON.stringify(fromGoJSON(JSON.stringify(toGoJSON(config))))),
        JSON.parse(JSON.stringify(config))
      )
    })
  )
})

function refusal(t: ExecutionContext, call: () => unknown): string {
  return t.throws(call, { instanceOf: InvalidParametersError })?.message ?? ''
}

test('an unknown name in a file is refused with its path', (t) => {
  const read = (go: object): string => refusal(t, () => fromGoJSON(go))
  t.is(read({ Sytem: {} }), 'unknown option "Sytem"; did you mean System?')
  t.is(read({ system: {} }), 'unknown option "system"; did you mean System?')
  t.is(
    read({ Transient: { Conn: 1 } }),
    'unknown option "Transient.Conn"; did you mean Transient.Conns?'
  )
  t.is(
    read({ Protocol: { '/x/1': { FDs: 1 } } }),
    'unknown option "Protocol[\\"/x/1\\"].FDs"; did you mean Protocol["/x/1"].FD?'
  )
  t.regex(read(JSON.parse('{"__proto__":{}}')), /^unknown option "__proto__"/)
})

test('an invalid value in a file is refused with its path', (t) => {
  const read = (go: unknown): string => refusal(t, () => fromGoJSON(go as object))
  const expected = 'to be a whole number, "unlimited", "blockAll" or "default"'
  t.is(read({ System: { FD: -3 } }), `expected System.FD ${expected}, received -3`)
  t.is(read({ System: { FD: 0.5 } }), `expected System.FD ${expected}, received 0.5`)
  t.is(read({ System: { FD: '5' } }), `expected System.FD ${expected}, received "5"`)
  t.is(read({ System: { FD: null } }), `expected System.FD ${expected}, received null`)
  t.is(read({ Conn: { Memory: '1e3' } }), `expected Conn.Memory ${expected}, received "1e3"`)
  t.is(read({ Conn: { Memory: '' } }), `expected Conn.Memory ${expected}, received ""`)
  t.is(read({ Conn: { Memory: '-5' } }), `expected Conn.Memory ${expected}, received -5`)
  t.is(read({ System: null }), 'expected System to be an object, received null')
  t.is(read({ Peer: [] }), 'expected Peer to be a plain object, received an object of Array')
  t.is(read({ Peer: { bob: {} } }), 'expected the peer of Peer to be a peer id, received "bob"')
  t.is(
    read({ Service: { '': {} } }),
    'expected a name in Service to be one line of 1 to 1023 bytes, received ""'
  )
})

test('what is no file is refused', (t) => {
  const read = (json: unknown): string => refusal(t, () => fromGoJSON(json as string))
  t.is(read('{'), 'expected the limits to be JSON text')
  const expected = 'expected the limits to be an object or its JSON text, received'
  t.is(read('5'), `${expected} 5`)
  t.is(read('null'), `${expected} null`)
  t.is(read(5), `${expected} 5`)
  t.is(read(undefined), `${expected} undefined`)
  t.is(read([]), `${expected} an object of Array`)
  t.is(read(Buffer.from('{}')), `${expected} an object of Buffer`)
})

test('limits that are no limits are not written', (t) => {
  const write = (limits: unknown): string => refusal(t, () => toGoJSON(limits as ScopeLimitTable))
  t.is(write({ sytem: {} }), 'unknown option "limits.sytem"; did you mean limits.system?')
  t.is(
    write({ system: { fds: -1 } }),
    'expected limits.system.fds to be a whole number of 0 or more, or "unlimited", received -1'
  )
  t.is(write(null), 'expected the limits to be an object, received null')
  t.is(write(undefined), 'expected the limits to be an object, received undefined')
  t.is(write('auto'), 'expected the limits to be an object, received "auto"')
})
