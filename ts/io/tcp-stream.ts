/** Adapter of TCP sockets. */
import type { Socket } from 'node:net'
import { misuse } from '../base/arguments.ts'
import { DuplexCarrier } from './duplex-carrier.ts'
import type { ConnState } from './interfaces.ts'

/**
 * Reads and writes a `net.Socket`, which it owns from now on.
 *
 * Reads resolve to an empty array at the remote's FIN and after a local close. A reset by the peer, and a write after a
 * local close, reject with `ConnectionClosedError{transport: 'tcp'}`. One read and one write at a time, in call order.
 */
export class TcpStream extends DuplexCarrier {
  /** The underlying socket. */
  readonly socket: Socket
  readonly #openedAt: number

  /** @throws {@link InvalidParametersError} if `socket` is not a `net.Socket`. */
  constructor(socket: Socket) {
    const { Socket } = process.getBuiltinModule('node:net')
    if (!(socket instanceof Socket)) throw misuse('socket', 'a Socket of node:net', socket)
    super(socket, 'tcp', undefined)
    this.socket = socket
    this.#openedAt = Date.now()
    this.#saveAddress()
    if (socket.connecting) socket.once('connect', () => this.#saveAddress())
  }

  /** Returns `tcp`, and the time at which this object was created. */
  connState(): ConnState {
    return { transport: 'tcp', openedAt: this.#openedAt }
  }

  // A closed socket has no address any more.
  #saveAddress(): void {
    const { remoteAddress: host, remotePort: port } = this.socket
    if (host !== undefined && port !== undefined) this.setRemoteAddress({ host, port })
  }
}

/**
 * Returns a {@link TcpStream} over a connected or connecting socket.
 *
 * @throws {@link InvalidParametersError} if `socket` is not a `net.Socket`.
 */
export function tcpStream(socket: Socket): TcpStream {
  return new TcpStream(socket)
}
