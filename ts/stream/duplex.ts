/** A node:stream Duplex over a stream. node:stream is loaded at the first call. */
import { StreamClosedError, StreamEOFError } from '../errors.ts'
import { Stream } from '../stream.ts'

type NodeDuplex = import('node:stream').Duplex

/** See `stream.toDuplex()`. */
export function toDuplex(stream: Stream): NodeDuplex {
  const { Duplex } = process.getBuiltinModule('node:stream')
  const duplex: NodeDuplex = new Duplex({
    allowHalfOpen: true,
    read(size) {
      stream.read(size).then(
        (bytes) => duplex.push(bytes),
        (err) => {
          if (err instanceof StreamEOFError || err instanceof StreamClosedError) duplex.push(null)
          else duplex.destroy(err)
        }
      )
    },
    write(chunk: Uint8Array, _encoding, callback) {
      stream.write(chunk).then(() => callback(), callback)
    },
    writev(chunks, callback) {
      // Writes keep their order, so only the last one needs waiting for.
      const writes = chunks.map(({ chunk }) => stream.write(chunk as Uint8Array))
      Promise.all(writes).then(() => callback(), callback)
    },
    final(callback) {
      stream.closeWrite().then(() => callback(), callback)
    },
    destroy(err, callback) {
      ending(err).then(() => callback(err), callback)
    }
  })
  // Whoever stops half-way must not look as if that were all.
  const ending = async (err: Error | null): Promise<void> => {
    if (err !== null) stream.abort(err)
    else if (duplex.writableFinished) await stream.close()
    else await stream.reset()
  }
  // A remote reset shows although nobody reads or writes at the time.
  Stream.onFailure(stream, (err) => {
    if (!duplex.destroyed) duplex.destroy(err)
  })
  return duplex
}
