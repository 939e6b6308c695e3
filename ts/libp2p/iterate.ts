/** The iteration of a stream, as that of `AbstractMessageStream` of @libp2p/utils; it also ends if its end came before. */
import { type Stream, StreamCloseEvent, type StreamMessageEvent } from '@libp2p/interface'
import type { Uint8ArrayList } from 'uint8arraylist'

/** A stream with what it has received and not delivered. */
type BufferedStream = Stream & { readonly readBufferLength: number }

/** Yields what a stream delivers, up to the end of the remote's writing half; throws if the stream ends with an error. */
export async function* iterate(
  stream: BufferedStream
): AsyncGenerator<Uint8Array | Uint8ArrayList> {
  if (stream.readStatus !== 'readable' && stream.readStatus !== 'paused') return
  const arrived: (Uint8Array | Uint8ArrayList)[] = []
  let isOver = false
  let error: Error | undefined
  let wake = (): void => {}
  const onMessage = ({ data }: StreamMessageEvent): void => {
    arrived.push(data)
    wake()
  }
  const onEnd = (event: Event): void => {
    isOver = true
    if (event instanceof StreamCloseEvent) error = event.error
    wake()
  }
  stream.addEventListener('message', onMessage)
  stream.addEventListener('close', onEnd)
  stream.addEventListener('remoteCloseWrite', onEnd)
  try {
    for (;;) {
      for (let data = arrived.shift(); data !== undefined; data = arrived.shift()) yield data
      if (error !== undefined) throw error
      if (isOver || (stream.remoteWriteStatus === 'closed' && stream.readBufferLength === 0)) return
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  } finally {
    stream.removeEventListener('message', onMessage)
    stream.removeEventListener('close', onEnd)
    stream.removeEventListener('remoteCloseWrite', onEnd)
  }
}
