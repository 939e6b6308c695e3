/** Options of `tcp()`: those of @libp2p/tcp that have a meaning for native sockets. */
import {
  aFunction,
  type Check,
  checkOptions,
  integer,
  misuse,
  type OptionChecks
} from '../base/arguments.ts'
import { InvalidParametersError } from '../errors.ts'
import { withoutMeaning } from './unsupported.ts'

/** When a listener stops and resumes. */
export interface CloseServerOnMaxConnections {
  /** Connections from which on it is closed. */
  closeAbove: number
  /** Connections below which it listens again. */
  listenBelow: number
  /** Called if it cannot listen again; the next connection that ends is another try. */
  onListenError?(err: Error): void
}

/** Options of `tcp()`, all optional. */
export interface TcpInit {
  /** Inbound connections of one listener; more are refused before their handshake. Defaults to no limit. */
  maxConnections?: number
  /** Closes a listener while it has many connections. Defaults to never. */
  closeServerOnMaxConnections?: CloseServerOnMaxConnections
  /** Only 0, no timeout, has a meaning: a silent connection is pinged, and closed without an answer. */
  inboundSocketInactivityTimeout?: 0
  /** As {@link TcpInit.inboundSocketInactivityTimeout}. */
  outboundSocketInactivityTimeout?: 0
}

/** @internal The effective options. */
export interface TcpOptions {
  readonly maxConnections: number
  readonly closeServer: Readonly<CloseServerOnMaxConnections> | undefined
}

const KEEPALIVE =
  'a silent connection is pinged, and closed without an answer, see yamux({ keepAliveInterval })'

const SOCKET =
  'sockets are native: they send small writes at once, and the muxer keeps connections alive'

const aCloseServer: Check = (value, name) => {
  if (typeof value !== 'object' || value === null) throw misuse(name, 'an object', value)
  const checks: OptionChecks<CloseServerOnMaxConnections> = {
    closeAbove: integer(1),
    listenBelow: integer(1),
    onListenError: aFunction
  }
  const options = value as Partial<CloseServerOnMaxConnections>
  checkOptions(options as CloseServerOnMaxConnections, checks, name)
  const { closeAbove, listenBelow } = options
  if (closeAbove === undefined || listenBelow === undefined) {
    throw new InvalidParametersError(`${name} needs closeAbove and listenBelow`)
  }
  if (closeAbove < listenBelow) {
    throw new InvalidParametersError(`expected ${name}.closeAbove to be listenBelow or more`)
  }
}

const noTimeout: Check = (value, name) => {
  if (value === 0) return
  throw new InvalidParametersError(`expected ${name} to be 0, for no timeout: ${KEEPALIVE}`)
}

const CHECKS: OptionChecks<TcpInit> = {
  maxConnections: integer(0),
  closeServerOnMaxConnections: aCloseServer,
  inboundSocketInactivityTimeout: noTimeout,
  outboundSocketInactivityTimeout: noTimeout
}

/** @internal Checks the options and returns the effective ones. */
export function tcpOptions(init: TcpInit): TcpOptions {
  withoutMeaning(init, 'tcp()', {
    backlog: 'the queue of the system has its usual length',
    dialOpts: SOCKET,
    listenOpts: SOCKET
  })
  checkOptions(init, CHECKS)
  return {
    maxConnections: init.maxConnections ?? Number.POSITIVE_INFINITY,
    closeServer: init.closeServerOnMaxConnections
  }
}
