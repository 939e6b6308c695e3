/**
 * A native connection, as the upgrader of libp2p takes it: the bytes that its components exchange over it are those of
 * negotiations that Rust has settled, and the connection that they secure and multiplex is the native one.
 */
import { type AbortOptions, type Logger, type PeerId, StreamMessageEvent } from '@libp2p/interface'
import { AbstractMultiaddrConnection, type SendResult } from '@libp2p/utils'
import type { Multiaddr } from '@multiformats/multiaddr'
import { Uint8ArrayList } from 'uint8arraylist'
import type { SecurityProtocol } from '../constants.ts'
import { abortable } from './abortable.ts'
import type { NativeMuxer } from './muxer.ts'
import { VirtualNegotiation } from './virtual-negotiation.ts'

/** What a handshake has settled. */
export interface Secured {
  readonly remotePeer: PeerId
  readonly security: SecurityProtocol
  readonly muxer: NativeMuxer
}

/** Parameters of a connection. */
export interface NativeConnectionInit {
  readonly remoteAddr: Multiaddr
  readonly direction: 'inbound' | 'outbound'
  /** Whether this end proposes protocols; `false` for a dial that is not the initiator. */
  readonly proposes: boolean
  readonly log: Logger
  /** Ends an upgrade under way. */
  readonly cancel: () => void
  /** Whether the metrics of the node count what connections carry. */
  readonly isCounted: boolean
}

/** Milliseconds between the reports of what a connection has carried. */
const REPORT_MS = 1_000

/** As many bytes that Rust has carried, for whoever counts those of messages. */
class Traffic extends Uint8ArrayList {
  constructor(bytes: number) {
    super()
    this.length = bytes
  }
}

/** One connection; it may exist before it is secured. */
export class NativeConnection extends AbstractMultiaddrConnection {
  readonly #proposes: boolean
  readonly #cancel: () => void
  readonly #isCounted: boolean
  #reported: readonly number[] = []
  #secured: Secured | undefined
  #negotiation: VirtualNegotiation | undefined
  // What the upgrader has sent before the connection is secured.
  #early: Uint8ArrayList[] = []
  #onListened: (() => void) | undefined

  constructor(init: NativeConnectionInit) {
    super({ remoteAddr: init.remoteAddr, direction: init.direction, log: init.log })
    this.#proposes = init.proposes
    this.#cancel = init.cancel
    this.#isCounted = init.isCounted
  }

  /** What the handshake has settled; undefined before. */
  get secured(): Secured | undefined {
    return this.#secured
  }

  /** Calls `callback` when the upgrader begins to negotiate, after everyone has admitted the connection. */
  onceListened(callback: () => void): void {
    this.#onListened = callback
  }

  override addEventListener(
    ...args: Parameters<AbstractMultiaddrConnection['addEventListener']>
  ): void {
    super.addEventListener(...args)
    if (args[0] !== 'message') return
    this.#onListened?.()
    this.#onListened = undefined
  }

  /** Continues with the result of the native upgrade. */
  establish(secured: Secured): void {
    this.#secured = secured
    const timer = this.#isCounted ? setInterval(() => this.#report(), REPORT_MS).unref() : undefined
    secured.muxer.onceEnded((error) => {
      clearInterval(timer)
      if (this.#isCounted) this.#report()
      this.onTransportClosed(error)
    })
    const negotiation = new VirtualNegotiation(secured.security, (bytes) => this.onData(bytes))
    this.#negotiation = negotiation
    const early = this.#early
    this.#early = []
    if (!this.#proposes) negotiation.propose()
    else for (const bytes of early) negotiation.answer(bytes)
  }

  /** Metrics count the messages and the sends of a connection, and never see those of a native one. */
  #report(): void {
    const traffic = this.#secured?.muxer.traffic ?? [0, 0]
    const [received, sent] = traffic.map((bytes, at) => bytes - (this.#reported[at] ?? 0))
    this.#reported = traffic
    if (received) this.dispatchEvent(new StreamMessageEvent(new Traffic(received)))
    if (sent) this.send(new Traffic(sent))
  }

  override send(data: Uint8Array | Uint8ArrayList): boolean {
    return data instanceof Traffic || super.send(data)
  }

  sendData(data: Uint8ArrayList): SendResult {
    if (this.#negotiation === undefined) this.#early.push(data)
    else if (this.#proposes) this.#negotiation.answer(data)
    return { sentBytes: data.byteLength, canSendMore: true }
  }

  sendReset(): void {
    if (this.#secured === undefined) this.#cancel()
    else this.#secured.muxer.closeAtOnce()
  }

  sendPause(): void {}

  sendResume(): void {}

  /** Closes the native connection in good order, and waits for its end. */
  async sendClose(options?: AbortOptions): Promise<void> {
    const muxer = this.#secured?.muxer
    if (muxer === undefined) {
      this.#cancel()
      return
    }
    muxer.closeGracefully()
    await abortable(muxer.ended, options?.signal)
  }
}
