/** Whatever carries bytes, as a {@link ReadWriteCloser}. */
import type { Duplex } from 'node:stream'
import type { HostPort } from '../identity/address.ts'
import { DuplexCarrier } from './duplex-carrier.ts'
import type { ReadWriteCloser } from './interfaces.ts'
import { WebCarrier } from './web-carrier.ts'

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
