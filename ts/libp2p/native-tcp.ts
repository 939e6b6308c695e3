/** TCP connections that Rust secures and multiplexes. */
import type {
  Connection,
  CreateListenerOptions,
  DialTransportOptions,
  Listener,
  Logger,
  PeerId,
  Upgrader
} from '@libp2p/interface'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { abortable, aborted, onceAborted } from '../base/abort.ts'
import { CONNECTION_DEFAULTS } from '../connection/config.ts'
import type { SecurityProtocol } from '../constants.ts'
import { loadPeerIds, publicKeyOf } from '../identity/load.ts'
import type { NativeGateQuestion } from '../native/addon.ts'
import type { ConnectionHandle } from '../native/handles.ts'
import { socketAddresses, type TcpPlace } from './addresses.ts'
import type { Components } from './components.ts'
import { NativeConnection, type Secured } from './connection.ts'
import type { NativeEncrypter } from './encrypters.ts'
import { asError, connectError } from './errors.ts'
import { Handlers } from './handlers.ts'
import { NativeListener } from './listener.ts'
import { NativeMuxer } from './muxer.ts'
import { type HostOptions, NativeHost } from './native-host.ts'
import { StreamDispatch } from './stream-dispatch.ts'
import type { Carrier } from './tcp.ts'
import type { TcpOptions } from './tcp-options.ts'
import type { NativeYamux } from './yamux.ts'

/** Milliseconds after which the next address of a name is dialled too (RFC 8305, section 5). */
const NEXT_ADDRESS_MS = 250

/** Milliseconds of one attempt: the signal that libp2p passes ends it earlier. */
const ATTEMPT_MS = 60_000

/** The connections of one node. */
export class NativeTcp implements Carrier {
  readonly #components: Components
  readonly #options: TcpOptions
  readonly #yamux: NativeYamux
  readonly #host: NativeHost
  readonly #handlers: Handlers
  readonly #dispatch: StreamDispatch
  // One for all connections, as making one costs 30 us; the upgrader gives each a scope of its own.
  readonly #log: Logger

  constructor(
    components: Components,
    options: TcpOptions,
    encrypters: readonly NativeEncrypter[],
    yamux: NativeYamux
  ) {
    this.#components = components
    this.#options = options
    this.#yamux = yamux
    this.#log = components.logger.forComponent('libp2p:ferroswarm:connection')
    this.#host = new NativeHost({
      privateKey: components.privateKey,
      security: encrypters.map(({ name }) => name),
      muxer: yamux.limits,
      timeouts: timeoutsOf(components.upgrader),
      serve: (protocol) => this.#handlers.serve(protocol)
    })
    this.#handlers = new Handlers(components, this.#host.engine, this.#host.node)
    this.#dispatch = new StreamDispatch(components, this.#handlers)
  }

  async dial(
    address: Multiaddr,
    place: TcpPlace,
    options: DialTransportOptions & { initiator?: boolean }
  ): Promise<Connection> {
    const { signal, upgrader, initiator = true } = options
    const addresses = await abortable(socketAddresses(place), signal)
    const secured = await this.#connect(addresses, place.peer, initiator, signal)
    const connection = new NativeConnection({
      remoteAddr: address,
      direction: 'outbound',
      proposes: initiator,
      log: this.#log,
      cancel: () => {},
      isCounted: this.#components.metrics !== undefined
    })
    this.#dispatch.expect(connection.timeline, secured.muxer)
    connection.establish(secured)
    try {
      return await upgrader.upgradeOutbound(connection, options)
    } catch (err) {
      connection.abort(asError(err))
      throw err
    }
  }

  async #connect(
    addresses: readonly string[],
    peer: string,
    initiator: boolean,
    signal: AbortSignal
  ): Promise<Secured> {
    signal.throwIfAborted()
    const host = this.#host
    let opened: Secured | undefined
    const times = addresses.flatMap((_, index) => [index * NEXT_ADDRESS_MS, ATTEMPT_MS, 0])
    const { request, result } = host.connect(
      (node, number) =>
        node.dial(
          number,
          [...addresses],
          addresses.map(() => peer),
          times,
          addresses.length,
          { initiator }
        ),
      (handle) => {
        opened = this.#secured(handle)
      }
    )
    const release = onceAborted(signal, () => host.node.cancel(request))
    try {
      await result
    } catch (err) {
      throw signal.aborted ? aborted(signal) : connectError(err, addresses)
    } finally {
      release()
    }
    // A dial that succeeds has announced its connection.
    return opened as unknown as Secured
  }

  /** Returns what the upgrade of a connection that was just announced has settled. */
  #secured(handle: ConnectionHandle): Secured {
    const host = this.#host
    const [, key, , , , security] = host.node.connection(handle)
    const muxer = new NativeMuxer(host, handle, this.#log, this.#yamux.limits.streamOptions)
    // The security protocol is one of those that the node offers.
    return { remotePeer: peerOf(key), security: security as SecurityProtocol, muxer }
  }

  createListener({ upgrader }: CreateListenerOptions): Listener {
    return new NativeListener({
      host: this.#host,
      options: this.#options,
      log: this.#components.logger.forComponent('libp2p:ferroswarm:listener'),
      accept: (question, signal) => this.#accept(question, upgrader, signal)
    })
  }

  /** Upgrades an accepted connection; nothing of its handshake runs before libp2p has admitted it. */
  #accept(question: NativeGateQuestion, upgrader: Upgrader, signal: AbortSignal): NativeConnection {
    const host = this.#host
    let cancel = (): void => host.refuse(question, 'libp2p does not admit it')
    const connection = new NativeConnection({
      remoteAddr: multiaddr(question.remoteAddress),
      direction: 'inbound',
      proposes: false,
      log: this.#log,
      cancel: () => cancel(),
      isCounted: this.#components.metrics !== undefined
    })
    connection.onceListened(() => {
      const { request, result } = host.connect(
        (node, number) => node.accept(number, question.ticket),
        (handle) => {
          const secured = this.#secured(handle)
          this.#dispatch.expect(connection.timeline, secured.muxer)
          connection.establish(secured)
        }
      )
      cancel = () => host.node.cancel(request)
      result.catch((err: unknown) => connection.abort(connectError(err)))
    })
    upgrader.upgradeInbound(connection, { signal }).catch((err: unknown) => {
      this.#log.error('could not upgrade the connection from %a - %e', connection.remoteAddr, err)
      connection.abort(asError(err))
    })
    return connection
  }

  async close(): Promise<void> {
    this.#handlers.stop()
    this.#dispatch.stop()
    await this.#host.close()
  }
}

/** Returns the peer id of a public key, which it has with it; `key` has a character per byte. */
function peerOf(key: string): PeerId {
  return loadPeerIds().peerIdFromPublicKey(publicKeyOf(Buffer.from(key, 'latin1')))
}

/** The timeouts of an upgrader, which has them as properties; its own signals end upgrades as well. */
function timeoutsOf(upgrader: Upgrader): HostOptions['timeouts'] {
  const {
    inboundUpgradeTimeout = CONNECTION_DEFAULTS.inboundUpgradeTimeout,
    inboundStreamProtocolNegotiationTimeout = CONNECTION_DEFAULTS.streamNegotiationTimeout
  } = upgrader as {
    inboundUpgradeTimeout?: number
    inboundStreamProtocolNegotiationTimeout?: number
  }
  return {
    inboundUpgradeTimeout,
    outboundUpgradeTimeout: ATTEMPT_MS,
    streamNegotiationTimeout: inboundStreamProtocolNegotiationTimeout
  }
}
