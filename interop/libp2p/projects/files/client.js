import { lpStream } from '@libp2p/utils'
import { PROTOCOL } from './server.js'

/** Fetches a file: yields its chunks as they come. */
export async function* fetchFile(node, address, name, { signal, onSize } = {}) {
  const stream = await node.dialProtocol(address, PROTOCOL, { signal })
  const abort = () => stream.abort(signal.reason)
  signal?.addEventListener('abort', abort)
  try {
    const messages = lpStream(stream)
    await messages.write(Buffer.from(JSON.stringify({ name })), { signal })
    const { error, size } = JSON.parse((await messages.read({ signal })).subarray())
    if (error !== undefined) throw new Error(error)
    onSize?.(size)
    messages.unwrap()
    let received = 0
    for await (const chunk of stream) {
      received += chunk.byteLength
      yield chunk.subarray()
    }
    if (received !== size) throw new Error(`the file ended after ${received} of ${size} bytes`)
  } finally {
    signal?.removeEventListener('abort', abort)
    await stream.close().catch(() => {})
  }
}
