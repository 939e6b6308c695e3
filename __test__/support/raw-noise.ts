/**
 * Noise_XX_25519_ChaChaPoly_SHA256 with the payloads of libp2p in both roles, on `node:crypto` alone, so that a
 * test can corrupt any part of it.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
  sign
} from 'node:crypto'

/** Faults of a raw peer in a handshake; each hook changes what an honest peer would send. */
export interface Misconduct {
  /** Sent instead of our ephemeral key: a low-order point, so that every secret with it is zero. */
  readonly ephemeral?: Buffer
  /** The same for our static key; also the key that we sign. */
  readonly static?: Buffer
  readonly signature?: (signature: Buffer) => Buffer
  readonly payload?: (payload: Buffer) => Buffer
  /** Changes the frame of message 1, 2 or 3, including its length prefix. */
  readonly frame?: (frame: Buffer, message: number) => Buffer
}

interface Keys {
  /** Undefined if our public key is a low-order point. */
  readonly secret: KeyObject | undefined
  readonly point: Buffer
}

/** Byte transport of the handshake. */
export interface MessagePipe {
  send(...bytes: readonly Uint8Array[]): void
  take(count: number): Promise<Buffer>
}

/** Cipher keys of both directions. */
export interface Split {
  readonly outbound: Buffer
  readonly inbound: Buffer
}

/** One Noise XX handshake. */
export class Handshake {
  readonly #peer: MessagePipe
  readonly #misconduct: Misconduct
  readonly #ephemeral: Keys
  readonly #static: Keys
  #hash: Buffer = Buffer.from('Noise_XX_25519_ChaChaPoly_SHA256')
  #chaining: Buffer = this.#hash
  #key: Buffer | undefined
  #nonce = 0

  constructor(peer: MessagePipe, misconduct: Misconduct) {
    this.#peer = peer
    this.#misconduct = misconduct
    this.#ephemeral = x25519(misconduct.ephemeral)
    this.#static = x25519(misconduct.static)
    this.#mixHash(Buffer.alloc(0))
  }

  async initiate(): Promise<Split> {
    this.#mixHash(this.#ephemeral.point)
    this.#mixHash(Buffer.alloc(0))
    this.#sendMessage(1, this.#ephemeral.point)

    const second = await this.#receiveMessage()
    const theirs = this.#readEphemeral(second)
    this.#mixKey(secret(this.#ephemeral, theirs))
    const theirStatic = publicKey(this.#open(second.subarray(32, 80)))
    this.#mixKey(secret(this.#ephemeral, theirStatic))
    this.#open(second.subarray(80))

    const sealed = this.#seal(this.#static.point)
    this.#mixKey(secret(this.#static, theirs))
    this.#sendMessage(3, sealed, this.#seal(this.#payload()))
    const [outbound, inbound] = this.#split()
    return { outbound, inbound }
  }

  async respond(): Promise<Split> {
    const theirs = this.#readEphemeral(await this.#receiveMessage())
    this.#mixHash(Buffer.alloc(0))

    this.#mixHash(this.#ephemeral.point)
    this.#mixKey(secret(this.#ephemeral, theirs))
    const sealed = this.#seal(this.#static.point)
    this.#mixKey(secret(this.#static, theirs))
    this.#sendMessage(2, this.#ephemeral.point, sealed, this.#seal(this.#payload()))

    const third = await this.#receiveMessage()
    const theirStatic = publicKey(this.#open(third.subarray(0, 48)))
    this.#mixKey(secret(this.#ephemeral, theirStatic))
    this.#open(third.subarray(48))
    const [inbound, outbound] = this.#split()
    return { outbound, inbound }
  }

  /** Encodes our identity, its signature of the static key, and yamux as the early muxer. */
  #payload(): Buffer {
    const identity = generateKeyPairSync('ed25519')
    const key = Buffer.concat([Buffer.from([8, 1, 18, 32]), rawPublicKey(identity.publicKey)])
    const signed = Buffer.concat([Buffer.from('noise-libp2p-static-key:'), this.#static.point])
    const honest = sign(null, signed, identity.privateKey)
    const signature = this.#misconduct.signature?.(honest) ?? honest
    const payload = Buffer.concat([
      field(1, key),
      field(2, signature),
      field(4, field(2, Buffer.from('/yamux/1.0.0')))
    ])
    return this.#misconduct.payload?.(payload) ?? payload
  }

  #sendMessage(message: number, ...parts: readonly Buffer[]): void {
    const body = Buffer.concat(parts)
    const frame = Buffer.concat([uint16(body.length), body])
    this.#peer.send(this.#misconduct.frame?.(frame, message) ?? frame)
  }

  async #receiveMessage(): Promise<Buffer> {
    return this.#peer.take((await this.#peer.take(2)).readUInt16BE())
  }

  #readEphemeral(message: Buffer): KeyObject {
    const point = message.subarray(0, 32)
    this.#mixHash(point)
    return publicKey(point)
  }

  #mixHash(bytes: Uint8Array): void {
    this.#hash = createHash('sha256').update(this.#hash).update(bytes).digest()
  }

  #mixKey(secret: Uint8Array): void {
    ;[this.#chaining, this.#key] = this.#expand(secret)
    this.#nonce = 0
  }

  #split(): [Buffer, Buffer] {
    return this.#expand(Buffer.alloc(0))
  }

  #expand(secret: Uint8Array): [Buffer, Buffer] {
    const key = hmac(this.#chaining, secret)
    const first = hmac(key, Buffer.of(1))
    return [first, hmac(key, first, Buffer.of(2))]
  }

  #seal(plaintext: Buffer): Buffer {
    const sealed = seal(this.#key as Buffer, this.#nonce, plaintext, this.#hash)
    this.#nonce += 1
    this.#mixHash(sealed)
    return sealed
  }

  #open(sealed: Buffer): Buffer {
    const plaintext = open(this.#key as Buffer, this.#nonce, sealed, this.#hash)
    this.#nonce += 1
    this.#mixHash(sealed)
    return plaintext
  }
}

function x25519(point: Buffer | undefined): Keys {
  if (point !== undefined) return { secret: undefined, point }
  const { privateKey, publicKey } = generateKeyPairSync('x25519')
  return { secret: privateKey, point: rawPublicKey(publicKey) }
}

function secret(ours: Keys, theirs: KeyObject): Buffer {
  if (ours.secret === undefined) return Buffer.alloc(32)
  return diffieHellman({ privateKey: ours.secret, publicKey: theirs })
}

/** Returns the raw key: the 32 bytes at the end of every SPKI of these curves. */
function rawPublicKey(key: KeyObject): Buffer {
  return key.export({ format: 'der', type: 'spki' }).subarray(-32)
}

function publicKey(point: Buffer): KeyObject {
  const prefix = Buffer.from('302a300506032b656e032100', 'hex')
  return createPublicKey({ key: Buffer.concat([prefix, point]), format: 'der', type: 'spki' })
}

/** Seals `plaintext` as record or message number `count`. */
export function seal(
  key: Buffer,
  count: number,
  plaintext: Buffer,
  associated: Buffer = Buffer.alloc(0)
): Buffer {
  const cipher = createCipheriv('chacha20-poly1305', key, nonce(count), { authTagLength: 16 })
  cipher.setAAD(associated, { plaintextLength: plaintext.length })
  return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
}

/** Reverses {@link seal}; throws if the authentication tag does not match. */
export function open(
  key: Buffer,
  count: number,
  sealed: Buffer,
  associated: Buffer = Buffer.alloc(0)
): Buffer {
  const length = sealed.length - 16
  const decipher = createDecipheriv('chacha20-poly1305', key, nonce(count), { authTagLength: 16 })
  decipher.setAAD(associated, { plaintextLength: length })
  decipher.setAuthTag(sealed.subarray(length))
  return Buffer.concat([decipher.update(sealed.subarray(0, length)), decipher.final()])
}

function nonce(count: number): Buffer {
  const bytes = Buffer.alloc(12)
  bytes.writeBigUInt64LE(BigInt(count), 4)
  return bytes
}

function hmac(key: Uint8Array, ...parts: readonly Uint8Array[]): Buffer {
  const hash = createHmac('sha256', key)
  for (const part of parts) hash.update(part)
  return hash.digest()
}

export function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(value)
  return bytes
}

/** Encodes a length-delimited protobuf field. */
function field(number: number, bytes: Uint8Array): Buffer {
  return Buffer.concat([varint((number << 3) | 2), varint(bytes.length), bytes])
}

export function varint(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80)
  return Buffer.from([...bytes, rest])
}
