/**
 * The message of identify, on the wire a protobuf of optional fields.
 *
 * Loaded with the first identification, and with it the protobuf package.
 */
import type { Multiaddr } from '@multiformats/multiaddr'
import { type Reader, reader, writer } from 'protons-runtime'
import { MsgioError } from '../errors.ts'
import { loadMultiaddrs } from '../identity/load.ts'

/** Bytes of one message at most, as go has it. */
export const IDENTIFY_MESSAGE_BYTES_MAX = 8 * 1024

/** Protocols that a peer may tell of, as go has it. */
const PROTOCOLS_MAX = 1_024

/** Addresses that a peer may tell of, as go has it. */
const ADDRESSES_MAX = 500

/** What is told in one or several messages; a field that was not told is undefined. */
export interface IdentifyMessage {
  publicKey?: Uint8Array
  listenAddrs?: Multiaddr[]
  protocols?: string[]
  observedAddr?: Multiaddr
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
const LENGTH_DELIMITED = 2
// Obsolete, and read recursively: nobody sends them in good faith.
const GROUP_START = 3
const GROUP_END = 4

/** The bytes of a message. */
export function encodeIdentify(message: IdentifyMessage): Uint8Array {
  const out = writer()
  const bytes = (field: number, value: Uint8Array | undefined): void => {
    if (value !== undefined) out.uint32((field << WIRE_TYPE_BITS) | LENGTH_DELIMITED).bytes(value)
  }
  const text = (field: number, value: string | undefined): void => {
    if (value !== undefined) out.uint32((field << WIRE_TYPE_BITS) | LENGTH_DELIMITED).string(value)
  }
  bytes(FIELD.publicKey, message.publicKey)
  for (const addr of message.listenAddrs ?? []) bytes(FIELD.listenAddrs, addr.bytes)
  for (const protocol of message.protocols ?? []) text(FIELD.protocols, protocol)
  bytes(FIELD.observedAddr, message.observedAddr?.bytes)
  text(FIELD.protocolVersion, message.protocolVersion)
  text(FIELD.agentVersion, message.agentVersion)
  bytes(FIELD.signedPeerRecord, message.signedPeerRecord)
  return out.finish()
}

/**
 * Read a message on top of what earlier ones told: single fields replace, repeated ones add.
 *
 * Throws `MsgioError` for a broken message and for one protocol or address too many. An address that this
 * package's multiaddr does not know is left out.
 */
export function mergeIdentify(into: IdentifyMessage, bytes: Uint8Array): void {
  try {
    const fields = reader(bytes)
    while (fields.pos < fields.len) readField(into, fields)
  } catch (err) {
    if (err instanceof MsgioError) throw err
    throw new MsgioError('the identify message is not a protobuf', { cause: err })
  }
}

function readField(into: IdentifyMessage, fields: Reader): void {
  const tag = fields.uint32()
  const wireType = tag & ((1 << WIRE_TYPE_BITS) - 1)
  if (wireType === GROUP_START || wireType === GROUP_END) {
    throw new MsgioError('the identify message holds a group')
  }
  if (wireType !== LENGTH_DELIMITED) {
    fields.skipType(wireType)
    return
  }
  switch (tag >>> WIRE_TYPE_BITS) {
    case FIELD.publicKey:
      into.publicKey = fields.bytes()
      return
    case FIELD.listenAddrs:
      into.listenAddrs = withAddress(into.listenAddrs ?? [], fields.bytes())
      return
    case FIELD.protocols:
      into.protocols ??= []
      checkRoom('protocols', into.protocols.length, PROTOCOLS_MAX)
      into.protocols.push(fields.string())
      return
    case FIELD.observedAddr: {
      const [observed] = withAddress([], fields.bytes())
      if (observed !== undefined) into.observedAddr = observed
      return
    }
    case FIELD.protocolVersion:
      into.protocolVersion = fields.string()
      return
    case FIELD.agentVersion:
      into.agentVersion = fields.string()
      return
    case FIELD.signedPeerRecord:
      into.signedPeerRecord = fields.bytes()
      return
    default:
      fields.skipType(wireType)
  }
}

function withAddress(known: Multiaddr[], bytes: Uint8Array): Multiaddr[] {
  checkRoom('listenAddrs', known.length, ADDRESSES_MAX)
  try {
    // Its text is what everybody asks for; an address that has none is of a kind we cannot dial.
    const address = loadMultiaddrs().multiaddr(bytes)
    address.toString()
    known.push(address)
  } catch {
    // A newer peer may listen on transports we have not heard of.
  }
  return known
}

function checkRoom(field: string, count: number, max: number): void {
  if (count >= max) throw new MsgioError(`identify tells of more than ${max} ${field}`)
}
