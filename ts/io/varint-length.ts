/** Messages prefixed with an unsigned varint. Spec: multiformats unsigned-varint, at most 9 bytes. */
import { IncompleteReadError, MissingLengthError } from '../errors.ts'
import { BaseMsgReadWriter } from './base-msg-read-writer.ts'
import { framed, PREFIX_BYTES_MAX, prefixFormat, readPrefix } from './framing.ts'
import type { AbortOptions } from './interfaces.ts'
import { readExactly } from './read-exactly.ts'

const FORMAT = prefixFormat('varint')

/**
 * Messages with unsigned varint prefixes, as `VarIntLengthMsgReadWriter` of py-libp2p and in most libp2p protocols.
 *
 * @example
 * ```ts
 * import { createConnection } from 'node:net'
 * import { tcpStream, VarintMsgReadWriter } from 'ferroswarm/io'
 *
 * const messages = new VarintMsgReadWriter(tcpStream(createConnection(4_001, '192.0.2.1')))
 * await messages.writeMsg(Buffer.from('hello'))
 * console.log(String(Buffer.from(await messages.readMsg())))
 * await messages.close()
 * ```
 */
export class VarintMsgReadWriter extends BaseMsgReadWriter {
  override encodeMsg(message: Uint8Array): Uint8Array {
    return framed(FORMAT, message)
  }

  override async nextMsgLen(options?: AbortOptions): Promise<number> {
    const bytes = new Uint8Array(PREFIX_BYTES_MAX)
    for (let length = 0; ; length += 1) {
      // One byte at a time: the next one may belong to another reader.
      try {
        bytes.set(await readExactly(this.reader, 1, options), length)
      } catch (err) {
        const read = bytes.subarray(0, length)
        if (err instanceof IncompleteReadError) throw missingLength(err, length)
        this.reader.unshift(read)
        throw err
      }
      const prefix = readPrefix(FORMAT, bytes.subarray(0, length + 1), 0)
      if (prefix !== undefined) return prefix.length
    }
  }
}

function missingLength(err: IncompleteReadError, receivedBytes: number): MissingLengthError {
  if (receivedBytes === 0) return new MissingLengthError({ cause: err })
  return new MissingLengthError('the stream ended inside a length', {
    cause: new IncompleteReadError(err.message, {
      cause: err,
      expectedBytes: receivedBytes + 1,
      receivedBytes
    })
  })
}
