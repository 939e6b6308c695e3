/** `noise()` and `tls()`: connection encrypters of libp2p over any stream of bytes. */
import type {
  ConnectionEncrypter,
  MessageStream,
  SecureConnectionOptions,
  SecuredConnection
} from '@libp2p/interface'
import { serviceCapabilities } from '@libp2p/interface'
import type { SecurityName, SecurityProtocol } from '../constants.ts'
import { InvalidParametersError } from '../errors.ts'
import type { Components } from './components.ts'
import { NativeConnection } from './connection.ts'
import { secureStream } from './secured-stream.ts'
import { withoutMeaning } from './unsupported.ts'
import { boundFactory } from './yamux.ts'

/** @internal Protocol ids of the native security protocols. */
export const SECURITY_PROTOCOLS: Readonly<Record<SecurityName, SecurityProtocol>> = {
  noise: '/noise',
  tls: '/tls/1.0.0'
}

/** @internal An encrypter of this package. */
export class NativeEncrypter implements ConnectionEncrypter {
  readonly protocol: SecurityProtocol
  readonly name: SecurityName
  readonly [serviceCapabilities]: string[] = ['@libp2p/connection-encryption']
  readonly #components: Components

  constructor(name: SecurityName, components: Components) {
    this.name = name
    this.protocol = SECURITY_PROTOCOLS[name]
    this.#components = components
  }

  get [Symbol.toStringTag](): string {
    return `@libp2p/${this.name}`
  }

  secureOutbound(
    connection: MessageStream,
    options?: SecureConnectionOptions
  ): Promise<SecuredConnection> {
    return this.#secure(connection, true, options)
  }

  secureInbound(
    connection: MessageStream,
    options?: SecureConnectionOptions
  ): Promise<SecuredConnection> {
    return this.#secure(connection, false, options)
  }

  async #secure(
    connection: MessageStream,
    isInitiator: boolean,
    options: SecureConnectionOptions | undefined
  ): Promise<SecuredConnection> {
    if (connection instanceof NativeConnection) return secured(connection)
    return secureStream(connection, {
      components: this.#components,
      security: this.name,
      isInitiator,
      ...options
    })
  }
}

/** Returns what the native handshake of a connection has settled. */
function secured(connection: NativeConnection): SecuredConnection {
  const { secured } = connection
  if (secured === undefined) throw new InvalidParametersError('the connection is not secured')
  return {
    connection,
    remotePeer: secured.remotePeer,
    streamMuxer: boundFactory(secured.muxer)
  }
}

/** Why the options of @libp2p/noise are refused. */
const NOISE_REASONS = {
  crypto: 'the native implementation is always used',
  extensions: 'the handshake carries the muxers alone',
  prologueBytes: 'only WebRTC Direct needs one, and brings its own encrypter',
  staticNoiseKey: 'a static key is made for each handshake'
}

/**
 * Noise, natively, over any connection: `/noise`.
 *
 * @throws {@link InvalidParametersError} for an option; those of @libp2p/noise have no meaning here.
 */
export function noise(init: object = {}): (components: Components) => ConnectionEncrypter {
  withoutMeaning(init, 'noise()', NOISE_REASONS)
  withoutOptions(init, 'noise()')
  return (components) => new NativeEncrypter('noise', components)
}

/**
 * TLS 1.3, natively, over any connection: `/tls/1.0.0`.
 *
 * @throws {@link InvalidParametersError} for an option: there is none.
 */
export function tls(init: object = {}): (components: Components) => ConnectionEncrypter {
  withoutOptions(init, 'tls()')
  return (components) => new NativeEncrypter('tls', components)
}

function withoutOptions(init: object, what: string): void {
  const [name] = Object.entries(init).find(([, value]) => value !== undefined) ?? []
  if (name !== undefined) throw new InvalidParametersError(`${what} has no option ${name}`)
}
