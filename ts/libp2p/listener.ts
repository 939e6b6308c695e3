/** A listener whose sockets are native. */
import {
  AlreadyStartedError,
  ConnectionClosedError,
  type Listener,
  type ListenerEvents,
  type Logger,
  TypedEventEmitter
} from '@libp2p/interface'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { InvalidParametersError } from '../errors.ts'
import { expandWildcards } from '../identity/interfaces.ts'
import type { NativeGateQuestion } from '../native/addon.ts'
import type { ListenerId } from '../native/handles.ts'
import { socketAddresses, tcpPlace, withPort } from './addresses.ts'
import type { NativeConnection } from './connection.ts'
import { connectError } from './errors.ts'
import type { NativeHost } from './native-host.ts'
import type { TcpOptions } from './tcp-options.ts'

/** Parts of a listener. */
export interface NativeListenerInit {
  readonly host: NativeHost
  readonly options: TcpOptions
  readonly log: Logger
  /** Upgrades an accepted connection until `signal` is aborted. */
  readonly accept: (question: NativeGateQuestion, signal: AbortSignal) => NativeConnection
}

/** One listener. */
export class NativeListener extends TypedEventEmitter<ListenerEvents> implements Listener {
  readonly #init: NativeListenerInit
  readonly #connections = new Set<NativeConnection>()
  readonly #closing = new AbortController()
  #id: ListenerId | undefined
  #hasBegun = false
  /** The bound address, with its port; kept while the listener is paused. */
  #address: string | undefined
  /** The name that was to be listened on, which is announced. */
  #name: Multiaddr | undefined
  #isResuming = false
  #unbinding: Promise<void> = Promise.resolve()

  constructor(init: NativeListenerInit) {
    super()
    this.#init = init
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
      const [first] = await socketAddresses(place)
      if (first === undefined) throw new InvalidParametersError(`${address} has no address`)
      this.#name = place.isName ? address : undefined
      await this.#bind(first)
    } catch (err) {
      this.#hasBegun = false
      throw err
    }
    this.safeDispatchEvent('listening')
  }

  async #bind(address: string): Promise<void> {
    const { host, log } = this.#init
    // The port may still be that of the pause.
    await this.#unbinding
    const { result } = host.engine.command(host.node, (request) =>
      host.node.listen(request, address, false)
    )
    const bound = await result.catch((err: unknown) => {
      throw connectError(err)
    })
    // `listen` has succeeded.
    this.#id = bound.listener as ListenerId
    host.engine.retain()
    host.adoptListener(this.#id, (question) => this.#accepted(question))
    host.engine.adoptListener(this.#id, () => {})
    const { signal } = this.#closing
    if (signal.aborted) await this.#unbind()
    signal.throwIfAborted()
    this.#address = bound.addresses?.[0] ?? address
    log('listening on %s', this.#address)
  }

  #accepted(question: NativeGateQuestion): void {
    const { host, options } = this.#init
    if (this.#connections.size >= options.maxConnections) {
      host.refuse(question, 'the listener has as many connections as maxConnections permits')
      return
    }
    const connection = this.#init.accept(question, this.#closing.signal)
    this.#connections.add(connection)
    connection.addEventListener('close', () => {
      this.#connections.delete(connection)
      this.#resumeBelow()
    })
    const { closeServer } = options
    if (closeServer !== undefined && this.#connections.size >= closeServer.closeAbove) {
      this.#unbinding = this.#unbind().catch((err) =>
        this.#init.log.error('could not stop listening - %e', err)
      )
    }
  }

  /** Listens again once there are few connections. */
  #resumeBelow(): void {
    const { closeServer } = this.#init.options
    const isPaused = this.#id === undefined && this.#address !== undefined && !this.#isResuming
    if (closeServer === undefined || !isPaused) return
    if (this.#connections.size >= closeServer.listenBelow) return
    this.#isResuming = true
    this.#bind(this.#address ?? '')
      .catch((err: Error) => {
        if (this.#closing.signal.aborted) return
        this.#init.log.error('could not listen again - %e', err)
        closeServer.onListenError?.(err)
      })
      .finally(() => {
        this.#isResuming = false
      })
  }

  async #unbind(): Promise<void> {
    const { host } = this.#init
    const id = this.#id
    if (id === undefined) return
    this.#id = undefined
    host.forgetListener(id)
    const { result } = host.engine.command(host.node, (request) => host.node.unlisten(request, id))
    try {
      await result
    } finally {
      host.engine.release()
    }
  }

  getAddrs(): Multiaddr[] {
    if (this.#address === undefined) return []
    if (this.#name !== undefined) {
      return [withPort(this.#name, this.#address.split('/').at(-1) ?? '')]
    }
    return expandWildcards([this.#address]).map((address) => multiaddr(address))
  }

  updateAnnounceAddrs(): void {}

  /** Stops listening, and closes the connections that it has accepted. */
  async close(): Promise<void> {
    if (!this.#hasBegun || this.#closing.signal.aborted) return
    this.#address = undefined
    this.#closing.abort(new ConnectionClosedError('the listener is closed'))
    await this.#unbind()
    for (const connection of [...this.#connections]) {
      connection.abort(new Error('the listener is closed'))
    }
    this.safeDispatchEvent('close')
  }
}
