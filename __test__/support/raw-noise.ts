/**
 * Noise_XX_25519_ChaChaPoly_SHA256 with the payloads of libp2p in both roles, by `node:crypto` alone, so that a
 * test can get any part of it wrong.
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

/** What a raw peer may do wrong in a handshake; each hook changes what honesty would send. */
export interface Misconduct {
  /** Sent instead of our ephemeral key: a low-order point, so that every secret with it is zero. */
  readonly ephemeral?: Buffer
  /** The same for our static key; it is what we sign. */
  readonly static?: Buffer
  readonly signature?: (signature: Buffer) => Buffer
  readonly payload?: (payload: Buffer) => Buffer
  /** Changes the frame of message 1, 2 or 3, length prefix and all. */
  readonly frame?: (frame: Buffer, message: number) => Buffer
}

interface Keys {
  /** None where what we show is a low-order point. */
  readonly secret: KeyObject | undefined
  readonly shown: Buffer
}

/** What carries the messages, without their length. */
export interface MessagePipe {
  send(...bytes: readonly Uint8Array[]): void
  take(count: number): Promise<Buffer>
}

/** Keys of both directions. */
export interface Split {
  readonly outbound: Buffer
  readonly inbound: Buffer
}

/** One handshake. */
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
    this.#mixHash(this.#ephemeral.shown)
    this.#mixHash(Buffer.alloc(0))
    this.#sendMessage(1, this.#ephemeral.shown)

    const second = await this.#receiveMessage()
    const theirs = this.#readEphemeral(second)
    this.#mixKey(secret(this.#ephemeral, theirs))
    const theirStatic = publicKey(this.#open(second.subarray(32, 80)))
    this.#mixKey(secret(this.#ephemeral, theirStatic))
    this.#open(second.subarray(80))

    const sealed = this.#seal(this.#static.shown)
    this.#mixKey(secret(this.#static, theirs))
    this.#sendMessage(3, sealed, this.#seal(this.#payload()))
    const [outbound, inbound] = this.#split()
    return { outbound, inbound }
  }

  async respond(): Promise<Split> {
    const theirs = this.#readEphemeral(await this.#receiveMessage())
    this.#mixHash(Buffer.alloc(0))

    this.#mixHash(this.#ephemeral.shown)
    this.#mixKey(secret(this.#ephemeral, theirs))
    const sealed = this.#seal(this.#static.shown)
    this.#mixKey(secret(this.#static, theirs))
    this.#sendMessage(2, this.#ephemeral.shown, sealed, this.#seal(this.#payload()))

    const third = await this.#receiveMessage()
    const theirStatic = publicKey(this.#open(third.subarray(0, 48)))
    this.#mixKey(secret(this.#ephemeral, theirStatic))
    this.#open(third.subarray(48))
    const [inbound, outbound] = this.#split()
    return { outbound, inbound }
  }

  /** Our identity, its signature of the static key, and yamux as the early muxer. */
  #payload(): Buffer {
    const identity = generateKeyPairSync('ed25519')
    const key = Buffer.concat([Buffer.from([8, 1, 18, 32]), shownBytes(identity.publicKey)])
    const signed = Buffer.concat([Buffer.from('noise-libp2p-static-key:'), this.#static.shown])
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
    const shown = message.subarray(0, 32)
    this.#mixHash(shown)
    return publicKey(shown)
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

function x25519(shown: Buffer | undefined): Keys {
  if (shown !== undefined) return { secret: undefined, shown }
  const { privateKey, publicKey } = generateKeyPairSync('x25519')
  return { secret: privateKey, shown: shownBytes(publicKey) }
}

function secret(ours: Keys, theirs: KeyObject): Buffer {
  if (ours.secret === undefined) return Buffer.alloc(32)
  return diffieHellman({ privateKey: ours.secret, publicKey: theirs })
}

/** The 32 bytes at the end of every SPKI of these curves. */
function shownBytes(key: KeyObject): Buffer {
  return key.export({ format: 'der', type: 'spki' }).subarray(-32)
}

function publicKey(shown: Buffer): KeyObject {
  const prefix = Buffer.from('302a300506032b656e032100', 'hex')
  return createPublicKey({ key: Buffer.concat([prefix, shown]), format: 'der', type: 'spki' })
}

/** `plaintext` as the record or message number `count`. */
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

/** The opposite of {@link seal}; throws for what was not sealed so. */
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

/** A length-delimited protobuf field. */
function field(number: number, bytes: Uint8Array): Buffer {
  return Buffer.concat([varint((number << 3) | 2), varint(bytes.length), bytes])
}

export function varint(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80)
  return Buffer.from([...bytes, rest])
}
