/** Which connections of js-libp2p are native, those of all nodes. */
import type { Connection } from '@libp2p/interface'

const NATIVE = new WeakSet<Connection>()

/** @internal Tells that Rust carries the bytes of a connection. */
export function markNative(connection: Connection): void {
  NATIVE.add(connection)
}

/** Returns whether Rust carries the bytes of a connection of js-libp2p, of any node of the process. */
export function isNative(connection: Connection): boolean {
  return NATIVE.has(connection)
}
