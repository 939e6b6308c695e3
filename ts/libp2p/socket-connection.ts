/** A TCP connection whose bytes JavaScript carries, for components that are not native. */
import type { Socket } from 'node:net'
import { type AbortOptions, type Logger, TimeoutError } from '@libp2p/interface'
import { AbstractMultiaddrConnection, type SendResult } from '@libp2p/utils'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { Uint8ArrayList } from 'uint8arraylist'
import { abortable } from './abortable.ts'

/** Silence after which a connection is given up, as in @libp2p/tcp. */
const INACTIVITY_MS = 120_000

/** Parameters of a connection. */
export interface SocketConnectionInit {
  readonly socket: Socket
  readonly remoteAddr: Multiaddr
  readonly direction: 'inbound' | 'outbound'
  readonly log: Logger
}

/** A connection over a socket of Node.js. */
export class SocketConnection extends AbstractMultiaddrConnection {
  readonly #socket: Socket

  constructor({ socket, ...init }: SocketConnectionInit) {
    super(init)
    this.#socket = socket
    socket.on('data', (bytes) => this.onData(bytes))
    socket.on('drain', () => this.safeDispatchEvent('drain'))
    socket.on('error', (err: NodeJS.ErrnoException) => {
      // A remote that has closed does not take what answers its last bytes: no fault of either end.
      if (err.syscall === 'write') this.onTransportClosed()
      else this.abort(err)
    })
    socket.setTimeout(INACTIVITY_MS, () => this.abort(new TimeoutError()))
    socket.once('end', () => this.onTransportClosed())
    socket.once('close', (hasFailed) => {
      if (hasFailed) this.abort(new Error('the socket failed'))
      else this.onTransportClosed()
    })
  }

  sendData(data: Uint8ArrayList): SendResult {
    let sentBytes = 0
    for (const chunk of data) {
      sentBytes += chunk.byteLength
      if (!this.#socket.write(chunk)) return { sentBytes, canSendMore: false }
    }
    return { sentBytes, canSendMore: true }
  }

  sendReset(): void {
    // A reset cannot follow an end that is being sent.
    if (this.#socket.writableEnded) this.#socket.destroy()
    else this.#socket.resetAndDestroy()
  }

  sendPause(): void {
    this.#socket.pause()
  }

  sendResume(): void {
    this.#socket.resume()
  }

  sendClose(options?: AbortOptions): Promise<void> {
    const socket = this.#socket
    if (socket.destroyed) return Promise.resolve()
    const closed = new Promise<void>((resolve) => {
      socket.once('close', () => resolve())
    })
    socket.destroySoon()
    return abortable(closed, options?.signal)
  }
}
