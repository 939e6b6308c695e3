/** Web streams over a stream. Default streams, not byte streams, which detach the buffers passed to them. */
import { AbortError } from '../errors.ts'
import type { Stream } from '../stream.ts'
import { streamFacade } from './facade.ts'

/** Returns a Web stream that pulls one chunk at a time, so that the stream's own window is the only buffer. */
export function readableStream(stream: Stream): ReadableStream<Uint8Array> {
  const chunks = stream[Symbol.asyncIterator]()
  const core = streamFacade.coreOf(stream)
  let isOver = false
  return new ReadableStream<Uint8Array>(
    {
      // A local end or a reset is reported even if no read is pending.
      start(controller) {
        const end = (): void => {
          if (isOver) return
          const err = core.isFailed() ? core.failure : undefined
          if (err === undefined && core.reads.end !== 'local') return
          isOver = true
          if (err === undefined || core.isEnd(err)) controller.close()
          else controller.error(err)
        }
        streamFacade.onEnd(stream, end)
        if (core.isFailed()) end()
      },
      async pull(controller) {
        const { done, value } = await chunks.next()
        if (isOver) return
        if (done === true) {
          isOver = true
          controller.close()
        } else {
          controller.enqueue(value)
        }
      },
      async cancel() {
        isOver = true
        await endQuietly(() => stream.closeRead())
      }
    },
    { highWaterMark: 0 }
  )
}

/** Returns a Web stream whose writes resolve when the stream accepts them. */
export function writableStream(stream: Stream): WritableStream<Uint8Array> {
  const core = streamFacade.coreOf(stream)
  const abort = (reason: unknown): void => {
    const cause = reason instanceof Error ? reason : undefined
    stream.abort(cause ?? new AbortError('the web stream was aborted', { cause: reason }))
  }
  return new WritableStream<Uint8Array>({
    start(controller) {
      // The platform calls `abort` only after the write in flight has settled, which may wait for the peer.
      const { signal } = controller
      signal.addEventListener('abort', () => abort(signal.reason), { once: true })
      const fail = (): void => {
        if (core.failure !== undefined) controller.error(core.failure)
      }
      streamFacade.onEnd(stream, fail)
      if (core.isFailed()) fail()
    },
    write: (bytes) => stream.write(bytes),
    close: () => stream.closeWrite(),
    abort
  })
}

/** Ignores errors: cancelling a stream that has ended is not a failure. */
async function endQuietly(end: () => Promise<void>): Promise<void> {
  try {
    await end()
  } catch {
    // The stream was reset, so it has ended as requested.
  }
}
