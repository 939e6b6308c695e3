/** libp2p with native components where none are given. */
import type { Libp2p, ServiceMap } from '@libp2p/interface'
import { createLibp2p as create, type Libp2pOptions } from 'libp2p'
import { noise, tls } from './encrypters.ts'
import { tcp } from './tcp.ts'
import { yamux } from './yamux.ts'

/**
 * `createLibp2p` of js-libp2p, with `tcp()`, `noise()`, `tls()` and `yamux()` of this package for the members
 * `transports`, `connectionEncrypters` and `streamMuxers` that are left out. Needs the package `libp2p`.
 *
 * @throws what `createLibp2p` of js-libp2p throws
 */
export function createLibp2p<T extends ServiceMap = ServiceMap>(
  options: Libp2pOptions<T> = {}
): Promise<Libp2p<T>> {
  return create({
    transports: [tcp()],
    connectionEncrypters: [noise(), tls()],
    streamMuxers: [yamux()],
    ...options
  } as Libp2pOptions<T>)
}
