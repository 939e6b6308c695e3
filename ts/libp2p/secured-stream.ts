/** A handshake, and the stream that it secures, over bytes that JavaScript carries. */
import type {
  AbortOptions,
  MessageStream,
  SecureConnectionOptions,
  SecuredConnection,
  StreamCloseEvent,
  StreamMessageEvent
} from '@libp2p/interface'
import { ConnectionClosedError } from '@libp2p/interface'
import { AbstractMessageStream, type SendResult } from '@libp2p/utils'
import type { Uint8ArrayList } from 'uint8arraylist'
import type { SecurityName } from '../constants.ts'
import { privateKeyBytes } from '../identity/keys.ts'
import { loadPeerIds, publicKeyOf } from '../identity/load.ts'
import type { NativeMuxerSession, NativeSecureSession, SessionFacts } from '../native/addon.ts'
import { thrownByNative } from '../native/command-error.ts'
import { native } from '../native/environment.ts'
import { abortable } from './abortable.ts'
import { asBuffer } from './buffers.ts'
import type { Components } from './components.ts'
import { asError } from './errors.ts'

/** Parameters of a handshake. */
export interface SecureStreamOptions extends SecureConnectionOptions {
  readonly components: Components
  readonly security: SecurityName
  readonly isInitiator: boolean
}

/** Secures a stream; resolves when the handshake is complete. */
export async function secureStream(
  stream: MessageStream,
  options: SecureStreamOptions
): Promise<SecuredConnection> {
  const { components, isInitiator, remotePeer, security, signal } = options
  const muxers = components.upgrader.getStreamMuxers()
  const offered = options.skipStreamMuxerNegotiation === true ? [] : [...muxers.keys()]
  const session = sessionOf({
    privateKey: privateKeyBytes(components.privateKey),
    security: [security],
    negotiate: false,
    initiator: isInitiator,
    muxers: offered,
    ...(remotePeer === undefined ? {} : { remotePeer: remotePeer.toString() })
  })
  const handshake = new Handshake(stream, session)
  try {
    const facts = await abortable(handshake.done, signal)
    const streamMuxer = facts.muxer === undefined ? undefined : muxers.get(facts.muxer)
    return {
      connection: new SecuredStream(stream, session),
      remotePeer: loadPeerIds().peerIdFromPublicKey(publicKeyOf(facts.publicKey)),
      ...(streamMuxer === undefined ? {} : { streamMuxer })
    }
  } catch (err) {
    handshake.stop()
    throw err
  }
}

function sessionOf(
  init: ConstructorParameters<typeof native.NativeSecureSession>[0]
): NativeSecureSession {
  try {
    return new native.NativeSecureSession(init)
  } catch (err) {
    throw thrownByNative(err)
  }
}

/** Runs the handshake of a session over a stream. What follows it in the last message stays with the session. */
class Handshake {
  readonly done: Promise<SessionFacts>
  readonly #stream: MessageStream
  readonly #session: NativeSecureSession
  #resolve: (facts: SessionFacts) => void = () => {}
  #reject: (err: Error) => void = () => {}

  readonly #onMessage = ({ data }: StreamMessageEvent): void => {
    try {
      this.#session.receive(data.subarray())
    } catch (err) {
      // An alert for the remote may be pending.
      this.#send()
      this.#fail(thrownByNative(err))
      return
    }
    this.#advance()
  }

  readonly #onClose = ({ error }: StreamCloseEvent): void => {
    this.#fail(error ?? new ConnectionClosedError('The connection was closed during the handshake'))
  }

  readonly #onRemoteEnd = (): void => {
    this.#fail(new ConnectionClosedError('The remote closed the connection during the handshake'))
  }

  constructor(stream: MessageStream, session: NativeSecureSession) {
    this.#stream = stream
    this.#session = session
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    stream.addEventListener('message', this.#onMessage)
    stream.addEventListener('close', this.#onClose)
    stream.addEventListener('remoteCloseWrite', this.#onRemoteEnd)
    this.#advance()
  }

  #advance(): void {
    this.#send()
    const facts = this.#session.peer()
    if (facts === null) return
    // Nothing may arrive before the secured stream listens, or it would be lost.
    this.#stream.pause()
    this.stop()
    this.#resolve(facts)
  }

  #send(): void {
    const output = this.#session.takeOutput()
    try {
      if (output.length > 0) this.#stream.send(output)
    } catch (err) {
      // The stream takes nothing any more.
      this.#fail(asError(err))
    }
  }

  #fail(err: Error): void {
    this.stop()
    this.#reject(err)
  }

  /** Stops listening to the stream. */
  stop(): void {
    this.#stream.removeEventListener('message', this.#onMessage)
    this.#stream.removeEventListener('close', this.#onClose)
    this.#stream.removeEventListener('remoteCloseWrite', this.#onRemoteEnd)
  }
}

/** A session that a muxer has taken over. */
export interface HandedOver {
  /** The stream that carries its bytes. */
  readonly carrier: MessageStream
  readonly session: NativeMuxerSession
  /** Plaintext that was opened before. */
  readonly unread: Uint8Array
}

/** The plaintext of a session over a stream. */
export class SecuredStream extends AbstractMessageStream {
  readonly #stream: MessageStream
  readonly #session: NativeSecureSession
  readonly #handingOver = new AbortController()
  #isRead = false

  constructor(stream: MessageStream, session: NativeSecureSession) {
    const { log, direction, inactivityTimeout, maxReadBufferLength } = stream
    super({ log, direction, inactivityTimeout, maxReadBufferLength })
    this.#stream = stream
    this.#session = session
    const { signal } = this.#handingOver
    stream.addEventListener('message', ({ data }) => this.#receive(data), { signal })
    stream.addEventListener('drain', () => this.safeDispatchEvent('drain'), { signal })
    stream.addEventListener('remoteCloseWrite', () => this.onRemoteCloseWrite(), { signal })
    stream.addEventListener('close', (event) => this.#onClose(event), { signal })
  }

  readonly #onClose = ({ error, local }: StreamCloseEvent): void => {
    if (error === undefined) this.onTransportClosed()
    else if (local === true) this.abort(error)
    else this.onRemoteReset()
  }

  /** Nothing is opened before somebody reads: a muxer may take over the session with all that has arrived. */
  override addEventListener(...args: Parameters<AbstractMessageStream['addEventListener']>): void {
    super.addEventListener(...args)
    if (args[0] !== 'message' || this.#isRead) return
    this.#isRead = true
    queueMicrotask(() => {
      this.#deliver()
      if (this.#stream.status === 'open') this.#stream.resume()
    })
  }

  /** Leaves the bytes to a muxer within the session. */
  handOver(multiplex: (session: NativeSecureSession) => NativeMuxerSession): HandedOver {
    this.#handingOver.abort()
    const session = multiplex(this.#session)
    const unread = this.readBuffer.subarray()
    this.readBuffer.consume(unread.length)
    // It ends with the stream below, of which the muxer tells its streams.
    this.#stream.addEventListener('close', (event) => this.#onClose(event))
    const carrier = this.#stream
    // After the muxer listens.
    queueMicrotask(() => {
      if (carrier.status === 'open') carrier.resume()
    })
    return { carrier, session, unread }
  }

  #receive(data: Uint8Array | Uint8ArrayList): void {
    try {
      this.#session.receive(data.subarray())
    } catch (err) {
      this.#deliver()
      this.abort(thrownByNative(err))
      return
    }
    this.#deliver()
    // Answers of the session itself, such as to a key update.
    const output = this.#session.takeOutput()
    try {
      if (output.length > 0) this.#stream.send(output)
    } catch (err) {
      this.abort(asError(err))
      return
    }
    if (this.#session.hasEnded) this.onRemoteCloseWrite()
  }

  #deliver(): void {
    const plaintext = this.#session.takePlaintext()
    if (plaintext.length > 0) this.onData(asBuffer(plaintext))
  }

  sendData(data: Uint8ArrayList): SendResult {
    this.#session.write(data.subarray())
    const canSendMore = this.#stream.send(this.#session.takeOutput())
    return { sentBytes: data.byteLength, canSendMore }
  }

  sendReset(err: Error): void {
    this.#stream.abort(err)
  }

  sendPause(): void {
    this.#stream.pause()
  }

  sendResume(): void {
    this.#stream.resume()
  }

  async close(options?: AbortOptions): Promise<void> {
    if (this.status !== 'open') return
    this.status = 'closing'
    this.writeStatus = 'closing'
    // What the remote sends until it has read the end is still received: a turn of the event loop for what is there.
    await new Promise(setImmediate)
    this.#session.close()
    const output = this.#session.takeOutput()
    if (output.length > 0) this.#stream.send(output)
    await this.#stream.close(options)
  }
}
