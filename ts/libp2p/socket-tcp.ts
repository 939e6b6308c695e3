/** TCP connections whose bytes JavaScript carries, for nodes with components that are not native. */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import {
  AlreadyStartedError,
  type Connection,
  ConnectionClosedError,
  type CreateListenerOptions,
  type DialTransportOptions,
  type Listener,
  type ListenerEvents,
  type Logger,
  TypedEventEmitter,
  type Upgrader
} from '@libp2p/interface'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { aborted, onceAborted } from '../base/abort.ts'
import { InvalidParametersError } from '../errors.ts'
import { expandWildcards } from '../identity/interfaces.ts'
import { socketAddress, type TcpPlace, tcpPlace, withPort } from './addresses.ts'
import type { Components } from './components.ts'
import { asError } from './errors.ts'
import { SocketConnection } from './socket-connection.ts'
import type { Carrier } from './tcp.ts'
import type { TcpOptions } from './tcp-options.ts'

/** The connections of one node. */
export class SocketTcp implements Carrier {
  readonly #components: Components
  readonly #options: TcpOptions

  constructor(components: Components, options: TcpOptions) {
    this.#components = components
    this.#options = options
  }

  async dial(
    address: Multiaddr,
    place: TcpPlace,
    options: DialTransportOptions
  ): Promise<Connection> {
    const socket = await connected(place, options.signal)
    const connection = new SocketConnection({
      socket,
      remoteAddr: address,
      direction: 'outbound',
      log: this.#components.logger.forComponent('libp2p:ferroswarm:connection')
    })
    try {
      return await options.upgrader.upgradeOutbound(connection, options)
    } catch (err) {
      connection.abort(asError(err))
      throw err
    }
  }

  createListener({ upgrader }: CreateListenerOptions): Listener {
    const log = this.#components.logger.forComponent('libp2p:ferroswarm:listener')
    return new SocketListener({ upgrader, log, options: this.#options })
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}

function connected({ host, port, family, zone }: TcpPlace, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: zone === undefined ? host : `${host}%${zone}`,
      port,
      noDelay: true,
      ...(family === undefined ? {} : { family })
    })
    const fail = (err: Error): void => {
      release()
      socket.destroy()
      reject(err)
    }
    const release = onceAborted(signal, () => fail(aborted(signal)))
    socket.once('error', fail)
    socket.once('connect', () => {
      release()
      socket.removeListener('error', fail)
      resolve(socket)
    })
  })
}

interface SocketListenerInit {
  readonly upgrader: Upgrader
  readonly log: Logger
  readonly options: TcpOptions
}

class SocketListener extends TypedEventEmitter<ListenerEvents> implements Listener {
  readonly #init: SocketListenerInit
  readonly #server: Server
  readonly #connections = new Set<SocketConnection>()
  readonly #closing = new AbortController()
  #hasBegun = false
  #place: TcpPlace | undefined
  /** The name that was to be listened on, which is announced. */
  #name: Multiaddr | undefined
  #port = 0

  constructor(init: SocketListenerInit) {
    super()
    this.#init = init
    this.#server = createServer({ noDelay: true }, (socket) => this.#accepted(socket))
    const { maxConnections } = init.options
    if (maxConnections !== Number.POSITIVE_INFINITY) this.#server.maxConnections = maxConnections
    this.#server.on('error', (err) => this.safeDispatchEvent('error', { detail: err }))
  }

  async listen(address: Multiaddr): Promise<void> {
    this.#closing.signal.throwIfAborted()
    if (this.#hasBegun) throw new AlreadyStartedError('server is already listening')
    const place = tcpPlace(address)
    if (place === undefined) {
      throw new InvalidParametersError(`${address} is not an address of TCP`)
    }
    this.#hasBegun = true
    try {
      await this.#bind(place, place.port)
      this.#closing.signal.throwIfAborted()
    } catch (err) {
      this.#hasBegun = false
      throw err
    }
    this.#place = place
    this.#name = place.isName ? address : undefined
    // A TCP server that listens has one.
    this.#port = (this.#server.address() as AddressInfo).port
    this.#init.log('listening on %a', address)
    this.safeDispatchEvent('listening')
  }

  #bind({ host, zone, family }: TcpPlace, port: number): Promise<void> {
    const options = {
      host: zone === undefined ? host : `${host}%${zone}`,
      port,
      ipv6Only: family === 6
    }
    const server = this.#server
    return new Promise((resolve, reject) => {
      const settle = (err?: Error): void => {
        server.removeListener('error', settle)
        server.removeListener('close', closed)
        if (err === undefined) resolve()
        else reject(err)
      }
      // A server that is closed before it listens never does.
      const closed = (): void => settle(new ConnectionClosedError('the listener was closed'))
      server.once('error', settle)
      server.once('close', closed)
      server.listen(options, () => settle())
    })
  }

  #accepted(socket: Socket): void {
    const { upgrader, log, options } = this.#init
    const { remoteAddress, remoteFamily, remotePort } = socket
    // The remote has left already.
    if (remoteAddress === undefined || remotePort === undefined) {
      socket.destroy()
      return
    }
    const family = remoteFamily === 'IPv6' ? 6 : 4
    const connection = new SocketConnection({
      socket,
      remoteAddr: multiaddr(socketAddress(family, remoteAddress, remotePort)),
      direction: 'inbound',
      log
    })
    this.#connections.add(connection)
    connection.addEventListener('close', () => {
      this.#connections.delete(connection)
      this.#resumeBelow()
    })
    upgrader.upgradeInbound(connection, { signal: this.#closing.signal }).catch((err: unknown) => {
      log.error('could not upgrade the connection from %a - %e', connection.remoteAddr, err)
      connection.abort(asError(err))
    })
    const { closeServer } = options
    if (closeServer !== undefined && this.#connections.size >= closeServer.closeAbove) {
      this.#server.close()
    }
  }

  #resumeBelow(): void {
    const { closeServer } = this.#init.options
    const place = this.#place
    if (closeServer === undefined || place === undefined || this.#server.listening) return
    if (this.#connections.size >= closeServer.listenBelow) return
    this.#bind(place, this.#port).catch((err: Error) => {
      this.#init.log.error('could not listen again - %e', err)
      closeServer.onListenError?.(err)
    })
  }

  getAddrs(): Multiaddr[] {
    if (this.#place === undefined) return []
    if (this.#name !== undefined) return [withPort(this.#name, this.#port)]
    const { family = 4, host, zone } = this.#place
    const address = socketAddress(family, host, this.#port, zone)
    return expandWildcards([address]).map((text) => multiaddr(text))
  }

  updateAnnounceAddrs(): void {}

  async close(): Promise<void> {
    if (!this.#hasBegun || this.#closing.signal.aborted) return
    this.#place = undefined
    this.#closing.abort(new ConnectionClosedError('the listener is closed'))
    // Also if it does not listen, or not yet.
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve())
    })
    for (const connection of [...this.#connections]) {
      connection.abort(new Error('the listener is closed'))
    }
    await closed
    this.safeDispatchEvent('close')
  }
}
