/** The subpath `ferroswarm/libp2p`: components of js-libp2p that run on the native data path. */
export { createLibp2p } from './create.ts'
export { noise, tls } from './encrypters.ts'
export { isNative } from './is-native.ts'
export { tcp } from './tcp.ts'
export type { CloseServerOnMaxConnections, TcpInit } from './tcp-options.ts'
export { yamux } from './yamux.ts'
export type { YamuxInit, YamuxStreamOptions } from './yamux-options.ts'
