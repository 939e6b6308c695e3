/** Web streams over a stream. Default streams, not byte streams: those detach the memory they are given. */
import { AbortError } from '../errors.ts'
import { Stream } from '../stream.ts'

/** A Web stream that pulls one chunk at a time, so that the stream's own window is the only buffer. */
export function readableStream(stream: Stream): ReadableStream<Uint8Array> {
  const chunks = stream[Symbol.asyncIterator]()
  return new ReadableStream<Uint8Array>(
    {
      // A reset shows although nobody reads or writes at the time.
      start: (controller) => Stream.onFailure(stream, (err) => controller.error(err)),
      async pull(controller) {
        const { done, value } = await chunks.next()
        if (done === true) controller.close()
        else controller.enqueue(value)
      },
      async cancel() {
        await endQuietly(() => stream.closeRead())
      }
    },
    { highWaterMark: 0 }
  )
}

/** A Web stream whose writes are accepted when the stream accepts them. */
export function writableStream(stream: Stream): WritableStream<Uint8Array> {
  return new WritableStream<Uint8Array>({
    start: (controller) => Stream.onFailure(stream, (err) => controller.error(err)),
    write: (bytes) => stream.write(bytes),
    close: () => stream.closeWrite(),
    abort: (reason) => {
      stream.abort(
        reason instanceof Error
          ? reason
          : new AbortError('the web stream was aborted', { cause: reason })
      )
    }
  })
}

/** Cancelling a stream that has ended anyway is no error. */
async function endQuietly(end: () => Promise<void>): Promise<void> {
  try {
    await end()
  } catch {
    // The stream was reset: it is over, which is what the caller wanted.
  }
}
