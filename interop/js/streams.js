import { BLOCK_BYTES } from './protocols.js'

/**
 * Calls `onBytes` with every chunk until the end of the stream. Rejects if the stream is reset instead.
 *
 * js-libp2p's own iterator hangs when the remote half closed before it began, so this listens to the events.
 */
export function readToEnd(stream, onBytes) {
  return new Promise((resolve, reject) => {
    const settle = () => {
      if (stream.status === 'reset' || stream.status === 'aborted') {
        const error = new Error(`stream ${stream.status}`)
        error.name = 'StreamResetError'
        reject(error)
      } else {
        resolve()
      }
    }
    stream.addEventListener('end', settle)
    stream.addEventListener('close', settle)
    stream.addEventListener('message', (event) => {
      try {
        onBytes(event.data)
      } catch (error) {
        stream.abort(error)
        reject(error)
      }
    })
    if (stream.readableEnded) {
      settle()
    }
  })
}

/** Everything up to the end of the stream, in one piece. */
export async function readAll(stream) {
  const chunks = []
  await readToEnd(stream, (chunk) => chunks.push(chunk.subarray()))
  return Buffer.concat(chunks)
}

/** Writes, and waits while the stream has no room. */
export async function write(stream, bytes) {
  if (!stream.send(bytes)) {
    await drained(stream)
  }
}

/**
 * Resolves at the stream's next `drain`.
 *
 * `stream.onDrain()` would do once: after its first drain it resolves at once for ever.
 */
export function drained(stream) {
  return new Promise((resolve, reject) => {
    const onDrain = () => {
      stop()
      resolve()
    }
    const onClose = (event) => {
      stop()
      reject(event.error ?? new Error('stream closed before it drained'))
    }
    const stop = () => {
      stream.removeEventListener('drain', onDrain)
      stream.removeEventListener('close', onClose)
    }
    stream.addEventListener('drain', onDrain)
    stream.addEventListener('close', onClose)
  })
}

export async function writeZeros(stream, count) {
  const block = new Uint8Array(BLOCK_BYTES)
  for (let left = count; left > 0; left -= BLOCK_BYTES) {
    await write(stream, left < BLOCK_BYTES ? block.subarray(0, left) : block)
  }
}

/** A u32 length followed by its payload. */
export function frame(payload) {
  const bytes = new Uint8Array(4 + payload.byteLength)
  new DataView(bytes.buffer).setUint32(0, payload.byteLength)
  bytes.set(payload, 4)
  return bytes
}

export function u64(value) {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value))
  return bytes
}

export function readU64(bytes) {
  return Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0))
}
