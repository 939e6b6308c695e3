import { decode, encode } from 'it-length-prefixed'
import { readAll, write } from './streams.js'

/** Ends of an input, by error. */
const ENDS = { UnexpectedEOFError: 1, InvalidDataLengthError: 2, InvalidDataLengthLengthError: 3 }

/** Splits each input with it-length-prefixed and sends the messages back as that frames them. */
export async function serveLengths(stream) {
  const request = await readAll(stream)
  const framing = request[0] === 0 ? {} : { lengthDecoder: readU32, lengthEncoder: writeU32 }
  const maxDataLength = request.readUInt32BE(1)
  for (let at = 5; at < request.byteLength; ) {
    const end = at + 4 + request.readUInt32BE(at)
    await write(stream, answer(request.subarray(at + 4, end), { ...framing, maxDataLength }))
    at = end
  }
  await stream.close()
}

function answer(input, options) {
  const framed = []
  let end = 0
  try {
    for (const message of decode([input], options)) {
      framed.push(encode.single(message, options).subarray())
    }
  } catch (error) {
    end = ENDS[error.name]
    if (end === undefined) throw error
  }
  const head = Buffer.alloc(5)
  head[0] = end
  const messages = Buffer.concat(framed)
  head.writeUInt32BE(messages.byteLength, 1)
  return Buffer.concat([head, messages])
}

function readU32(bytes) {
  // it-length-prefixed treats this as "wait for more".
  if (bytes.byteLength < 4) throw new RangeError('fewer than four bytes')
  // A Uint8ArrayList.
  return bytes.getUint32(0)
}
readU32.bytes = 4

function writeU32(length) {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, length)
  return bytes
}
writeU32.bytes = 4
