/** A TCP socket as a reader, writer and closer. */
import type { Socket } from 'node:net'
import { misuse } from '../base/arguments.ts'
import { DuplexCarrier } from './duplex-carrier.ts'
import type { ConnState } from './interfaces.ts'

/**
 * Any `net.Socket`, which is this object's alone from here on.
 *
 * Reads are empty at the remote's FIN and after our own close; a reset by the peer rejects with
 * `ConnectionClosedError{transport: 'tcp'}`, a write after our own close too. One read and one write at a time, in
 * call order.
 */
export class TcpStream extends DuplexCarrier {
  /** The socket. */
  readonly socket: Socket
  readonly #openedAt: number

  constructor(socket: Socket) {
    const { Socket } = process.getBuiltinModule('node:net')
    if (!(socket instanceof Socket)) throw misuse('socket', 'a Socket of node:net', socket)
    super(socket, 'tcp', undefined)
    this.socket = socket
    this.#openedAt = Date.now()
    this.#learnAddress()
    if (socket.connecting) socket.once('connect', () => this.#learnAddress())
  }

  /** `tcp`, and when this object was made. */
  connState(): ConnState {
    return { transport: 'tcp', openedAt: this.#openedAt }
  }

  // The socket forgets it at its end.
  #learnAddress(): void {
    const { remoteAddress: host, remotePort: port } = this.socket
    if (host !== undefined && port !== undefined) this.setRemoteAddress({ host, port })
  }
}

/** A {@link TcpStream} over a socket, connected or about to be. */
export function tcpStream(socket: Socket): TcpStream {
  return new TcpStream(socket)
}
