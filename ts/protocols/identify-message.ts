/**
 * The identify message: a protobuf of optional fields. Spec: libp2p identify.
 *
 * Encoder and decoder are specialized, as every connection sends and reads one: a generic protobuf reader allocated
 * more garbage than the rest of a connection.
 */
import { MessageTooLargeError, MsgioError } from '../errors.ts'
import { addressBytes, isOfThisHost, sentAddressOf } from '../identity/address.ts'
import { prefixFormat, prefixLength, writePrefix } from '../io/framing.ts'

/** Maximum bytes of one message, as in go. */
export const IDENTIFY_MESSAGE_BYTES_MAX = 8 * 1024

/** Maximum messages received. */
const MESSAGES_MAX = 10

/** Maximum messages sent: go reads ten times, and the last read must be the end. */
const MESSAGES_SENT_MAX = 9

/** Maximum bytes of the first message sent: rust reads no more. */
const FIRST_PART_BYTES_MAX = 4 * 1024

/** Bytes up to which the signed record is part of the first message, as in go: older peers of it read no more. */
const LEGACY_BYTES_MAX = 2 * 1024

/** Bytes of the first message reserved for the observed address of the peer. */
const OBSERVED_BYTES_MAX = 128

/** Addresses sent before protocols, so that a peer which only reads the first message gets most of both. */
const FIRST_ADDRESSES = 16

/** Maximum protocols received and sent, as in go. */
const PROTOCOLS_MAX = 1_024

/** Maximum addresses received and sent, as in go. */
const ADDRESSES_MAX = 500

/** Merged contents of one or several messages. Addresses are text; absent fields are undefined. */
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
const NO_BYTES = Buffer.alloc(0)

/** Maximum bytes of a protobuf varint, of 64 bits. */
const VARINT_BYTES_MAX = 10

/** Encodes a message. Concatenated encodings are the encoding of the merged message. */
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

/**
 * Splits a message so that every peer can read it. Some peers read only the first part, or 4 KiB of it, so that has the
 * most important fields and is no longer; go reads nine parts of 8 KiB, and fields beyond are omitted. In a long message the
 * signed record is a part of its own, the second one, as in go.
 */
export function splitIdentify(message: IdentifyMessage): Uint8Array[] {
  const { listenAddrs = [], protocols = [], signedPeerRecord, ...single } = message
  const first = listenAddrs.slice(0, FIRST_ADDRESSES)
  const repeated = [
    ...first.map((addr) => encodeIdentify({ listenAddrs: [addr] })),
    ...protocols.slice(0, PROTOCOLS_MAX).map((name) => encodeIdentify({ protocols: [name] })),
    ...listenAddrs
      .slice(first.length, ADDRESSES_MAX)
      .map((addr) => encodeIdentify({ listenAddrs: [addr] }))
  ]
  const record = signedPeerRecord === undefined ? undefined : encodeIdentify({ signedPeerRecord })
  const unsigned = encodeIdentify(single)
  const total = [unsigned, ...repeated, record].reduce(
    (sum, field) => sum + (field?.length ?? 0),
    0
  )
  const isApart = record !== undefined && total + OBSERVED_BYTES_MAX > LEGACY_BYTES_MAX
  const head = record === undefined || isApart ? [unsigned] : [unsigned, record]
  const parts: Uint8Array[][] = [head]
  const partsMax = MESSAGES_SENT_MAX - (isApart ? 1 : 0)
  let room = FIRST_PART_BYTES_MAX - OBSERVED_BYTES_MAX
  for (const field of head) room -= field.length
  for (const field of repeated) {
    if (field.length > room) {
      if (parts.length === partsMax) break
      parts.push([])
      room = IDENTIFY_MESSAGE_BYTES_MAX
    }
    parts.at(-1)?.push(field)
    room -= field.length
  }
  if (isApart) parts.splice(1, 0, [record])
  return parts.map((fields) => Buffer.concat(fields))
}

/** Encodes the parts of a message with their lengths, as sent, and adds `observedAddr` to the first one. */
export function frameIdentify(parts: readonly Uint8Array[], observedAddr: string): Uint8Array {
  // It means something to the peer only if other hosts know it; empty if the application's muxer has none.
  const address = isOfThisHost(observedAddr) ? NO_BYTES : addressBytes(observedAddr)
  const observed =
    address.length === 0 ? [] : [fieldHead(FIELD.observedAddr, address.length), address]
  const framed = parts.map((part, index) => frame(index === 0 ? [part, ...observed] : [part]))
  const [first] = framed
  return framed.length === 1 && first !== undefined ? first : Buffer.concat(framed)
}

function frame(fields: readonly Uint8Array[]): Uint8Array {
  let length = 0
  for (const field of fields) length += field.length
  const framed = Buffer.allocUnsafe(prefixLength(PREFIX, length) + length)
  let at = writePrefix(PREFIX, length, framed)
  for (const field of fields) {
    framed.set(field, at)
    at += field.length
  }
  return framed
}

/** Incremental decoder of all messages of a peer, which reports malformed input as soon as possible. */
export class IdentifyReader {
  readonly #message: IdentifyMessage = {}
  #count = 0
  // The received part of a message, including its length.
  #pending: Buffer = NO_BYTES

  /**
   * Decodes bytes. Throws `MsgioError` for more than ten messages, a malformed length or a malformed message,
   * `MessageTooLargeError` for one over 8 KiB.
   */
  take(bytes: Uint8Array): void {
    this.#pending =
      this.#pending.length === 0
        ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
        : Buffer.concat([this.#pending, bytes])
    for (;;) {
      const prefix = this.#prefix()
      if (prefix === undefined) return
      const end = prefix.bytes + prefix.length
      if (this.#pending.length < end) return
      mergeIdentify(this.#message, this.#pending.subarray(prefix.bytes, end))
      this.#pending = this.#pending.subarray(end)
      this.#count += 1
    }
  }

  /** Returns the merged message at the end of the stream. Throws `MsgioError` inside a message, or without one. */
  end(): IdentifyMessage {
    if (this.#pending.length > 0) throw new MsgioError('identify ended inside a message')
    if (this.#count === 0) throw new MsgioError('the peer sent no identify message')
    return this.#message
  }

  /** Returns the length of the next message and the size of its prefix; undefined while that is incomplete. */
  #prefix(): { readonly bytes: number; readonly length: number } | undefined {
    if (this.#pending.length === 0) return undefined
    if (this.#count === MESSAGES_MAX) {
      throw new MsgioError(`identify took more than ${MESSAGES_MAX} messages`)
    }
    const [low = 0, high] = this.#pending
    if (low < 0x80) return { bytes: 1, length: low }
    if (high === undefined) return undefined
    // The limit has two bytes: a third one makes the length too large, or not minimal.
    const length = (low & 0x7f) | ((high & 0x7f) << 7)
    if (high === 0) throw new MsgioError('the length of an identify message is not minimal')
    if (high >= 0x80 || length > IDENTIFY_MESSAGE_BYTES_MAX) {
      throw new MessageTooLargeError(
        `identify message exceeds limit of ${IDENTIFY_MESSAGE_BYTES_MAX} bytes`
      )
    }
    return { bytes: 2, length }
  }
}

/**
 * Decodes a message into earlier ones: singular fields replace, repeated ones append.
 *
 * Throws `MsgioError` for a malformed message. Skips malformed or unknown addresses, and protocols and addresses beyond
 * their limits.
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
      if (into.listenAddrs.length === ADDRESSES_MAX) break
      const address = sentAddressOf(fields.bytes(length))
      if (address !== undefined) into.listenAddrs.push(address)
      return
    }
    case FIELD.protocols:
      into.protocols ??= []
      if (into.protocols.length === PROTOCOLS_MAX) break
      into.protocols.push(fields.text(length))
      return
    case FIELD.observedAddr: {
      const observed = sentAddressOf(fields.bytes(length))
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
  }
  fields.advance(length)
}

/** A cursor over the fields of a protobuf. */
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
      // In range: `advance` throws otherwise.
      const byte = this.#bytes[this.advance(1)] as number
      value += (byte & 0x7f) * 0x80 ** shift
      if (byte < 0x80) return value
    }
    throw new MsgioError('the identify message holds a number of more than 64 bits')
  }

  /** Returns a view of the next bytes. */
  bytes(length: number): Buffer {
    const start = this.advance(length)
    return this.#bytes.subarray(start, this.#at)
  }

  text(length: number): string {
    const start = this.advance(length)
    return this.#bytes.toString('utf8', start, this.#at)
  }

  /** Skips a value without a length. */
  skip(wireType: number): void {
    if (wireType === VARINT) this.varint()
    else if (wireType === FIXED64) this.advance(8)
    else if (wireType === FIXED32) this.advance(4)
    // Groups are obsolete, and nested: no implementation sends them.
    else throw new MsgioError(`the identify message holds a field of type ${wireType}`)
  }

  /** Advances past the next `length` bytes; returns their offset. */
  advance(length: number): number {
    const start = this.#at
    if (length > this.#bytes.length - start) {
      throw new MsgioError('the identify message ends inside a field')
    }
    this.#at += length
    return start
  }
}

/** Encodes the tag and length of a field. */
function fieldHead(number: number, length: number): Uint8Array {
  const head = Buffer.allocUnsafe(1 + prefixLength(PREFIX, length))
  head[0] = (number << WIRE_TYPE_BITS) | LENGTH_DELIMITED
  writePrefix(PREFIX, length, head.subarray(1))
  return head
}
