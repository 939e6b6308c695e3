/** The arguments of `swarm.addConnection`, and the facts of the connection that it makes. */
import {
  aBoolean,
  anything,
  aString,
  checkOptions,
  misuse,
  type OptionChecks
} from '../base/arguments.ts'
import type {
  ConnectionDirection,
  ConnectionFacts,
  ConnectionSecurity,
  StageTimes
} from '../connection/facts.ts'
import { aScope } from '../connection.ts'
import { InvalidParametersError } from '../errors.ts'
import { type AddrLike, NO_ADDRESS } from '../identity/address.ts'
import { loadCrypto } from '../identity/load.ts'
import { parseAddress, transportOf } from '../identity/parsed-address.ts'
import { isPeer, type PeerLike, peerIdOf, peerText } from '../identity/peer-id.ts'
import type { ResourceScopeSpan } from '../resource-manager/interfaces.ts'
import { aMuxedConn, type MuxedConn } from './muxed.ts'

/** Options of {@link Swarm.addConnection}: what the swarm cannot ask a muxer. */
export interface AddConnectionOptions {
  /** The authenticated remote peer. Defaults to `remotePeer` of the muxed connection, or to that of `remoteAddr`. */
  remotePeer?: PeerLike | undefined
  /**
   * The remote address. Unknown by default: an address without parts. The limits on subnets and rates apply to an
   * inbound connection from an IP address.
   */
  remoteAddr?: AddrLike | undefined
  /** The local address. Unknown by default. */
  localAddr?: AddrLike | undefined
  /** Protocol id of the security protocol, such as `/noise`. Unknown by default: empty. */
  security?: string | undefined
  /** Protocol id of the muxer, such as `/mplex/6.7.0`. Unknown by default: empty. */
  muxer?: string | undefined
  /** Whether the connection is limited in time or bytes, such as one through a relay. Defaults to false. */
  limited?: boolean | undefined
  /** The scope that accounts for the connection, see {@link Connection.setResourceScope}. */
  scope?: ResourceScopeSpan | undefined
}

// Peers and addresses are checked where they are parsed.
const ADD_CHECKS: OptionChecks<AddConnectionOptions> = {
  remotePeer: anything,
  remoteAddr: anything,
  localAddr: anything,
  security: aString,
  muxer: aString,
  limited: aBoolean,
  scope: aScope
}

/** @internal The facts of a connection of {@link Swarm.addConnection}, which its application vouches for. */
export class AddedFacts implements ConnectionFacts {
  readonly direction: ConnectionDirection
  readonly limited: boolean
  readonly remotePeer: string
  readonly remoteAddress: string
  readonly localAddress: string
  readonly security: ConnectionSecurity
  readonly dialReport: StageTimes = { connect: 0, security: 0, muxer: 0 }
  readonly #peer: PeerLike

  /** Throws `InvalidParametersError` for invalid arguments. */
  constructor(muxed: MuxedConn, direction: ConnectionDirection, options?: AddConnectionOptions) {
    aMuxedConn(muxed, 'muxed')
    checkOptions(options, ADD_CHECKS)
    const { remoteAddr, localAddr, security = '', muxer = '', limited = false } = options ?? {}
    const remote = remoteAddr === undefined ? undefined : parseAddress(remoteAddr)
    const peers = [options?.remotePeer, muxed.remotePeer, remote?.peer].filter(isGiven)
    const [peer] = peers
    if (peer === undefined) {
      throw new InvalidParametersError(
        'the remote peer is not known: give the muxed connection the property `remotePeer`, or use the option'
      )
    }
    this.#peer = peer
    this.remotePeer = peerText(peer)
    for (const other of peers) {
      const text = peerText(other)
      if (text !== this.remotePeer) throw misuse('the remote peer', this.remotePeer, text)
    }
    this.direction = direction
    this.limited = limited
    this.remoteAddress = remote?.text || NO_ADDRESS
    this.localAddress = (localAddr && parseAddress(localAddr).text) || NO_ADDRESS
    this.security = Object.freeze({
      transport: transportOf(this.remoteAddress),
      security,
      muxer,
      muxerEngine: '',
      usedEarlyMuxerNegotiation: false
    })
  }

  /** The key that the peer id contains, or that came with it. */
  get remotePublicKey(): Uint8Array {
    const { publicKey } = isPeer(this.#peer) ? this.#peer : peerIdOf(this.remotePeer)
    return publicKey === undefined ? new Uint8Array(0) : loadCrypto().publicKeyToProtobuf(publicKey)
  }
}

function isGiven<T>(value: T | undefined): value is T {
  return value !== undefined
}
