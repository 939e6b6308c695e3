/** Whatever carries bytes, as a {@link ReadWriteCloser}. */
import type { Duplex } from 'node:stream'
import { InvalidParametersError } from '../errors.ts'
import type { HostPort } from '../identity/address.ts'
import { DuplexCarrier } from './duplex-carrier.ts'
import type { ReadWriteCloser } from './interfaces.ts'
import { TcpStream } from './tcp-stream.ts'
import { WebCarrier } from './web-carrier.ts'

/** Whatever carries bytes both ways. */
export type AnyDuplex = ReadWriteCloser | Duplex | ReadableWritablePair<Uint8Array, Uint8Array>

/** What an adapter cannot find out for itself. */
export interface CarrierOptions {
  /** The host and port at the other end. */
  remoteAddress?: HostPort
}

/**
 * A `node:stream` Duplex as a {@link ReadWriteCloser}. It is the adapter's alone from here on.
 *
 * Reads are empty at its end. For a `net.Socket` there is `tcpStream`; async iterables, Web streams and functions
 * become a Duplex by Node's `Duplex.from`.
 */
export function fromDuplex(duplex: Duplex, options: CarrierOptions = {}): ReadWriteCloser {
  return new DuplexCarrier(duplex, '', options.remoteAddress)
}

/** A pair of Web streams as a {@link ReadWriteCloser}. Both are locked from here on. Reads are empty at the end. */
export function fromWebStreams(
  pair: ReadableWritablePair<Uint8Array, Uint8Array>,
  options: CarrierOptions = {}
): ReadWriteCloser {
  return new WebCarrier(pair, options.remoteAddress)
}

/** The carrier that a duplex is or can be made into. Throws `InvalidParametersError` for what is none. */
export function carrierOf(duplex: AnyDuplex): ReadWriteCloser {
  const given = (duplex ?? {}) as unknown as Readonly<Record<string, unknown>>
  if (typeof given.pipe === 'function') {
    const { Socket } = process.getBuiltinModule('node:net')
    return duplex instanceof Socket ? new TcpStream(duplex) : fromDuplex(duplex as Duplex)
  }
  const isCarrier = [given.read, given.write, given.close].every(
    (call) => typeof call === 'function'
  )
  if (isCarrier) return duplex as ReadWriteCloser
  if (given.readable instanceof ReadableStream && given.writable instanceof WritableStream) {
    return fromWebStreams(duplex as ReadableWritablePair<Uint8Array, Uint8Array>)
  }
  throw new InvalidParametersError('expected a ReadWriteCloser, a Duplex, or a pair of Web streams')
}
