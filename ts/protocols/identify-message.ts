/**
 * The message of identify, on the wire a protobuf of optional fields.
 *
 * Every connection sends and reads one, so both are written for it: a reader for protobufs at large made more garbage
 * than all the rest of a connection.
 */
import { MessageTooLargeError, MsgioError } from '../errors.ts'
import { addressBytes, addressOf } from '../identity/address.ts'
import { prefixFormat, prefixLength, writePrefix } from '../io/framing.ts'

/** Bytes of one message at most, as go has it. */
export const IDENTIFY_MESSAGE_BYTES_MAX = 8 * 1024

/** Messages merged at most, as go has it. */
const MESSAGES_MAX = 10

/** Bytes of all messages with their lengths, which take two bytes at most where a message is not too long. */
export const IDENTIFY_BYTES_MAX: number = MESSAGES_MAX * (IDENTIFY_MESSAGE_BYTES_MAX + 2)

/** Protocols that a peer may tell of, as go has it. */
const PROTOCOLS_MAX = 1_024

/** Addresses that a peer may tell of, as go has it. */
const ADDRESSES_MAX = 500

/** What is told in one or several messages; addresses are text, a field that was not told is undefined. */
export interface IdentifyMessage {
  publicKey?: Uint8Array
  listenAddrs?: string[]
  protocols?: string[]
  observedAddr?: string
  protocolVersion?: string
  agentVersion?: string
  signedPeerRecord?: Uint8Array
}

const FIELD = {
  publicKey: 1,
  listenAddrs: 2,
  protocols: 3,
  observedAddr: 4,
  protocolVersion: 5,
  agentVersion: 6,
  signedPeerRecord: 8
} as const

const WIRE_TYPE_BITS = 3
const VARINT = 0
const FIXED64 = 1
const LENGTH_DELIMITED = 2
const FIXED32 = 5

const PREFIX = prefixFormat('varint')

/** Bytes of a varint of 64 bits, the longest that a protobuf may hold. */
const VARINT_BYTES_MAX = 10

/** The bytes of a message. Those of several, one behind the other, are the bytes of one that tells all of them. */
export function encodeIdentify(message: IdentifyMessage): Uint8Array {
  const parts: Uint8Array[] = []
  const field = (number: number, value: Uint8Array | undefined): void => {
    if (value !== undefined) parts.push(fieldHead(number, value.length), value)
  }
  const text = (number: number, value: string | undefined): void =>
    field(number, value === undefined ? undefined : Buffer.from(value))
  field(FIELD.publicKey, message.publicKey)
  for (const addr of message.listenAddrs ?? []) field(FIELD.listenAddrs, addressBytes(addr))
  for (const protocol of message.protocols ?? []) text(FIELD.protocols, protocol)
  if (message.observedAddr !== undefined) {
    field(FIELD.observedAddr, addressBytes(message.observedAddr))
  }
  text(FIELD.protocolVersion, message.protocolVersion)
  text(FIELD.agentVersion, message.agentVersion)
  field(FIELD.signedPeerRecord, message.signedPeerRecord)
  return Buffer.concat(parts)
}

/** An encoded message, which also tells `observedAddr`, behind its length: as it goes on the wire. */
export function frameIdentify(message: Uint8Array, observedAddr: string): Uint8Array {
  const address = addressBytes(observedAddr)
  const head = fieldHead(FIELD.observedAddr, address.length)
  const length = message.length + head.length + address.length
  const framed = Buffer.allocUnsafe(prefixLength(PREFIX, length) + length)
  const start = writePrefix(PREFIX, length, framed)
  framed.set(message, start)
  framed.set(head, start + message.length)
  framed.set(address, start + message.length + head.length)
  return framed
}

/**
 * Read everything that a peer said, message by message.
 *
 * Throws `MsgioError` for no message, for one too many and for one that is broken, `MessageTooLargeError` for one
 * that is too long.
 */
export function readIdentify(bytes: Uint8Array): IdentifyMessage {
  const message: IdentifyMessage = {}
  const input = new Fields(bytes)
  let count = 0
  for (; !input.isEmpty; count += 1) {
    if (count === MESSAGES_MAX) {
      throw new MsgioError(`identify took more than ${MESSAGES_MAX} messages`)
    }
    const length = input.varint()
    if (length > IDENTIFY_MESSAGE_BYTES_MAX) {
      throw new MessageTooLargeError(
        `message of ${length} bytes exceeds limit of ${IDENTIFY_MESSAGE_BYTES_MAX}`
      )
    }
    mergeIdentify(message, input.bytes(length))
  }
  if (count === 0) throw new MsgioError('the peer said nothing to identify')
  return message
}

/**
 * Read a message on top of what earlier ones told: single fields replace, repeated ones add.
 *
 * Throws `MsgioError` for a broken message and for one protocol or address too many. An address that this
 * package's multiaddr does not know is left out.
 */
export function mergeIdentify(into: IdentifyMessage, bytes: Uint8Array): void {
  const fields = new Fields(bytes)
  while (!fields.isEmpty) readField(into, fields)
}

function readField(into: IdentifyMessage, fields: Fields): void {
  const tag = fields.varint()
  const wireType = tag % (1 << WIRE_TYPE_BITS)
  if (wireType !== LENGTH_DELIMITED) {
    fields.skip(wireType)
    return
  }
  const length = fields.varint()
  switch (Math.floor(tag / (1 << WIRE_TYPE_BITS))) {
    case FIELD.publicKey:
      into.publicKey = Uint8Array.from(fields.bytes(length))
      return
    case FIELD.listenAddrs: {
      into.listenAddrs ??= []
      checkRoom('listenAddrs', into.listenAddrs.length, ADDRESSES_MAX)
      const address = addressOf(fields.bytes(length))
      if (address !== undefined) into.listenAddrs.push(address)
      return
    }
    case FIELD.protocols:
      into.protocols ??= []
      checkRoom('protocols', into.protocols.length, PROTOCOLS_MAX)
      into.protocols.push(fields.text(length))
      return
    case FIELD.observedAddr: {
      const observed = addressOf(fields.bytes(length))
      if (observed !== undefined) into.observedAddr = observed
      return
    }
    case FIELD.protocolVersion:
      into.protocolVersion = fields.text(length)
      return
    case FIELD.agentVersion:
      into.agentVersion = fields.text(length)
      return
    case FIELD.signedPeerRecord:
      into.signedPeerRecord = Uint8Array.from(fields.bytes(length))
      return
    default:
      fields.advance(length)
  }
}

/** A protobuf that is read from its front. */
class Fields {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  get isEmpty(): boolean {
    return this.#at === this.#bytes.length
  }

  varint(): number {
    let value = 0
    for (let shift = 0; shift < VARINT_BYTES_MAX; shift += 1) {
      const byte = this.#bytes[this.advance(1)] as number
      value += (byte & 0x7f) * 0x80 ** shift
      if (byte < 0x80) return value
    }
    throw new MsgioError('the identify message holds a number of more than 64 bits')
  }

  /** The next bytes where they are. */
  bytes(length: number): Buffer {
    const start = this.advance(length)
    return this.#bytes.subarray(start, this.#at)
  }

  text(length: number): string {
    const start = this.advance(length)
    return this.#bytes.toString('utf8', start, this.#at)
  }

  /** Leave out a value that is not behind a length. */
  skip(wireType: number): void {
    if (wireType === VARINT) this.varint()
    else if (wireType === FIXED64) this.advance(8)
    else if (wireType === FIXED32) this.advance(4)
    // Groups are obsolete, and nested: nobody sends them in good faith.
    else throw new MsgioError(`the identify message holds a field of type ${wireType}`)
  }

  /** Go on behind the next `length` bytes; answers where they start. */
  advance(length: number): number {
    const start = this.#at
    if (length > this.#bytes.length - start) {
      throw new MsgioError('the identify message ends inside of a field')
    }
    this.#at += length
    return start
  }
}

/** What stands in front of the bytes of a field. */
function fieldHead(number: number, length: number): Uint8Array {
  const head = Buffer.allocUnsafe(1 + prefixLength(PREFIX, length))
  head[0] = (number << WIRE_TYPE_BITS) | LENGTH_DELIMITED
  writePrefix(PREFIX, length, head.subarray(1))
  return head
}

function checkRoom(field: string, count: number, max: number): void {
  if (count >= max) throw new MsgioError(`identify tells of more than ${max} ${field}`)
}
