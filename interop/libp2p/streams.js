/** What programs do with streams, as the users of js-libp2p write it. */

/** Echoes a stream to its end. */
export async function echo(stream) {
  for await (const chunk of stream) await write(stream, chunk)
  await stream.close()
}

/** Writes, and waits while the stream has no room. `onDrain` of js-libp2p resolves at once after the first time. */
export async function write(stream, bytes) {
  if (stream.send(bytes)) return
  await new Promise((resolve, reject) => {
    const settle = ({ type, error }) => {
      stream.removeEventListener('drain', settle)
      stream.removeEventListener('close', settle)
      if (type === 'drain') resolve()
      else reject(error ?? new Error('the stream was closed'))
    }
    stream.addEventListener('drain', settle)
    stream.addEventListener('close', settle)
  })
}

/** Sends bytes in blocks of 64 KiB, and ends the stream. */
export async function sendAll(stream, bytes) {
  for (let at = 0; at < bytes.length; at += 65_536) {
    await write(stream, bytes.subarray(at, at + 65_536))
  }
  await stream.close()
}

/** Resolves to the bytes up to the end. */
export async function readAll(stream) {
  const chunks = []
  for await (const chunk of stream) chunks.push(chunk.subarray())
  return Buffer.concat(chunks)
}

/** Resolves to the next event of a type. */
export function once(target, type) {
  return new Promise((resolve) => target.addEventListener(type, resolve, { once: true }))
}

/** Keeps the event loop busy. */
export function block(ms) {
  const end = Date.now() + ms
  while (Date.now() < end);
}
