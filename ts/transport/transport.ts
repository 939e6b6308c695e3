/** Transports of the application. */
import type { Multiaddr } from '@multiformats/multiaddr'
import type { AbortOptions } from '../base/abort.ts'
import type { DialOptions } from '../dial/options.ts'
import type { AddrLike } from '../identity/address.ts'
import type { PeerLike } from '../identity/peer-id.ts'
import type { AnyDuplex } from '../io/carriers.ts'
import type { MuxedConn } from '../muxer/muxed.ts'

/** Options of {@link Transport.dial}: those of the call, frozen, and the signal of the attempt. */
export interface TransportDialOptions extends Readonly<Omit<DialOptions, 'signal'>> {
  /** Aborted when the attempt has taken too long, when another address has won, or when nobody waits any more. */
  readonly signal: AbortSignal
}

/**
 * A connection that a transport has secured and multiplexed by itself: it becomes one of the swarm as it is, without an
 * upgrade. The transport vouches for the remote peer. A swarm with the option `psk` closes it: its cipher wraps duplexes.
 */
export interface TransportConn extends MuxedConn {
  /** The authenticated remote peer. */
  readonly remotePeer: PeerLike
  /** The local address. Unknown by default. */
  readonly localAddr?: AddrLike
  /** Protocol id of the security protocol, such as `/tls/1.0.0`. Unknown by default: empty. */
  readonly security?: string
  /** Protocol id of the muxer. Unknown by default: empty. */
  readonly muxer?: string
}

/** What a transport opens: a duplex for the swarm to upgrade, or a connection that needs no upgrade. */
export type Opened = AnyDuplex | TransportConn

/** @internal Returns whether a transport has opened a connection that needs no upgrade. */
export function isTransportConn(opened: Opened): opened is TransportConn {
  // A transport may return anything; any value but null and undefined allows property access.
  return typeof ((opened ?? {}) as Partial<TransportConn>).acceptStream === 'function'
}

/** A listener of a {@link Transport}. */
export interface TransportListener {
  /** The bound addresses. */
  readonly addresses: readonly AddrLike[]
  /** Stops listening; connections stay open. It is called once, and may resolve only after they have ended. */
  close(): void | Promise<void>
}

/**
 * A transport of the application: dials and listens on addresses of its own, and yields duplexes, which are secured and
 * multiplexed natively, as by `swarm.upgradeOutbound`, or connections that are secured and multiplexed already. See
 * docs/upgrading.md for the duplexes and their cost.
 *
 * @example
 * ```ts
 * import { connect } from 'node:net'
 * import { createSwarm, type Transport } from 'ferroswarm'
 *
 * const proxied: Transport = {
 *   canDial: (addr) => addr.toString().startsWith('/ip4/10.'),
 *   dial: () => connect(1080, 'proxy.internal')
 * }
 * const swarm = await createSwarm({ transports: [proxied, 'tcp'] })
 * ```
 */
export interface Transport {
  /** Returns whether it dials an address. Asked for each address of a dial: it must be quick and have no effect. */
  canDial(addr: Multiaddr): boolean
  /** Opens a duplex or a connection to an address, `/p2p` removed. */
  dial(addr: Multiaddr, options: TransportDialOptions): Opened | Promise<Opened>
  /** Returns whether it listens on an address. Defaults to {@link Transport.canDial}, if it has `listen`. */
  canListen?(addr: Multiaddr): boolean
  /** Listens on an address; `onOpened` takes what a remote opens, with its address if it is known. */
  listen?(
    addr: Multiaddr,
    onOpened: (opened: Opened, remoteAddr?: AddrLike) => void,
    options: AbortOptions
  ): TransportListener | Promise<TransportListener>
}
