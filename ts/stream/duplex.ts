/** A node:stream Duplex over a stream. node:stream is loaded at the first call. */
import { aBoolean, checkOptions, type OptionChecks } from '../base/arguments.ts'
import { StreamState } from '../constants.ts'
import { StreamClosedError } from '../errors.ts'
import { FLAG_ORDERLY, FLAG_REMOTE, FLAG_UNREAD, FLAG_UNSENT } from '../native/record.ts'
import type { Stream } from '../stream.ts'
import type { StreamCore } from './core.ts'
import { streamFacade } from './facade.ts'

type NodeDuplex = import('node:stream').Duplex

type Callback = (err?: Error | null) => void

/** Options of `stream.toDuplex`. */
export interface DuplexOptions {
  /**
   * Whether the writing half stays open once the remote's end was read. Defaults to true. False ends it then, as a
   * `net.Socket` does, which suits a receiver of files.
   */
  allowHalfOpen?: boolean
}

const DUPLEX_CHECKS: OptionChecks<DuplexOptions> = { allowHalfOpen: aBoolean }

/** Implements `stream.toDuplex()`. */
export function toDuplex(stream: Stream, options: DuplexOptions = {}): NodeDuplex {
  checkOptions(options, DUPLEX_CHECKS)
  const { Duplex } = process.getBuiltinModule('node:stream')
  const duplex: NodeDuplex = new Duplex({
    allowHalfOpen: options.allowHalfOpen ?? true,
    read: (size) => bridge.read(size),
    write: (chunk: Uint8Array, _encoding, callback) => bridge.write([chunk], callback),
    // Without `objectMode`, chunks are buffers.
    writev: (chunks, callback) =>
      bridge.write(
        chunks.map(({ chunk }) => chunk as Uint8Array),
        callback
      ),
    final: (callback) => bridge.end(callback),
    destroy: (err, callback) => bridge.destroy(err, callback)
  })
  const bridge = new Bridge(stream, duplex)
  bridge.start()
  return duplex
}

/** Connects a Duplex to its stream, in both directions. */
class Bridge {
  readonly #stream: Stream
  readonly #core: StreamCore
  readonly #duplex: NodeDuplex
  #isReading = false
  // `null` was pushed.
  #hasEnded = false
  // Everything was written: the remote's end is polled for even without a reader.
  #pollsForEnd = false

  constructor(stream: Stream, duplex: NodeDuplex) {
    this.#stream = stream
    this.#core = streamFacade.coreOf(stream)
    this.#duplex = duplex
  }

  start(): void {
    streamFacade.onReadable(this.#stream, () => this.#pollForEnd())
    // The end is reported even if no read or write is pending.
    streamFacade.onEnd(this.#stream, () => this.#streamEnded())
    if (this.#core.isFailed()) this.#failed()
  }

  read(size: number): void {
    this.#isReading = true
    this.#stream.read(size).then(
      (bytes) => {
        this.#isReading = false
        this.#duplex.push(bytes)
      },
      (err) => {
        this.#isReading = false
        if (this.#core.isEnd(err)) this.#pushEnd()
        else if (this.#core.isFailed()) this.#failed()
        else this.#duplex.destroy(err)
      }
    )
  }

  write(chunks: readonly Uint8Array[], callback: Callback): void {
    // Writes keep their order; one that waits holds back the next until it is accepted.
    Promise.all(chunks.map((chunk) => this.#stream.write(chunk))).then(
      () => callback(),
      (err) => this.#refused(err, callback)
    )
  }

  end(callback: Callback): void {
    this.#stream.closeWrite().then(
      () => {
        callback()
        // The remote's end must free the stream even if the application never reads.
        this.#pollsForEnd = true
        this.#pollForEnd()
      },
      (err) => this.#refused(err, callback)
    )
  }

  destroy(err: Error | null, callback: Callback): void {
    const { writableFinished } = this.#duplex
    // Truncated output must not look complete to the remote. If nothing was written, nothing is cut off.
    const isWhole = writableFinished || (this.#hasEnded && !this.#core.writes.hasWritten)
    // Node's iterators destroy a Duplex whose writing half is open with an error, even after the remote's end.
    const isIteratorEnd = err !== null && isAbort(err) && isWhole && this.#hasEnded
    if (err !== null && !isIteratorEnd) {
      this.#stream.abort(err)
      callback(err)
      return
    }
    const ending = isWhole ? this.#stream.close() : this.#stream.reset()
    ending.then(() => callback(null), callback)
  }

  #refused(err: Error, callback: Callback): void {
    if (this.#core.isFailed()) this.#failed()
    callback(err)
  }

  #pushEnd(): void {
    const duplex = this.#duplex
    if (duplex.destroyed || this.#hasEnded) return
    this.#hasEnded = true
    duplex.push(null)
    // Emits 'end' even if the application does not read.
    duplex.read(0)
  }

  /** Pushes what is available if no read is pending: the end, or bytes that the Duplex buffers for a reader. */
  #pollForEnd(): void {
    const duplex = this.#duplex
    const isDone = this.#hasEnded || duplex.destroyed || duplex.readableLength > 0
    if (!this.#pollsForEnd || this.#isReading || isDone) return
    try {
      const bytes = this.#stream.tryRead(duplex.readableHighWaterMark)
      if (bytes !== undefined) duplex.push(bytes)
    } catch (err) {
      if (this.#core.isEnd(err)) this.#pushEnd()
    }
  }

  #streamEnded(): void {
    const duplex = this.#duplex
    if (duplex.destroyed) return
    if (this.#core.isFailed()) {
      this.#failed()
    } else if ((this.#core.flags & FLAG_UNSENT) !== 0) {
      this.#finish(new StreamClosedError('the remote ended the stream before all was sent'))
    } else {
      // Both halves have ended.
      if (!duplex.writableEnded) duplex.end()
      this.#pollsForEnd = true
      this.#pollForEnd()
    }
  }

  #failed(): void {
    const duplex = this.#duplex
    if (duplex.destroyed) return
    const loss = this.#loss()
    if (loss !== undefined && (duplex.listenerCount('error') > 0 || !this.#isLocalEnd)) {
      duplex.destroy(loss)
      return
    }
    if (this.#isLocalEnd && loss === undefined && this.#isRead) this.#pushEnd()
    this.#finish(undefined)
  }

  /** Destroys the Duplex once its buffer was read. */
  #finish(err: Error | undefined): void {
    const duplex = this.#duplex
    const destroy = (): void => {
      duplex.destroy(err)
    }
    if (this.#isRead && !duplex.readableEnded && !(this.#core.isFailed() && !this.#hasEnded)) {
      duplex.once('end', destroy)
    } else {
      destroy()
    }
  }

  /** Returns the stream's failure if bytes were lost by it. */
  #loss(): Error | undefined {
    const core = this.#core
    const { failure, flags } = core
    if (core.state === StreamState.ERROR || core.isResetHere) return failure
    const duplex = this.#duplex
    const isUnsent = duplex.writableLength > 0 || (flags & FLAG_UNSENT) !== 0
    const isCut = !this.#hasEnded && this.#isRead
    if ((flags & FLAG_ORDERLY) !== 0) {
      // Bytes left unread by a local close of the connection were given up by the application.
      const isMissed = isCut && ((flags & FLAG_REMOTE) !== 0 || (flags & FLAG_UNREAD) !== 0)
      return isUnsent || isMissed ? failure : undefined
    }
    const isDone = duplex.writableFinished || !core.writes.hasWritten
    return this.#hasEnded && isDone && !isUnsent ? undefined : failure
  }

  /** Whether the stream was reset or its connection closed locally: such a failure must not crash the process. */
  get #isLocalEnd(): boolean {
    return this.#core.isResetHere || this.#core.isClosedHere
  }

  /** Whether the application reads. */
  get #isRead(): boolean {
    const duplex = this.#duplex
    return duplex.readableFlowing !== null || duplex.listenerCount('readable') > 0
  }
}

function isAbort(err: Error): boolean {
  // Errors of Node.js have a `code`.
  return err.name === 'AbortError' && (err as NodeJS.ErrnoException).code === 'ABORT_ERR'
}
