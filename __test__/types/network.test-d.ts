/** Interfaces of go's and py's networks and connections: our classes implement them, and a mock of each compiles. */
import {
  Connectedness,
  type Connection,
  type ConnMultiaddrs,
  type ConnSecurity,
  type ConnStat,
  type ConnStats,
  type Dialer,
  type Network,
  type Notifiee,
  type Stats,
  type Stream,
  type Swarm
} from '../../ts/index.ts'

declare const swarm: Swarm
declare const connection: Connection
declare const stream: Stream

const ours: [Network, Dialer] = [swarm, swarm]
const connections: [ConnSecurity, ConnMultiaddrs, ConnStat] = [connection, connection, connection]
const facts: Stats[] = [stream.stat, connection.stat]

const notifiees = new Set<Notifiee>()

const dialer: Dialer = {
  peerId: swarm.peerId,
  dialPeer: async () => connection,
  dialAddr: async (addr, peer, { signal } = {}) => {
    signal?.throwIfAborted()
    return peer === undefined || addr === '' ? Promise.reject(new Error('no peer')) : connection
  },
  closePeer: async () => {},
  connectedness: () => Connectedness.Connected,
  getPeers: () => [swarm.peerId],
  getConnections: (peer) => (peer === undefined ? [connection] : []),
  notify: (notifiee) => notifiees.add(notifiee).size > 0,
  stopNotify: (notifiee) => void notifiees.delete(notifiee)
}

const network: Network = {
  ...dialer,
  listen: async () => true,
  unlisten: async () => false,
  getListenAddrs: () => [],
  getInterfaceListenAddrs: () => [],
  newStream: async (_peer, protocols) =>
    protocols === undefined ? stream : connection.newStream(),
  setStreamHandler: (handler) => void handler?.(stream, connection, { signal: stream.signal }),
  close: async () => {}
}

const security: ConnSecurity = {
  localPeer: swarm.peerId,
  remotePeer: swarm.peerId,
  remotePublicKey: connection.remotePublicKey,
  state: {
    transport: 'tcp',
    security: '/noise',
    muxer: '/yamux/1.0.0',
    muxerEngine: 'yamux',
    usedEarlyMuxerNegotiation: true
  }
}
const addresses: ConnMultiaddrs = {
  localAddr: connection.localAddr,
  remoteAddr: connection.remoteAddr
}
const stats: ConnStats = {
  direction: 'inbound',
  opened: 0,
  limited: false,
  transient: false,
  extra: new Map(),
  numStreams: 0
}
const stat: ConnStat = { stat: stats }

// @ts-expect-error a network also listens
const half: Network = dialer
// @ts-expect-error a direction is one of two
const sideways: Stats = { ...stats, direction: 'sideways' }
// @ts-expect-error the stat of a connection is read-only
connection.stat.numStreams = 1

export const used: unknown[] = [
  ours,
  connections,
  facts,
  network,
  security,
  addresses,
  stat,
  half,
  sideways
]
