/** Adapters of byte carriers to {@link ReadWriteCloser}. */
import type { Duplex } from 'node:stream'
import { aString, checkOptions, integer, misuse, type OptionChecks } from '../base/arguments.ts'
import type { HostPort } from '../identity/address.ts'
import { DuplexCarrier } from './duplex-carrier.ts'
import type { ChunkReader, ReadWriteCloser } from './interfaces.ts'
import { TcpStream } from './tcp-stream.ts'
import { WebCarrier } from './web-carrier.ts'

/** A bidirectional byte carrier. */
export type AnyDuplex = ReadWriteCloser | Duplex | ReadableWritablePair<Uint8Array, Uint8Array>

/** Options of {@link fromDuplex} and {@link fromWebStreams}: properties that an adapter cannot determine. */
export interface CarrierOptions {
  /** The remote host and port. */
  remoteAddress?: HostPort
}

const ADDRESS_CHECKS: OptionChecks<HostPort> = { host: aString, port: integer(0, 0xffff) }

const CARRIER_CHECKS: OptionChecks<CarrierOptions> = {
  // `checkOptions` accepts any value, and throws.
  remoteAddress: (value, name) => checkOptions(value as HostPort, ADDRESS_CHECKS, name)
}

/**
 * Adapts a `node:stream` Duplex, which the adapter owns from now on.
 *
 * Reads resolve to an empty array at its end. For a `net.Socket` use `tcpStream`. Node's `Duplex.from` converts async
 * iterables, Web streams and functions.
 *
 * @throws {@link InvalidParametersError} if `duplex` is not a Duplex, or for an invalid option.
 * @example
 * ```ts
 * import { spawn } from 'node:child_process'
 * import { Duplex } from 'node:stream'
 * import { fromDuplex, readSome } from 'ferroswarm/io'
 *
 * const { stdin, stdout } = spawn('cat')
 * const carrier = fromDuplex(Duplex.from({ readable: stdout, writable: stdin }))
 * await carrier.write(Buffer.from('hello'))
 * console.log((await readSome(carrier))?.length)
 * await carrier.close()
 * ```
 */
export function fromDuplex(
  duplex: Duplex,
  options: CarrierOptions = {}
): ReadWriteCloser & ChunkReader {
  if (!isDuplex(duplex)) throw misuse('duplex', 'a Duplex of node:stream', duplex)
  checkOptions(options, CARRIER_CHECKS)
  return new DuplexCarrier(duplex, '', options.remoteAddress)
}

/**
 * Adapts a pair of Web streams, which are locked from now on. Reads resolve to an empty array at the end.
 *
 * @throws {@link InvalidParametersError} if `pair` is not a pair of Web streams, or for an invalid option.
 */
export function fromWebStreams(
  pair: ReadableWritablePair<Uint8Array, Uint8Array>,
  options: CarrierOptions = {}
): ReadWriteCloser & ChunkReader {
  if (!isWebPair(pair)) throw misuse('pair', 'a pair of Web streams', pair)
  checkOptions(options, CARRIER_CHECKS)
  return new WebCarrier(pair, options.remoteAddress)
}

/** Returns `duplex`, adapted if need be. Throws `InvalidParametersError` if it is not a byte carrier. */
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
  // Member access is safe on anything but null and undefined, here and below.
  const object = (value ?? {}) as Readonly<Record<string, unknown>>
  return methods.every((method) => typeof object[method] === 'function')
}

function isWebPair(value: unknown): value is ReadableWritablePair<Uint8Array, Uint8Array> {
  const pair = (value ?? {}) as Partial<ReadableWritablePair>
  return pair.readable instanceof ReadableStream && pair.writable instanceof WritableStream
}
