/** The parts of a libp2p node that this package uses. */
import type {
  ComponentLogger,
  Libp2pEvents,
  Metrics,
  PeerStore,
  PrivateKey,
  StreamHandlerRecord,
  StreamMiddleware,
  TypedEventTarget,
  Upgrader
} from '@libp2p/interface'

/** The registrar of @libp2p/interface-internal, as far as it is used. */
export interface RegistrarLike {
  getProtocols(): string[]
  /** Throws `UnhandledProtocolError` without a handler. */
  getHandler(protocol: string): StreamHandlerRecord
  getMiddleware(protocol: string): StreamMiddleware[]
}

/**
 * Components of `tcp()`, `noise()`, `tls()` and `yamux()`. Those of one node are the same object; the registrar and
 * others come into being after the encrypters and muxers, so they are read when they are needed.
 */
export interface Components {
  readonly privateKey: PrivateKey
  readonly logger: ComponentLogger
  readonly upgrader: Upgrader
  readonly registrar: RegistrarLike
  readonly peerStore: PeerStore
  readonly events: TypedEventTarget<Libp2pEvents>
  readonly metrics?: Metrics
  readonly connectionProtector?: object
}
