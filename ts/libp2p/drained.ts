/** Waiting until a stream has room, as the streams of @libp2p/utils do. */
import type { Stream, StreamCloseEvent } from '@libp2p/interface'
import { isAborted, onceAborted } from '../base/abort.ts'
import { StreamClosedError } from '../errors.ts'

/** Resolves with the next event `drain`; rejects if the stream closes before, or with the reason of the signal. */
export function drained(stream: Stream, signal: AbortSignal | undefined): Promise<void> {
  if (isAborted(signal)) return Promise.reject(signal.reason)
  return new Promise((resolve, reject) => {
    const settled = (): void => {
      release()
      stream.removeEventListener('drain', done)
      stream.removeEventListener('close', failed)
    }
    const done = (): void => {
      settled()
      resolve()
    }
    const failed = (event: StreamCloseEvent): void => {
      settled()
      reject(event.error ?? new StreamClosedError())
    }
    const release = onceAborted(signal, () => {
      settled()
      reject((signal as AbortSignal | undefined)?.reason)
    })
    stream.addEventListener('drain', done)
    stream.addEventListener('close', failed)
  })
}
