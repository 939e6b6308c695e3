/**
 * Limits in proportion to memory and file descriptors: those of go-libp2p, and the defaults of this package.
 */
import { aLimit, anObject, aSize } from '../base/arguments.ts'
import {
  mapNamed,
  type NamedClass,
  type NamedLimits,
  type ResolvedScopeLimits,
  type ResourceName,
  type ScopeClass,
  type ScopeLimitTable,
  scopeLimits,
  scopeTable
} from './scope-limits.ts'

/** Memory and file descriptors of the machine, from which default limits follow. */
export interface MachineResources {
  /** Bytes of memory available to the process. */
  readonly memory: number
  /** Maximum open file descriptors of the process; `Infinity` where there is none. */
  readonly fds: number
}

const KIB = 1024
const MIB = 1024 * KIB
const GIB = 1024 * MIB

/** Memory up to which the base applies alone. */
const SCALED_FROM_BYTES = 128 * MIB

/**
 * The limit of a resource: a constant, or its base and its growth per GiB of memory, in steps of a MiB.
 *
 * The growth of `fds` is the share of the file descriptors, of which the base is the minimum.
 */
type Scale = number | readonly [base: number, growth: number]

/** The scales of a scope. Omitted resources have a limit of 0: scopes of the class never hold them. */
type ScopeScale = Readonly<Partial<Record<ResourceName, Scale>>>

const SYSTEM: ScopeScale = {
  connectionsInbound: [64, 64],
  connectionsOutbound: [128, 128],
  connections: [128, 128],
  streamsInbound: [1_024, 1_024],
  streamsOutbound: [2_048, 2_048],
  streams: [2_048, 2_048],
  fds: [256, 1],
  memory: [128 * MIB, GIB]
}

const TRANSIENT: ScopeScale = {
  connectionsInbound: [32, 16],
  connectionsOutbound: [64, 32],
  connections: [64, 32],
  streamsInbound: [128, 128],
  streamsOutbound: [256, 256],
  streams: [256, 256],
  fds: [64, 1 / 4],
  memory: [32 * MIB, 128 * MIB]
}

/** The limits of go-libp2p 0.51, in which two faults are mended; the comments name them. */
const CLASSES: Readonly<Record<ScopeClass, ScopeScale>> = {
  system: SYSTEM,
  transient: TRANSIENT,
  allowlistedSystem: SYSTEM,
  allowlistedTransient: TRANSIENT,
  serviceDefault: {
    streamsInbound: [1_024, 512],
    streamsOutbound: [4_096, 2_048],
    streams: [4_096, 2_048],
    memory: [64 * MIB, 128 * MIB]
  },
  servicePeerDefault: {
    streamsInbound: [128, 4],
    streamsOutbound: [256, 8],
    streams: [256, 8],
    memory: [16 * MIB, 4 * MIB]
  },
  protocolDefault: {
    streamsInbound: [512, 256],
    streamsOutbound: [2_048, 512],
    streams: [2_048, 512],
    memory: [64 * MIB, 164 * MIB]
  },
  protocolPeerDefault: {
    streamsInbound: [64, 4],
    streamsOutbound: [128, 8],
    streams: [256, 16],
    // In go the growth is 4 bytes: the unit is missing there.
    memory: [16 * MIB, 4 * MIB]
  },
  peerDefault: {
    connectionsInbound: 8,
    connectionsOutbound: 8,
    connections: 8,
    streamsInbound: [256, 128],
    streamsOutbound: [512, 256],
    streams: [512, 256],
    fds: [4, 1 / 64],
    memory: [64 * MIB, 128 * MIB]
  },
  connection: {
    connectionsInbound: 1,
    connectionsOutbound: 1,
    connections: 1,
    // go charges no stream to its connection; here a limit of 0 would refuse them all.
    streamsInbound: Number.POSITIVE_INFINITY,
    streamsOutbound: Number.POSITIVE_INFINITY,
    streams: Number.POSITIVE_INFINITY,
    fds: 1,
    memory: 32 * MIB
  },
  // go lets streams grow by what is meant for connections. Neither grows by default, so the values are the same.
  stream: { streamsInbound: 1, streamsOutbound: 1, streams: 1, memory: 16 * MIB }
}

/** 8 GiB and 512 KiB, more than most systems have in all: the other scopes of a stream bound its memory. */
const UNBOUND_BYTES = 32 * (256 * MIB + 16 * KIB)

const IDENTIFY: ScopeScale = {
  streamsInbound: [64, 64],
  streamsOutbound: [64, 64],
  streams: [128, 128],
  memory: [4 * MIB, 4 * MIB]
}

const IDENTIFY_PEER: ScopeScale = {
  streamsInbound: 16,
  streamsOutbound: 16,
  streams: 32,
  memory: UNBOUND_BYTES
}

const PING: ScopeScale = {
  streamsInbound: [64, 64],
  streamsOutbound: [64, 64],
  streams: [64, 64],
  memory: [4 * MIB, 4 * MIB]
}

const PING_PEER: ScopeScale = {
  streamsInbound: 2,
  streamsOutbound: 3,
  streams: 4,
  memory: UNBOUND_BYTES
}

const AUTONAT: ScopeScale = {
  streamsInbound: [64, 4],
  streamsOutbound: [64, 4],
  streams: [64, 4],
  memory: [4 * MIB, 2 * MIB]
}

const HOLE_PUNCH: ScopeScale = {
  streamsInbound: [32, 8],
  streamsOutbound: [32, 8],
  streams: [64, 16],
  memory: [4 * MIB, 4 * MIB]
}

/** Of autonat and of hole punching, which need one stream at a time. */
const PAIR_PEER: ScopeScale = {
  streamsInbound: 2,
  streamsOutbound: 2,
  streams: 2,
  memory: MIB
}

const RELAY: ScopeScale = {
  streamsInbound: [256, 256],
  streamsOutbound: [256, 256],
  streams: [256, 256],
  memory: [16 * MIB, 16 * MIB]
}

const CIRCUIT: ScopeScale = {
  streamsInbound: [640, 640],
  streamsOutbound: [640, 640],
  streams: [640, 640],
  memory: [16 * MIB, 16 * MIB]
}

const CIRCUIT_PEER: ScopeScale = {
  streamsInbound: 128,
  streamsOutbound: 128,
  streams: 128,
  memory: 32 * MIB
}

/** The limits that go-libp2p sets for the services and protocols of its own. */
const NAMED: Readonly<Record<NamedClass, Readonly<Record<string, ScopeScale>>>> = {
  services: {
    'libp2p.identify': IDENTIFY,
    'libp2p.ping': PING,
    'libp2p.autonat': AUTONAT,
    'libp2p.holepunch': HOLE_PUNCH,
    'libp2p.relay/v2': RELAY
  },
  servicePeers: {
    'libp2p.identify': { ...IDENTIFY_PEER, memory: MIB },
    'libp2p.ping': PING_PEER,
    'libp2p.autonat': PAIR_PEER,
    'libp2p.holepunch': PAIR_PEER,
    'libp2p.relay/v2': { streamsInbound: 64, streamsOutbound: 64, streams: 64, memory: MIB }
  },
  protocols: {
    '/ipfs/id/1.0.0': IDENTIFY,
    '/ipfs/id/push/1.0.0': IDENTIFY,
    '/ipfs/ping/1.0.0': PING,
    '/libp2p/autonat/1.0.0': AUTONAT,
    '/libp2p/dcutr': HOLE_PUNCH,
    '/libp2p/circuit/relay/0.2.0/hop': CIRCUIT,
    '/libp2p/circuit/relay/0.2.0/stop': CIRCUIT
  },
  protocolPeers: {
    '/ipfs/id/1.0.0': IDENTIFY_PEER,
    '/ipfs/id/push/1.0.0': IDENTIFY_PEER,
    '/ipfs/ping/1.0.0': PING_PEER,
    '/libp2p/autonat/1.0.0': PAIR_PEER,
    '/libp2p/dcutr': PAIR_PEER,
    '/libp2p/circuit/relay/0.2.0/hop': CIRCUIT_PEER,
    '/libp2p/circuit/relay/0.2.0/stop': CIRCUIT_PEER
  },
  peers: {}
}

/** Streams of one peer: as many as two connections have inbound, or four outbound. */
const PEER_STREAMS = { streamsInbound: 2_000, streamsOutbound: 2_000, streams: 4_000 }

/** Streams of one service or protocol: a quarter of the system's, so that none starves the others. */
const SHARED_STREAMS = { streamsInbound: 16_384, streamsOutbound: 16_384, streams: 16_384 }

/** Ping streams of one peer: those of one connection, in both directions. */
const PING_PEER_OWN: Readonly<Partial<Record<ResourceName, number>>> = {
  streamsInbound: 16,
  streamsOutbound: 16,
  streams: 32,
  memory: UNBOUND_BYTES
}

/** Protocols that every peer uses. */
const EVERY_PEERS_PROTOCOLS = ['/ipfs/id/1.0.0', '/ipfs/id/push/1.0.0', '/ipfs/ping/1.0.0']

/** The limits that differ from go's, with the reasons. */
const OWN: Readonly<Partial<Record<ScopeClass, Readonly<Partial<ResolvedScopeLimits>>>>> = {
  system: {
    // An idle connection costs some 10 KiB here. File descriptors usually run out first.
    connectionsInbound: 16_384,
    connectionsOutbound: 16_384,
    connections: 16_384,
    // An idle stream costs some 2 KiB, its JavaScript objects included: 128 MiB in all.
    streamsInbound: 65_536,
    streamsOutbound: 65_536,
    streams: 65_536
  },
  transient: {
    // Upgrades end within 10 s, and no host holds more than 8 places.
    connectionsInbound: 256,
    connectionsOutbound: 256,
    connections: 256,
    // Negotiations of a burst of streams over many connections; a stream leaves after one round trip.
    streamsInbound: 4_096,
    streamsOutbound: 4_096,
    streams: 8_192
  },
  serviceDefault: SHARED_STREAMS,
  servicePeerDefault: PEER_STREAMS,
  protocolDefault: SHARED_STREAMS,
  // One application protocol is often all that a peer is used for.
  protocolPeerDefault: PEER_STREAMS,
  peerDefault: PEER_STREAMS,
  connection: {
    // go resets past 1,000.
    streamsInbound: 1_000,
    // rust serves 512 streams per connection and ignores more.
    streamsOutbound: 500,
    // Their sum.
    streams: Number.POSITIVE_INFINITY
  },
  stream: {
    // Receive windows reserve at priority 128, so they get half of it.
    memory: 64 * MIB
  }
}

/**
 * Returns the limits of go-libp2p for `memory` bytes and `fds` file descriptors to be used by the swarm, its limits of
 * identify, ping, autonat, hole punching and relays included.
 *
 * A limit grows per GiB of memory over its base, which applies alone up to 128 MiB. go gives a swarm an eighth of the
 * memory and half of the file descriptors; `autoLimits` does the same. A limit of 0 is one of a resource that
 * scopes of the class never hold. Two limits are not go's: memory of one peer in one protocol grows by 4 MiB, where go
 * has 4 bytes, and the streams of a connection are unlimited, where go does not count them.
 *
 * @throws {@link InvalidParametersError} unless `memory` is a whole number, and `fds` one or `Infinity`
 */
export function scaleLimits(memory: number, fds: number): ScopeLimitTable {
  aSize(memory, 'memory')
  aLimit(fds, 'fds')
  const mebibytes = memory > SCALED_FROM_BYTES ? Math.floor(memory / MIB) : 0
  const scaled = (scale: ScopeScale): ResolvedScopeLimits =>
    scopeLimits((resource) => {
      const value = scale[resource] ?? 0
      if (typeof value === 'number') return value
      const [base, growth] = value
      return resource === 'fds'
        ? Math.max(base, Math.floor(growth * fds))
        : base + grown(growth, mebibytes)
    })
  return scopeTable(
    (name) => scaled(CLASSES[name]),
    (name) => mapNamed(NAMED[name], scaled)
  )
}

/**
 * Returns the default limits for a machine: {@link scaleLimits} for an eighth of its memory and half of its file
 * descriptors, with more connections and streams than go.
 *
 * @throws {@link InvalidParametersError} unless `memory` is a whole number, and `fds` one or `Infinity`
 */
export function autoLimits(machine: MachineResources): ScopeLimitTable {
  anObject(machine, 'machine')
  const { memory, fds } = machine
  aSize(memory, 'memory')
  aLimit(fds, 'fds')
  const go = scaleLimits(Math.floor(memory / 8), Math.floor(fds / 2))
  const limitsOf = (name: ScopeClass): ResolvedScopeLimits => {
    const limits = { ...go[name], ...OWN[name] }
    return scopeLimits((resource) => limits[resource])
  }
  // A peer may use its memory in one protocol or service, as it may its streams.
  const perPeer = (name: ScopeClass): ResolvedScopeLimits =>
    Object.freeze({ ...limitsOf(name), memory: go.peerDefault.memory })
  // Every peer is identified, and rust-libp2p keeps one ping stream open per connection: go's totals, made for some
  // hundred connections, would refuse those of most peers here. Its limits per peer stay, but for ping, of which this
  // package serves 16 streams per connection.
  const shared = (name: NamedClass, of: ScopeClass, names: readonly string[]): NamedLimits =>
    Object.freeze({
      ...go[name],
      ...Object.fromEntries(names.map((key) => [key, limitsOf(of)]))
    })
  const pings = scopeLimits((resource) => PING_PEER_OWN[resource] ?? 0)
  const system = limitsOf('system')
  const transient = limitsOf('transient')
  return Object.freeze({
    ...scopeTable(limitsOf, (name) => go[name]),
    allowlistedSystem: system,
    allowlistedTransient: transient,
    servicePeerDefault: perPeer('servicePeerDefault'),
    protocolPeerDefault: perPeer('protocolPeerDefault'),
    services: shared('services', 'serviceDefault', ['libp2p.identify', 'libp2p.ping']),
    servicePeers: Object.freeze({ ...go.servicePeers, 'libp2p.ping': pings }),
    protocolPeers: Object.freeze({ ...go.protocolPeers, '/ipfs/ping/1.0.0': pings }),
    protocols: shared('protocols', 'protocolDefault', EVERY_PEERS_PROTOCOLS)
  })
}

/** Returns the growth for a number of MiB, rounded down. Exact: no product exceeds the integers of a double. */
function grown(growth: number, mebibytes: number): number {
  const rest = Math.floor((growth * (mebibytes % 1024)) / 1024)
  return growth * Math.floor(mebibytes / 1024) + rest
}
