/** Fields of protobufs, read and written one at a time: the few formats of this package need no schema compiler. */
import { allocate, copyOut } from './bytes.ts'

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

/** Bytes of a writer at first: a short message. */
const CAPACITY_MIN = 128

/** Writes the fields of a protobuf. */
export class ProtobufWriter {
  #bytes = allocate(CAPACITY_MIN)
  #length = 0

  /** Writes a field of bytes. */
  bytes(field: number, value: Uint8Array): void {
    this.#reserve(2 * VARINT_BYTES_MAX + value.length)
    this.#number(field * (1 << WIRE_TYPE_BITS) + LENGTH_DELIMITED)
    this.prefixed(value)
  }

  text(field: number, value: string): void {
    this.bytes(field, Buffer.from(value))
  }

  /** Writes a field that is a whole number, 0 or more; above 2^53 as a bigint. */
  varint(field: number, value: number | bigint): void {
    this.#reserve(2 * VARINT_BYTES_MAX)
    this.#number(field * (1 << WIRE_TYPE_BITS) + VARINT)
    if (typeof value === 'number') this.#number(value)
    else this.#bigint(value)
  }

  /** Writes bytes after their length, without a tag. */
  prefixed(value: Uint8Array): void {
    this.#reserve(VARINT_BYTES_MAX + value.length)
    this.#number(value.length)
    this.#bytes.set(value, this.#length)
    this.#length += value.length
  }

  /** Returns the whole, as a copy of its size. */
  end(): Uint8Array {
    return copyOut(this.#bytes, this.#length)
  }

  #reserve(size: number): void {
    const needed = this.#length + size
    if (needed <= this.#bytes.length) return
    const grown = allocate(Math.max(needed, 2 * this.#bytes.length))
    grown.set(this.#bytes)
    this.#bytes = grown
  }

  #number(value: number): void {
    let left = value
    while (left >= 0x80) {
      this.#bytes[this.#length] = (left % 0x80) | 0x80
      this.#length += 1
      left = Math.floor(left / 0x80)
    }
    this.#bytes[this.#length] = left
    this.#length += 1
  }

  #bigint(value: bigint): void {
    let left = value
    while (left > BigInt(Number.MAX_SAFE_INTEGER)) {
      this.#bytes[this.#length] = Number(left & 0x7fn) | 0x80
      this.#length += 1
      left >>= 7n
    }
    this.#number(Number(left))
  }
}
