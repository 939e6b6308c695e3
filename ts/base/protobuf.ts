/** Fields of protobufs, read and written one at a time: the few formats of this package need no schema compiler. */
import { concat } from './bytes.ts'

const WIRE_TYPE_BITS = 3
const VARINT = 0
const FIXED64 = 1
const LENGTH_DELIMITED = 2
const FIXED32 = 5

/** Maximum bytes of a varint, of 64 bits. */
const VARINT_BYTES_MAX = 10

/** The bytes are not a protobuf. */
export class ProtobufError extends Error {}

/** A cursor over the fields of a protobuf. Every call may throw {@link ProtobufError}. */
export class ProtobufReader {
  readonly #bytes: Buffer
  #at = 0
  #field = 0
  #wireType = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  /** Moves to the next field; returns false at the end. */
  next(): boolean {
    if (this.#at === this.#bytes.length) return false
    const tag = this.#varint()
    this.#field = Math.floor(tag / (1 << WIRE_TYPE_BITS))
    this.#wireType = tag % (1 << WIRE_TYPE_BITS)
    return true
  }

  /** Returns whether the field has this number, and a length. */
  is(field: number): boolean {
    return this.#field === field && this.#wireType === LENGTH_DELIMITED
  }

  /** Returns whether the field has this number, and is a number. */
  isNumber(field: number): boolean {
    return this.#field === field && this.#wireType === VARINT
  }

  /** Returns a view of the value of a field with a length. */
  bytes(): Buffer {
    const start = this.#advance(this.#varint())
    return this.#bytes.subarray(start, this.#at)
  }

  text(): string {
    return this.bytes().toString('utf8')
  }

  /** Returns the value of a number; one above 2^53 loses its last digits. */
  number(): number {
    return this.#varint()
  }

  bigint(): bigint {
    let value = 0n
    for (let shift = 0n; shift < 7n * BigInt(VARINT_BYTES_MAX); shift += 7n) {
      const byte = this.#bytes[this.#advance(1)] as number
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return BigInt.asUintN(64, value)
    }
    throw new ProtobufError('a number has more than 64 bits')
  }

  /** Skips the value of the field. */
  skip(): void {
    if (this.#wireType === VARINT) this.#varint()
    else if (this.#wireType === FIXED64) this.#advance(8)
    else if (this.#wireType === FIXED32) this.#advance(4)
    else if (this.#wireType === LENGTH_DELIMITED) this.bytes()
    // Groups are obsolete, and nested: no implementation writes them.
    else throw new ProtobufError(`a field is of type ${this.#wireType}`)
  }

  #varint(): number {
    let value = 0
    for (let shift = 0; shift < VARINT_BYTES_MAX; shift += 1) {
      // In range: `advance` throws otherwise.
      const byte = this.#bytes[this.#advance(1)] as number
      value += (byte & 0x7f) * 0x80 ** shift
      if (byte < 0x80) return value
    }
    throw new ProtobufError('a number has more than 64 bits')
  }

  /** Advances past the next `length` bytes; returns their offset. */
  #advance(length: number): number {
    const start = this.#at
    if (length > this.#bytes.length - start) throw new ProtobufError('it ends inside a field')
    this.#at += length
    return start
  }
}

/** Writes the fields of a protobuf. */
export class ProtobufWriter {
  readonly #parts: Uint8Array[] = []
  #length = 0

  /** Writes a field of bytes. */
  bytes(field: number, value: Uint8Array): void {
    this.#push(varint(BigInt((field << WIRE_TYPE_BITS) | LENGTH_DELIMITED)))
    this.prefixed(value)
  }

  text(field: number, value: string): void {
    this.bytes(field, Buffer.from(value))
  }

  /** Writes a field that is a number, 0 or more. */
  varint(field: number, value: bigint): void {
    this.#push(varint(BigInt((field << WIRE_TYPE_BITS) | VARINT)))
    this.#push(varint(value))
  }

  /** Writes bytes after their length, without a tag. */
  prefixed(value: Uint8Array): void {
    this.#push(varint(BigInt(value.length)))
    this.#push(value)
  }

  /** Returns the whole. */
  end(): Uint8Array {
    return concat(this.#parts, this.#length)
  }

  #push(part: Uint8Array): void {
    this.#parts.push(part)
    this.#length += part.length
  }
}

function varint(value: bigint): Uint8Array {
  const bytes: number[] = []
  let left = value
  while (left >= 0x80n) {
    bytes.push(Number(left & 0x7fn) | 0x80)
    left >>= 7n
  }
  bytes.push(Number(left))
  return Uint8Array.from(bytes)
}
