/** Simulated connections: two ends, and a direction of packets from each to the other. */
import type { AbortOptions } from '../base/abort.ts'
import { ConnectionClosedError, IOError, MuxerClosedError } from '../errors.ts'
import type { TransportConn } from '../transport/transport.ts'
import { Half, type HalfHost } from './half.ts'
import type { Path } from './link.ts'
import { SimulatedStream, type StreamCarrier } from './stream.ts'

/** Bytes of a frame that opens a stream or ends the connection, as those of yamux. */
const FRAME_BYTES = 12

/** Streams that wait to be accepted; further ones are reset. The swarm accepts at once, and has limits of its own. */
const BACKLOG_MAX = 256

/** Who is at an end of a connection. */
export interface Party {
  readonly name: string
  /** The peer id, as text. */
  readonly peer: string
  /** The address of its end, as text. */
  readonly address: string
}

/** The dependencies of connections. */
export interface ConnHost extends HalfHost {
  /** Called when a connection is lost; not for one that is closed. */
  lost(dialler: string, listener: string): void
  opened(conn: SimulatedConn): void
  ended(conn: SimulatedConn): void
}

/** Makes the two ends of a connection. */
export function connect(
  host: ConnHost,
  { dialler, listener }: { dialler: Party; listener: Party },
  { there, back }: { there: Path; back: Path }
): { readonly dialled: SimulatedConn; readonly accepted: SimulatedConn } {
  const [from, to] = [dialler.name, listener.name]
  const lose = (): void => {
    clearLoss()
    if (dialled.isClosed && accepted.isClosed) return
    host.lost(from, to)
    for (const end of [dialled, accepted]) end.end(reset('the connection was lost'))
  }
  const outbound = new Half(host, there, { from, to }, lose)
  const inbound = new Half(host, back, { from: to, to: from }, lose)
  const lifetime = there.lifetime()
  const loss =
    lifetime === Number.POSITIVE_INFINITY ? undefined : host.clock.setTimer(lose, lifetime)
  const clearLoss = (): void => host.clock.clearTimer(loss)
  const dialled = new SimulatedConn(host, dialler, listener, { sent: outbound, read: inbound })
  const accepted = new SimulatedConn(host, listener, dialler, { sent: inbound, read: outbound })
  SimulatedConn.join(dialled, accepted, clearLoss)
  return { dialled, accepted }
}

/** One end of a connection. */
export class SimulatedConn implements TransportConn, StreamCarrier {
  readonly remotePeer: string
  readonly localAddr: string
  readonly security = '/plaintext/2.0.0'
  readonly muxer = '/simulated/1.0.0'
  /** The name of the node at this end. */
  readonly node: string
  readonly #host: ConnHost
  readonly #sent: Half
  readonly #read: Half
  readonly #streams = new Set<SimulatedStream>()
  readonly #backlog: SimulatedStream[] = []
  #taker: PromiseWithResolvers<SimulatedStream> | undefined
  #other: SimulatedConn | undefined
  #onClosed: () => void = () => {}
  #end: Error | undefined

  constructor(host: ConnHost, local: Party, remote: Party, halves: { sent: Half; read: Half }) {
    this.#host = host
    this.node = local.name
    this.localAddr = local.address
    this.remotePeer = remote.peer
    this.#sent = halves.sent
    this.#read = halves.read
    host.opened(this)
  }

  /** Makes two ends those of one connection; `onClosed` is called when both are closed. */
  static join(one: SimulatedConn, other: SimulatedConn, onClosed: () => void): void {
    one.#other = other
    other.#other = one
    one.#onClosed = onClosed
    other.#onClosed = onClosed
  }

  get isClosed(): boolean {
    return this.#end !== undefined
  }

  async close(): Promise<void> {
    this.#leave(0)
  }

  async closeWithError(code: number): Promise<void> {
    this.#leave(code)
  }

  async openStream(): Promise<SimulatedStream> {
    const remote = this.#remote
    if (this.#end !== undefined) throw this.#end
    const near = new SimulatedStream('outbound', this)
    const far = new SimulatedStream('inbound', remote)
    SimulatedStream.join(near, far)
    this.#streams.add(near)
    this.write(FRAME_BYTES, () => remote.#receive(far))
    return near
  }

  acceptStream({ signal }: AbortOptions = {}): Promise<SimulatedStream> {
    const stream = this.#backlog.shift()
    if (stream !== undefined) return Promise.resolve(stream)
    if (this.#end !== undefined) return Promise.reject(this.#end)
    const taker = Promise.withResolvers<SimulatedStream>()
    this.#taker = taker
    const abort = (): void => {
      if (this.#taker === taker) this.#taker = undefined
      taker.reject(signal?.reason)
    }
    if (signal?.aborted === true) abort()
    else signal?.addEventListener('abort', abort, { once: true })
    return taker.promise.finally(() => signal?.removeEventListener('abort', abort))
  }

  /** Sends a message to the other end. */
  write(bytes: number, message: () => void): void {
    this.#sent.write(bytes, message)
  }

  /** Called by a stream that has ended. */
  ended(stream: SimulatedStream): void {
    this.#streams.delete(stream)
  }

  /** Ends this end as a crash of its node does: the other one learns of it by a reset. */
  crash(): void {
    if (this.#end !== undefined) return
    this.write(FRAME_BYTES, () => this.#remote.end(reset('connection reset by the peer')))
    this.#finish(reset('the node has crashed'))
  }

  /** Ends this end: nothing is sent, and nothing is received. */
  end(reason: Error): void {
    this.#finish(reason)
    // What was on its way to this end is lost, and so is what it has sent: the other end has ended, or is ended next.
    this.#sent.end()
    this.#read.end()
  }

  /** Closes this end, and says goodbye to the other one. */
  #leave(code: number): void {
    if (this.#end !== undefined) return
    const reason = (): Error =>
      code === 0 ? new MuxerClosedError() : new ConnectionClosedError({ closeCode: code })
    this.write(FRAME_BYTES, () => this.#remote.end(reason()))
    this.#finish(reason())
  }

  #finish(reason: Error): void {
    if (this.#end !== undefined) return
    this.#end = reason
    // Of what the remote sends, nothing is of use any more; what this end has sent is still to arrive.
    this.#read.end()
    const streamReason =
      reason instanceof ConnectionClosedError
        ? reason
        : new ConnectionClosedError({ cause: reason })
    for (const stream of [...this.#streams]) stream.fail(streamReason)
    this.#taker?.reject(reason)
    this.#backlog.length = 0
    this.#host.ended(this)
    if (this.#remote.isClosed) this.#onClosed()
  }

  #receive(stream: SimulatedStream): void {
    if (this.#backlog.length >= BACKLOG_MAX) {
      void stream.reset()
      return
    }
    this.#streams.add(stream)
    const taker = this.#taker
    this.#taker = undefined
    if (taker === undefined) this.#backlog.push(stream)
    else taker.resolve(stream)
  }

  // Joined when it is made.
  get #remote(): SimulatedConn {
    if (this.#other === undefined) throw new TypeError('the end of a connection is not joined')
    return this.#other
  }
}

/** Returns the error of a connection that ends without a goodbye. */
function reset(message: string): ConnectionClosedError {
  const cause = new IOError(message, {}, 'ERR_CONNECTION_RESET')
  return new ConnectionClosedError(message, { cause })
}
