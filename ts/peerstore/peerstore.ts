/** What is known of peers: addresses with their lifetimes, keys, protocols, signed records and metadata. */
import type { PeerId, PublicKey } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import {
  aDuration,
  anArray,
  aString,
  bytes,
  type Check,
  checkOptions,
  integer,
  misuse,
  type OptionChecks,
  objectWith
} from '../base/arguments.ts'
import { type Clock, systemClock } from '../base/clock.ts'
import { INSPECT, type InspectArguments, shown } from '../base/inspection.ts'
import { ADDRESS_TTL_CONNECTED, ADDRESS_TTL_PERMANENT } from '../constants.ts'
import { InvalidRecordError, PeerstoreLimitError } from '../errors.ts'
import { type AddrLike, multiaddrOf } from '../identity/address.ts'
import { peerOfKey, publicKeyBytes } from '../identity/keys.ts'
import { publicKeyOf } from '../identity/load.ts'
import { parseAddress } from '../identity/parsed-address.ts'
import { type PeerLike, peerIdOf, peerText } from '../identity/peer-id.ts'
import {
  acceptRecord,
  addAddresses,
  ofPeer,
  openRecord,
  PROTOCOLS_MAX,
  putMetadata,
  putTags
} from './changes.ts'
import type { PeerInfo, PeerRecordOptions } from './interfaces.ts'
import { UNVERIFIED } from './peer-addresses.ts'
import type { PeerEntry } from './peer-entry.ts'
import { DONE, PEERS_MAX, PeerTable } from './peer-table.ts'

/** Options of a {@link Peerstore} in memory. */
export interface PeerstoreInit {
  /** Maximum number of peers. Defaults to 10,000. */
  maxPeers?: number
  /** Clock, for tests and simulations. */
  clock?: Clock
}

/** Maximum of `maxPeers`: all peers are in memory, some 2.5 KB each. */
const MAX_PEERS_MAX = 10_000_000

/** Maximum bytes of a protocol name: what fits one line of a negotiation. */
const PROTOCOL_BYTES_MAX = 1_023

/** Maximum characters of a metadata key. */
const KEY_LENGTH_MAX = 256

/** @internal The check of the option `maxPeers`. */
export const aPeerCount: Check = integer(1, MAX_PEERS_MAX)

const INIT_CHECKS: OptionChecks<PeerstoreInit> = {
  maxPeers: aPeerCount,
  clock: objectWith('now', 'setTimer', 'clearTimer')
}

const RECORD_CHECKS: OptionChecks<PeerRecordOptions> = {
  ttl: aTtl,
  expectedPeer: (value) => {
    // Any other value is refused by the call.
    peerText(value as PeerLike)
  }
}

/**
 * What is known of peers. Everything is in memory, so reads are synchronous. Writes take effect at once, and return a
 * promise that resolves when they are durable; in a store that is not persistent it is resolved. See docs/peerstore.md.
 *
 * At most `maxPeers` peers: those without addresses are evicted first, then those never reached, then the others, the
 * least recent first; never those that are connected. Peers with a permanent address, metadata or tags are never evicted
 * either: they are as many more, and a write beyond rejects with {@link PeerstoreLimitError}. At most 64 addresses of a peer, 1,024 protocols, and 64 KiB of
 * metadata.
 *
 * @example
 * ```ts
 * const { peerstore } = swarm
 * await peerstore.addAddrs(peerId, ['/ip4/192.0.2.1/tcp/4001'], ADDRESS_TTL_PERMANENT)
 * await peerstore.put(peerId, 'nickname', Buffer.from('ada'))
 * for (const peer of peerstore.peersWithAddrs()) console.log(`${peer}`, peerstore.addrs(peer))
 * ```
 */
export class Peerstore {
  /** @internal */
  readonly table: PeerTable

  /**
   * Creates a store in memory. A swarm has its own.
   *
   * @throws {@link InvalidParametersError} for an invalid option.
   */
  constructor(options: PeerstoreInit = {}) {
    checkOptions(options, INIT_CHECKS)
    this.table = new PeerTable(options.clock ?? systemClock, options.maxPeers ?? PEERS_MAX)
  }

  /**
   * Adds addresses for `ttl` milliseconds, or extends the lifetime of known ones, which it never shortens. A `/p2p` part
   * at the end is removed; an address of another peer, or of a `/p2p` part alone, is ignored.
   *
   * @throws {@link InvalidParametersError} for an invalid argument.
   */
  addAddrs(peer: PeerLike, addrs: readonly AddrLike[], ttl: number): Promise<void> {
    const id = peerText(peer)
    const parsed = parsedAddrs(addrs)
    aTtl(ttl, 'ttl')
    if (ttl === 0) return DONE
    return this.#refusal(id, ttl) ?? this.table.own(addAddresses(this.table, id, parsed, ttl))
  }

  /**
   * Sets the lifetime of addresses, which may shorten it, and adds those that are not known; 0 removes them.
   *
   * @throws {@link InvalidParametersError} for an invalid argument.
   */
  setAddrs(peer: PeerLike, addrs: readonly AddrLike[], ttl: number): Promise<void> {
    const id = peerText(peer)
    const parsed = parsedAddrs(addrs)
    aTtl(ttl, 'ttl')
    const refusal = this.#refusal(id, ttl)
    if (refusal !== undefined) return refusal
    const entry = this.table.ensure(id)
    const now = this.table.clock.now()
    for (const address of ofPeer(id, parsed)) entry.addresses.set(address, ttl, now)
    return this.#settleAddrs(entry)
  }

  /**
   * Gives the addresses of a peer with the lifetime `oldTtl` the lifetime `newTtl`, from now on; 0 removes them.
   *
   * @throws {@link InvalidParametersError} for an invalid argument.
   */
  updateAddrs(peer: PeerLike, oldTtl: number, newTtl: number): Promise<void> {
    const id = peerText(peer)
    aTtl(oldTtl, 'oldTtl')
    aTtl(newTtl, 'newTtl')
    const entry = this.table.get(id)
    if (entry === undefined) return DONE
    const refusal = this.#refusal(id, newTtl)
    if (refusal !== undefined) return refusal
    const isChanged = entry.addresses.update(oldTtl, newTtl, this.table.clock.now())
    return isChanged ? this.#settleAddrs(entry) : DONE
  }

  /** Removes the addresses of a peer, and its signed record. */
  clearAddrs(peer: PeerLike): Promise<void> {
    const entry = this.table.get(peerText(peer))
    if (entry === undefined) return DONE
    entry.addresses.clear()
    return this.#settleAddrs(entry)
  }

  /**
   * Returns the addresses of a peer in the order in which they are dialled: those dialled successfully, then the others,
   * then those without a transport; the most recent first.
   */
  addrs(peer: PeerLike): Multiaddr[] {
    return this.#texts(peerText(peer)).map(multiaddrOf)
  }

  /** Returns the peers with at least one address. */
  peersWithAddrs(): PeerId[] {
    const now = this.table.clock.now()
    return this.#peersThat(({ addresses }) => addresses.hasCurrent(now))
  }

  /**
   * Stores a signed peer record and its addresses. Resolves to false if there is one of the peer with a larger sequence
   * number. Addresses of an earlier record that are not in this one are removed, unless the peer is connected. Other
   * addresses may still be added, as in go.
   *
   * @throws {@link InvalidRecordError} if it is malformed, not signed by its peer, or of another one than `expectedPeer`.
   * @throws {@link InvalidParametersError} for an invalid argument.
   */
  consumePeerRecord(envelope: Uint8Array, options: PeerRecordOptions): Promise<boolean> {
    bytes(envelope, 'envelope')
    checkOptions(options, RECORD_CHECKS)
    aTtl(options?.ttl, 'ttl')
    const { ttl, expectedPeer } = options
    const expected = expectedPeer === undefined ? undefined : peerText(expectedPeer)
    return this.#consume(Uint8Array.from(envelope), ttl, expected)
  }

  async #consume(envelope: Uint8Array, ttl: number, expected?: string): Promise<boolean> {
    const record = openRecord(envelope)
    if (expected !== undefined && record.peer !== expected) {
      throw new InvalidRecordError(
        `expected a record of ${expected}, received one of ${record.peer}`
      )
    }
    await this.#refusal(record.peer, ttl)
    const entry = this.table.ensure(record.peer)
    if (!acceptRecord(entry, record, envelope)) return false
    const now = this.table.clock.now()
    for (const address of ofPeer(record.peer, record.addresses.map(parseAddress))) {
      if (ttl > 0) entry.addresses.add(address, UNVERIFIED, ttl, now).isCertified = true
    }
    await this.#settleAddrs(entry)
    return true
  }

  /** Returns the envelope of the latest signed record of a peer, as a copy. */
  getPeerRecord(peer: PeerLike): Uint8Array | undefined {
    return this.table.get(peerText(peer))?.record?.envelope.slice()
  }

  /**
   * Stores the public key of a peer: an object of @libp2p/crypto or a libp2p protobuf.
   *
   * @throws {@link InvalidParametersError} for an invalid argument, or the key of another peer.
   */
  addPubKey(peer: PeerLike, key: PublicKey | Uint8Array): Promise<void> {
    const id = peerText(peer)
    const encoded = publicKeyBytes(key)
    const owner = peerOfKey(encoded)
    if (owner !== id) throw misuse('key', `the key of ${id}`, `that of ${owner}`)
    const entry = this.table.ensure(id)
    entry.publicKey = encoded
    return this.table.own(this.table.settle(entry))
  }

  /** Returns the public key of a peer: the stored one, or the one that the peer id contains. Loads @libp2p/crypto. */
  pubKey(peer: PeerLike): PublicKey | undefined {
    const id = peerText(peer)
    const known = this.table.get(id)?.publicKey
    return known === undefined ? peerIdOf(id).publicKey : publicKeyOf(known)
  }

  /** Returns the peers whose public key is stored. */
  peersWithKeys(): PeerId[] {
    return this.#peersThat(({ publicKey }) => publicKey !== undefined)
  }

  /** Returns the protocols of a peer. */
  getProtocols(peer: PeerLike): string[] {
    return [...(this.table.get(peerText(peer))?.protocols ?? [])]
  }

  /**
   * Adds protocols to those of a peer.
   *
   * @throws {@link InvalidParametersError} for an invalid argument.
   * @throws {@link PeerstoreLimitError} for more than 1,024 protocols.
   */
  addProtocols(peer: PeerLike, protocols: readonly string[]): Promise<void> {
    const id = peerText(peer)
    areProtocols(protocols)
    return this.#setProtocols(id, [...this.getProtocols(id), ...protocols])
  }

  /**
   * Sets the protocols of a peer.
   *
   * @throws {@link InvalidParametersError} for an invalid argument.
   * @throws {@link PeerstoreLimitError} for more than 1,024 protocols.
   */
  setProtocols(peer: PeerLike, protocols: readonly string[]): Promise<void> {
    const id = peerText(peer)
    areProtocols(protocols)
    return this.#setProtocols(id, protocols)
  }

  /**
   * Removes protocols from those of a peer.
   *
   * @throws {@link InvalidParametersError} for an invalid argument.
   */
  removeProtocols(peer: PeerLike, protocols: readonly string[]): Promise<void> {
    const id = peerText(peer)
    areProtocols(protocols)
    const removed = new Set(protocols)
    return this.#setProtocols(
      id,
      this.getProtocols(id).filter((name) => !removed.has(name))
    )
  }

  /** Returns those of `protocols` that a peer supports, in their order. */
  supportsProtocols(peer: PeerLike, protocols: readonly string[]): string[] {
    const known = new Set(this.table.get(peerText(peer))?.protocols)
    areProtocols(protocols)
    return protocols.filter((name) => known.has(name))
  }

  /** Returns the first of `protocols` that a peer supports. */
  firstSupportedProtocol(peer: PeerLike, protocols: readonly string[]): string | undefined {
    return this.supportsProtocols(peer, protocols)[0]
  }

  /**
   * Stores a value of a peer by its key, as a copy. Identify stores the text of `AgentVersion` and `ProtocolVersion`.
   *
   * @throws {@link InvalidParametersError} for an invalid argument.
   * @throws {@link PeerstoreLimitError} if keys and values of the peer exceed 64 KiB, or the peers that are kept their bounds.
   */
  put(peer: PeerLike, key: string, value: Uint8Array): Promise<void> {
    const id = peerText(peer)
    aKey(key, 'key')
    bytes(value, 'value')
    const entry = this.table.ensure(id)
    const refusal =
      this.table.refusal(id, key.length + value.length) ??
      putMetadata(entry, key, Uint8Array.from(value))
    if (refusal !== undefined) return Promise.reject(new PeerstoreLimitError(refusal))
    return this.table.own(this.table.settle(entry))
  }

  /** Returns a value of a peer, as a copy. */
  get(peer: PeerLike, key: string): Uint8Array | undefined {
    const id = peerText(peer)
    aKey(key, 'key')
    return this.table.get(id)?.metadata?.get(key)?.slice()
  }

  /** Removes a value of a peer. */
  delete(peer: PeerLike, key: string): Promise<void> {
    const entry = this.table.get(peerText(peer))
    aKey(key, 'key')
    if (entry?.metadata?.delete(key) !== true) return DONE
    if (entry.metadata.size === 0) entry.metadata = undefined
    return this.table.own(this.table.settle(entry))
  }

  /** Returns the peers of which anything is known. */
  peers(): PeerId[] {
    return this.#peersThat(() => true)
  }

  /** Returns whether anything is known of a peer. */
  has(peer: PeerLike): boolean {
    return this.table.get(peerText(peer)) !== undefined
  }

  /** Returns a peer with its addresses. */
  peerInfo(peer: PeerLike): PeerInfo {
    return { id: peerIdOf(peerText(peer)), addrs: this.addrs(peer) }
  }

  /** Removes everything that is known of a peer, its addresses included. */
  removePeer(peer: PeerLike): Promise<void> {
    return this.table.own(this.table.delete(peerText(peer)))
  }

  /**
   * Records a latency in milliseconds. It is not persisted.
   *
   * @throws {@link InvalidParametersError} for an invalid argument.
   */
  recordLatency(peer: PeerLike, ms: number): void {
    const id = peerText(peer)
    aDuration(ms, 'ms')
    const entry = this.table.ensure(id)
    const { latency } = entry
    entry.latency = latency === undefined ? ms : latency + LATENCY_SMOOTHING * (ms - latency)
    this.table.load(entry)
  }

  /** Returns the moving average of the latencies of a peer in milliseconds, the latest with a tenth, as in go. */
  latency(peer: PeerLike): number | undefined {
    return this.table.get(peerText(peer))?.latency
  }

  /** @internal Sets the tags of a peer that outlive the process. */
  setTags(peer: PeerLike, tags: ReadonlyMap<string, number>): Promise<void> {
    const stored = putTags(this.table, peerText(peer), tags)
    if (typeof stored === 'string') return Promise.reject(new PeerstoreLimitError(stored))
    return this.table.own(stored)
  }

  /** @internal Shows numbers, no addresses. */
  [INSPECT](...args: InspectArguments): string {
    return shown('Peerstore', '', () => ({ peers: this.table.size }), args)
  }

  #texts(peer: string): string[] {
    return this.table.get(peer)?.addresses.texts(this.table.clock) ?? []
  }

  /** Returns a rejection if a lifetime is to keep a peer, and the application keeps too many. */
  #refusal(peer: string, ttl: number): Promise<never> | undefined {
    const refusal = ttl === ADDRESS_TTL_PERMANENT ? this.table.refusal(peer) : undefined
    return refusal === undefined ? undefined : Promise.reject(new PeerstoreLimitError(refusal))
  }

  /** {@link PeerTable.settle} after a removal of addresses: a record of no address is of no use, as in go. */
  #settleAddrs(entry: PeerEntry): Promise<void> {
    if (entry.addresses.size === 0) entry.record = undefined
    return this.table.own(this.table.settle(entry))
  }

  async #setProtocols(peer: string, protocols: readonly string[]): Promise<void> {
    const distinct = [...new Set(protocols)]
    if (distinct.length > PROTOCOLS_MAX) {
      throw new PeerstoreLimitError(
        `${distinct.length} protocols exceed the limit of ${PROTOCOLS_MAX} a peer`
      )
    }
    const entry = this.table.ensure(peer)
    if (entry.isKept) {
      const refusal = this.table.refusal(peer, distinct.join('').length)
      if (refusal !== undefined) throw new PeerstoreLimitError(refusal)
    }
    entry.protocols = Object.freeze(distinct)
    await this.table.own(this.table.settle(entry))
  }

  #peersThat(matches: (entry: PeerEntry) => boolean): PeerId[] {
    const found: PeerId[] = []
    for (const entry of this.table.all()) if (matches(entry)) found.push(peerIdOf(entry.peer))
    return found
  }
}

/** The calls of a {@link Peerstore}, for a replacement through the option `peerstore`. A rejection is logged. */
export interface PeerstoreLike
  extends Pick<
    Peerstore,
    | 'addAddrs'
    | 'setAddrs'
    | 'updateAddrs'
    | 'clearAddrs'
    | 'addrs'
    | 'peersWithAddrs'
    | 'consumePeerRecord'
    | 'getPeerRecord'
    | 'addPubKey'
    | 'pubKey'
    | 'peersWithKeys'
    | 'getProtocols'
    | 'addProtocols'
    | 'setProtocols'
    | 'removeProtocols'
    | 'supportsProtocols'
    | 'firstSupportedProtocol'
    | 'put'
    | 'get'
    | 'delete'
    | 'peers'
    | 'has'
    | 'peerInfo'
    | 'removePeer'
    | 'recordLatency'
    | 'latency'
  > {}

/** Weight of a new latency in the average, as in go. */
const LATENCY_SMOOTHING = 0.1

/** A lifetime: 0 or more milliseconds, one of the constants, or Infinity. */
function aTtl(value: unknown, name: string): void {
  if (
    typeof value === 'number' &&
    value >= 0 &&
    (value <= ADDRESS_TTL_CONNECTED || value === Infinity)
  )
    return
  throw misuse(name, 'a lifetime of 0 or more milliseconds, such as ADDRESS_TTL_PERMANENT', value)
}

function parsedAddrs(addrs: readonly AddrLike[]) {
  anArray(addrs, 'addrs')
  return addrs.map(parseAddress)
}

function areProtocols(protocols: unknown): asserts protocols is readonly string[] {
  anArray(protocols, 'protocols')
  for (const [index, name] of (protocols as unknown[]).entries()) {
    aString(name, `protocols[${index}]`)
    const length = Buffer.byteLength(name as string)
    if (length === 0 || length > PROTOCOL_BYTES_MAX) {
      throw misuse(`protocols[${index}]`, `1 to ${PROTOCOL_BYTES_MAX} bytes`, `${length} bytes`)
    }
  }
}

function aKey(value: unknown, name: string): void {
  const isKey =
    typeof value === 'string' &&
    value.length > 0 &&
    value.length <= KEY_LENGTH_MAX &&
    // A lone surrogate is stored as another character.
    value.isWellFormed()
  if (!isKey) throw misuse(name, `a well-formed string of 1 to ${KEY_LENGTH_MAX} characters`, value)
}
