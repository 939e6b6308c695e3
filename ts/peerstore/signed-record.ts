/**
 * Signed peer records: a protobuf of the peer, a sequence number and its addresses, in an envelope with the key and the
 * signature of the peer. Specs: libp2p RFC 0002 (signed envelopes) and RFC 0003 (routing records).
 */
import { ProtobufError, ProtobufReader, ProtobufWriter } from '../base/protobuf.ts'
import { InvalidRecordError } from '../errors.ts'
import { addressBytes, sentAddressOf } from '../identity/address.ts'
import type { Identity } from '../identity/keys.ts'
import { native } from '../native/environment.ts'

const DOMAIN = Buffer.from('libp2p-peer-record')
/** The multicodec of peer records. */
const PAYLOAD_TYPE = Uint8Array.of(0x03, 0x01)

/** Maximum bytes of an envelope: one identify message, in which records arrive. */
export const ENVELOPE_BYTES_MAX = 8 * 1024

/** Maximum addresses taken from a record, as from an identify message. */
const ADDRESSES_MAX = 500

const ENVELOPE = { publicKey: 1, payloadType: 2, payload: 3, signature: 5 } as const
const RECORD = { peer: 1, seq: 2, address: 3 } as const
const ADDRESS = { multiaddr: 1 } as const

/** A record whose signature has been verified. */
export interface PeerRecord {
  readonly peer: string
  readonly seq: bigint
  /** As text. Those of unknown kinds are left out. */
  readonly addresses: readonly string[]
  /** A libp2p protobuf. */
  readonly publicKey: Uint8Array
}

/** Returns the envelope of a record of this node. */
export function signPeerRecord(
  identity: Identity,
  addresses: readonly string[],
  seq: bigint
): Uint8Array {
  const { multihash } = native.peerOfKey(identity.publicKeyBytes)
  const record = new ProtobufWriter()
  record.bytes(RECORD.peer, multihash)
  record.varint(RECORD.seq, seq)
  for (const address of addresses) {
    const entry = new ProtobufWriter()
    entry.bytes(ADDRESS.multiaddr, addressBytes(address))
    record.bytes(RECORD.address, entry.end())
  }
  const payload = record.end()
  const envelope = new ProtobufWriter()
  envelope.bytes(ENVELOPE.publicKey, identity.publicKeyBytes)
  envelope.bytes(ENVELOPE.payloadType, PAYLOAD_TYPE)
  envelope.bytes(ENVELOPE.payload, payload)
  envelope.bytes(ENVELOPE.signature, identity.sign(signedBytes(payload)))
  return envelope.end()
}

/** Returns the verified record of an envelope. Throws `InvalidRecordError`. */
export function openPeerRecord(envelope: Uint8Array): PeerRecord {
  try {
    return opened(envelope)
  } catch (err) {
    if (err instanceof ProtobufError) throw new InvalidRecordError(err.message)
    throw err
  }
}

function opened(envelope: Uint8Array): PeerRecord {
  if (envelope.length > ENVELOPE_BYTES_MAX) {
    throw new InvalidRecordError(
      `a signed record of ${envelope.length} bytes exceeds the limit of ${ENVELOPE_BYTES_MAX}`
    )
  }
  let publicKey: Uint8Array | undefined
  let payloadType: Uint8Array | undefined
  let payload: Uint8Array = new Uint8Array(0)
  let signature: Uint8Array = payload
  const fields = new ProtobufReader(envelope)
  while (fields.next()) {
    if (fields.is(ENVELOPE.publicKey)) publicKey = Uint8Array.from(fields.bytes())
    else if (fields.is(ENVELOPE.payloadType)) payloadType = fields.bytes()
    else if (fields.is(ENVELOPE.payload)) payload = fields.bytes()
    else if (fields.is(ENVELOPE.signature)) signature = fields.bytes()
    else fields.skip()
  }
  if (payloadType === undefined || Buffer.compare(payloadType, PAYLOAD_TYPE) !== 0) {
    throw new InvalidRecordError('the envelope holds no peer record')
  }
  if (publicKey === undefined || !isSigned(publicKey, payload, signature)) {
    throw new InvalidRecordError('the signature of the record is not that of its key')
  }
  return recordOf(payload, publicKey)
}

/**
 * Returns the sequence number of an envelope that was verified when it was stored. Throws `ProtobufError` for a malformed
 * one.
 */
export function recordSeq(envelope: Uint8Array): bigint {
  let seq = 0n
  const fields = new ProtobufReader(envelope)
  while (fields.next()) {
    if (!fields.is(ENVELOPE.payload)) {
      fields.skip()
      continue
    }
    const payload = new ProtobufReader(fields.bytes())
    while (payload.next()) {
      if (payload.isNumber(RECORD.seq)) seq = payload.bigint()
      else payload.skip()
    }
  }
  return seq
}

function recordOf(payload: Uint8Array, publicKey: Uint8Array): PeerRecord {
  const { peerId, multihash } = native.peerOfKey(publicKey)
  let isOfKey = false
  let seq = 0n
  const addresses: string[] = []
  const fields = new ProtobufReader(payload)
  while (fields.next()) {
    if (fields.is(RECORD.peer)) isOfKey = Buffer.compare(fields.bytes(), multihash) === 0
    else if (fields.isNumber(RECORD.seq)) seq = fields.bigint()
    else if (fields.is(RECORD.address) && addresses.length < ADDRESSES_MAX) {
      const address = addressIn(fields.bytes())
      if (address !== undefined) addresses.push(address)
    } else fields.skip()
  }
  if (!isOfKey) throw new InvalidRecordError('the record is of another peer than its key')
  return { peer: peerId, seq, addresses, publicKey }
}

function addressIn(bytes: Uint8Array): string | undefined {
  const fields = new ProtobufReader(bytes)
  let address: string | undefined
  while (fields.next()) {
    if (fields.is(ADDRESS.multiaddr)) address = sentAddressOf(fields.bytes())
    else fields.skip()
  }
  return address
}

function isSigned(publicKey: Uint8Array, payload: Uint8Array, signature: Uint8Array): boolean {
  try {
    return native.verify(publicKey, signedBytes(payload), signature)
  } catch (err) {
    throw new InvalidRecordError('the key of the record is malformed', { cause: err })
  }
}

/** Returns what is signed: domain, type and payload, each with its length, against signatures of other records. */
function signedBytes(payload: Uint8Array): Uint8Array {
  const signed = new ProtobufWriter()
  for (const part of [DOMAIN, PAYLOAD_TYPE, payload]) signed.prefixed(part)
  return signed.end()
}
