/** Whatever carries bytes, as a {@link ReadWriteCloser}. */
import type { Duplex } from 'node:stream'
import { aString, checkOptions, integer, misuse, type OptionChecks } from '../base/arguments.ts'
import type { HostPort } from '../identity/address.ts'
import { DuplexCarrier } from './duplex-carrier.ts'
import type { ChunkReader, ReadWriteCloser } from './interfaces.ts'
import { TcpStream } from './tcp-stream.ts'
import { WebCarrier } from './web-carrier.ts'

/** Whatever carries bytes both ways. */
export type AnyDuplex = ReadWriteCloser | Duplex | ReadableWritablePair<Uint8Array, Uint8Array>

/** What an adapter cannot find out for itself. */
export interface CarrierOptions {
  /** The host and port at the other end. */
  remoteAddress?: HostPort
}

const ADDRESS_CHECKS: OptionChecks<HostPort> = { host: aString, port: integer(0, 0xffff) }

const CARRIER_CHECKS: OptionChecks<CarrierOptions> = {
  // Any value is checked.
  remoteAddress: (value, name) => checkOptions(value as HostPort, ADDRESS_CHECKS, name)
}

/**
 * A `node:stream` Duplex as a {@link ReadWriteCloser}. It is the adapter's alone from here on.
 *
 * Reads are empty at its end. For a `net.Socket` there is `tcpStream`; async iterables, Web streams and functions
 * become a Duplex by Node's `Duplex.from`.
 */
export function fromDuplex(
  duplex: Duplex,
  options: CarrierOptions = {}
): ReadWriteCloser & ChunkReader {
  if (!isDuplex(duplex)) throw misuse('duplex', 'a Duplex of node:stream', duplex)
  checkOptions(options, CARRIER_CHECKS)
  return new DuplexCarrier(duplex, '', options.remoteAddress)
}

/** A pair of Web streams as a {@link ReadWriteCloser}. Both are locked from here on. Reads are empty at the end. */
export function fromWebStreams(
  pair: ReadableWritablePair<Uint8Array, Uint8Array>,
  options: CarrierOptions = {}
): ReadWriteCloser & ChunkReader {
  if (!isWebPair(pair)) throw misuse('pair', 'a pair of Web streams', pair)
  checkOptions(options, CARRIER_CHECKS)
  return new WebCarrier(pair, options.remoteAddress)
}

/** The carrier that a duplex is or can be made into. Throws `InvalidParametersError` for what is none. */
export function carrierOf(duplex: AnyDuplex): ReadWriteCloser {
  if (isDuplex(duplex)) {
    const { Socket } = process.getBuiltinModule('node:net')
    return duplex instanceof Socket ? new TcpStream(duplex) : fromDuplex(duplex)
  }
  if (isCarrier(duplex)) return duplex
  if (isWebPair(duplex)) return fromWebStreams(duplex)
  throw misuse('duplex', 'a ReadWriteCloser, a Duplex or a pair of Web streams', duplex)
}

function isDuplex(value: unknown): value is Duplex {
  return has(value, 'pipe', 'write', 'end')
}

function isCarrier(value: unknown): value is ReadWriteCloser {
  return has(value, 'read', 'write', 'close')
}

function has(value: unknown, ...methods: readonly string[]): boolean {
  // Anything but null and undefined can be asked for a member, here and below.
  const object = (value ?? {}) as Readonly<Record<string, unknown>>
  return methods.every((method) => typeof object[method] === 'function')
}

function isWebPair(value: unknown): value is ReadableWritablePair<Uint8Array, Uint8Array> {
  const pair = (value ?? {}) as Partial<ReadableWritablePair>
  return pair.readable instanceof ReadableStream && pair.writable instanceof WritableStream
}
