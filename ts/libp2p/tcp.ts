/**
 * `tcp()`: the transport of libp2p whose connections are secured and multiplexed by Rust, through libp2p's own upgrader.
 *
 * If a component of the node is not of this package, JavaScript carries the bytes, as with @libp2p/tcp.
 */
import {
  type Connection,
  type CreateListenerOptions,
  type DialTransportOptions,
  type Listener,
  serviceCapabilities,
  type Transport,
  transportSymbol
} from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { InvalidParametersError } from '../errors.ts'
import { type TcpPlace, tcpPlace } from './addresses.ts'
import type { Components } from './components.ts'
import { NativeEncrypter } from './encrypters.ts'
import { NativeTcp } from './native-tcp.ts'
import { SocketTcp } from './socket-tcp.ts'
import { type TcpInit, type TcpOptions, tcpOptions } from './tcp-options.ts'
import { NativeYamux } from './yamux.ts'

/** @internal How connections are made. */
export interface Carrier {
  dial(address: Multiaddr, place: TcpPlace, options: DialTransportOptions): Promise<Connection>
  createListener(options: CreateListenerOptions): Listener
  /** Called when the node stops, once its listeners and connections are closed. */
  close(): Promise<void>
}

/** The native components of a node, or the reason why its connections cannot be native. */
type Stack =
  | { readonly encrypters: readonly NativeEncrypter[]; readonly yamux: NativeYamux }
  | { readonly reason: string }

/** @internal The transport. */
export class Tcp implements Transport {
  readonly [transportSymbol] = true
  readonly [Symbol.toStringTag] = '@libp2p/tcp'
  readonly [serviceCapabilities]: string[] = ['@libp2p/transport']
  readonly #components: Components
  readonly #options: TcpOptions
  #carrier: Carrier | undefined

  constructor(components: Components, options: TcpOptions) {
    this.#components = components
    this.#options = options
  }

  // Made on first use: the upgrader must have its encrypters and muxers.
  get #chosen(): Carrier {
    this.#carrier ??= this.#choose()
    return this.#carrier
  }

  #choose(): Carrier {
    const log = this.#components.logger.forComponent('libp2p:ferroswarm')
    const stack = nativeStack(this.#components)
    if ('reason' in stack) {
      log('JavaScript carries the bytes of TCP connections: %s', stack.reason)
      return new SocketTcp(this.#components, this.#options)
    }
    const protocols = stack.encrypters.map(({ protocol }) => protocol).join()
    log('TCP connections are native: %s and %s', protocols, stack.yamux.protocol)
    return new NativeTcp(this.#components, this.#options, stack.encrypters, stack.yamux)
  }

  async afterStop(): Promise<void> {
    const carrier = this.#carrier
    this.#carrier = undefined
    await carrier?.close()
  }

  listenFilter(addresses: Multiaddr[]): Multiaddr[] {
    return addresses.filter((address) => tcpPlace(address) !== undefined)
  }

  dialFilter(addresses: Multiaddr[]): Multiaddr[] {
    return this.listenFilter(addresses)
  }

  createListener(options: CreateListenerOptions): Listener {
    return this.#chosen.createListener(options)
  }

  async dial(address: Multiaddr, options: DialTransportOptions): Promise<Connection> {
    options.signal?.throwIfAborted()
    const place = tcpPlace(address)
    if (place === undefined) {
      throw new InvalidParametersError(`${address} is not an address of TCP`)
    }
    return this.#chosen.dial(address, place, options)
  }
}

function nativeStack({ upgrader, connectionProtector }: Components): Stack {
  if (connectionProtector !== undefined) {
    return { reason: 'the connection protector needs them' }
  }
  const encrypters = [...upgrader.getConnectionEncrypters().values()]
  const muxers = [...upgrader.getStreamMuxers().values()]
  const foreign =
    encrypters.find((encrypter) => !(encrypter instanceof NativeEncrypter)) ??
    muxers.find((muxer) => !(muxer instanceof NativeYamux))
  if (foreign !== undefined) {
    return { reason: `${foreign.protocol} is not that of ferroswarm/libp2p` }
  }
  const [yamux] = muxers
  if (encrypters.length === 0) return { reason: 'no encrypter is configured' }
  if (!(yamux instanceof NativeYamux)) return { reason: 'no muxer is configured' }
  return { encrypters: encrypters.filter((it) => it instanceof NativeEncrypter), yamux }
}

/**
 * TCP, natively: connections are secured and multiplexed by Rust if all encrypters and muxers of the node are of this
 * package, and there is no connection protector. Otherwise JavaScript carries their bytes.
 *
 * @throws {@link InvalidParametersError} for an invalid or unknown option, and for those of @libp2p/tcp that have no
 * meaning for native sockets.
 */
export function tcp(init: TcpInit = {}): (components: Components) => Transport {
  const options = tcpOptions(init)
  return (components) => new Tcp(components, options)
}
