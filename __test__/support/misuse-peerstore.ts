/** Calls of a peerstore, argument by argument. */
import { Peerstore } from '../../ts/index.ts'
import type { Argument } from './misuse.ts'

const PEER = 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N'
const never = (): boolean => false
const empty = (value: unknown): boolean => Array.isArray(value) && value.length === 0
const ttl = (value: unknown): boolean =>
  typeof value === 'number' &&
  value >= 0 &&
  (value <= Number.MAX_SAFE_INTEGER || value === Number.POSITIVE_INFINITY)
const ms = (value: unknown): boolean =>
  typeof value === 'number' &&
  ((value >= 0 && value <= 0x7fffffff) || value === Number.POSITIVE_INFINITY)
const names = (value: unknown): boolean =>
  Array.isArray(value) && value.every((name) => typeof name === 'string' && name.length > 0)
const key = (value: unknown): boolean =>
  typeof value === 'string' && value.length > 0 && value.length <= 256
const bytes = (value: unknown): boolean => value instanceof Uint8Array

export function peerstoreCalls(): Argument[] {
  const store = new Peerstore()
  const value = Uint8Array.of(1)
  const byPeer = {
    addAddrs: (peer: never) => store.addAddrs(peer, [], 1),
    setAddrs: (peer: never) => store.setAddrs(peer, [], 1),
    updateAddrs: (peer: never) => store.updateAddrs(peer, 1, 2),
    clearAddrs: (peer: never) => store.clearAddrs(peer),
    addrs: (peer: never) => store.addrs(peer),
    getPeerRecord: (peer: never) => store.getPeerRecord(peer),
    addPubKey: (peer: never) => store.addPubKey(peer, value),
    pubKey: (peer: never) => store.pubKey(peer),
    getProtocols: (peer: never) => store.getProtocols(peer),
    addProtocols: (peer: never) => store.addProtocols(peer, []),
    setProtocols: (peer: never) => store.setProtocols(peer, []),
    removeProtocols: (peer: never) => store.removeProtocols(peer, []),
    supportsProtocols: (peer: never) => store.supportsProtocols(peer, []),
    firstSupportedProtocol: (peer: never) => store.firstSupportedProtocol(peer, []),
    put: (peer: never) => store.put(peer, 'key', value),
    get: (peer: never) => store.get(peer, 'key'),
    delete: (peer: never) => store.delete(peer, 'key'),
    has: (peer: never) => store.has(peer),
    peerInfo: (peer: never) => store.peerInfo(peer),
    removePeer: (peer: never) => store.removePeer(peer),
    recordLatency: (peer: never) => store.recordLatency(peer, 1),
    latency: (peer: never) => store.latency(peer)
  }
  const peers = Object.entries(byPeer).map(([name, call]) => ({
    name: `peerstore.${name}(peer)`,
    call,
    takes: never
  }))
  const others: Record<string, [call: (value: never) => unknown, takes: Argument['takes']]> = {
    'addAddrs(addrs)': [(addrs) => store.addAddrs(PEER, addrs, 1), empty],
    'addAddrs(ttl)': [(of) => store.addAddrs(PEER, [], of), ttl],
    'setAddrs(addrs)': [(addrs) => store.setAddrs(PEER, addrs, 1), empty],
    'setAddrs(ttl)': [(of) => store.setAddrs(PEER, [], of), ttl],
    'updateAddrs(oldTtl)': [(of) => store.updateAddrs(PEER, of, 1), ttl],
    'updateAddrs(newTtl)': [(of) => store.updateAddrs(PEER, 1, of), ttl],
    'consumePeerRecord(envelope)': [(of) => store.consumePeerRecord(of, { ttl: 1 }), bytes],
    'consumePeerRecord(options)': [(of) => store.consumePeerRecord(value, of), never],
    'addPubKey(key)': [(of) => store.addPubKey(PEER, of), never],
    'addProtocols(protocols)': [(of) => store.addProtocols(PEER, of), names],
    'setProtocols(protocols)': [(of) => store.setProtocols(PEER, of), names],
    'removeProtocols(protocols)': [(of) => store.removeProtocols(PEER, of), names],
    'supportsProtocols(protocols)': [(of) => store.supportsProtocols(PEER, of), names],
    'put(key)': [(of) => store.put(PEER, of, value), key],
    'put(value)': [(of) => store.put(PEER, 'key', of), bytes],
    'get(key)': [(of) => store.get(PEER, of), key],
    'delete(key)': [(of) => store.delete(PEER, of), key],
    'recordLatency(ms)': [(of) => store.recordLatency(PEER, of), ms],
    'new Peerstore(options)': [
      (options) => new Peerstore(options),
      (options) =>
        options === undefined ||
        (typeof options === 'object' &&
          options !== null &&
          !Array.isArray(options) &&
          Object.keys(options).length === 0)
    ]
  }
  return [
    ...peers,
    ...Object.entries(others).map(([name, [call, takes]]) => ({
      name: `peerstore.${name}`,
      call,
      takes
    }))
  ]
}
